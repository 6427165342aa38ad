"""Forwarded fields from the right: what is believed is an address to the letter, and nothing left of it is parsed."""

import time
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.forwarded import canonical, forwarded, x_forwarded_for


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", None),
        ("192.0.2.01", None),
        ("192.0.2", None),
        ("192.0.2.1/32", None),
        ("", None),
        (" 192.0.2.1", None),
        ("3221225985", None),
        ("0x7f.1", None),
    ],
)
def test_an_address_has_one_text(text: str, address: str | None) -> None:
    """Other spellings of it become that one; what some parsers take for an address is none."""
    assert canonical(text) == address


@pytest.mark.parametrize(
    ("values", "addresses"),
    [
        ([b"192.0.2.1"], ["192.0.2.1"]),
        ([b"203.0.113.9, 192.0.2.1"], ["192.0.2.1", "203.0.113.9"]),
        ([b"203.0.113.9 ,\t192.0.2.1"], ["192.0.2.1", "203.0.113.9"]),
        ([b"203.0.113.9", b"198.51.100.7, 192.0.2.1"], ["192.0.2.1", "198.51.100.7", "203.0.113.9"]),
        ([b"192.0.2.1:4711"], ["192.0.2.1"]),
        ([b"[2001:db8::1]:4711, [2001:db8::2]"], ["2001:db8::2", "2001:db8::1"]),
        ([b"2001:db8::1"], ["2001:db8::1"]),
        ([b"::ffff:192.0.2.1"], ["192.0.2.1"]),
        ([b"evil, 192.0.2.1"], ["192.0.2.1"]),
        ([b"203.0.113.9, , 192.0.2.1"], ["192.0.2.1"]),
        ([b"203.0.113.9,"], []),
        ([b"unknown"], []),
        ([b"_hidden"], []),
        ([b'"192.0.2.1"'], []),
        ([b"192.0.2.1 192.0.2.2"], []),
        ([b"192.0.2.1:999999"], []),
        ([b"fe80::1%<script>"], []),
        ([b"[fe80::1%25eth0]"], []),
        ([b"192.0.2.1\xa0"], []),
        ([b"\xd9\xa1.2.3.4"], []),
        ([b"localhost"], []),
        ([b""], []),
        ([], []),
    ],
)
def test_x_forwarded_for_is_read_from_the_right(values: list[bytes], addresses: list[str]) -> None:
    """Several fields are one list; what is no address ends it."""
    assert [address for address, scheme in x_forwarded_for(values)] == addresses


@pytest.mark.parametrize(
    ("values", "hops"),
    [
        ([b"for=192.0.2.1"], [("192.0.2.1", b"")]),
        ([b"For=192.0.2.1;Proto=HTTPS;by=203.0.113.43"], [("192.0.2.1", b"https")]),
        ([b'for="192.0.2.1:4711"'], [("192.0.2.1", b"")]),
        ([b'for="[2001:db8::1]:4711";proto=http'], [("2001:db8::1", b"http")]),
        ([b'proto=https;host="a,b;c=d";for=192.0.2.1'], [("192.0.2.1", b"https")]),
        ([b"for=203.0.113.9;proto=http, for=192.0.2.1"], [("192.0.2.1", b""), ("203.0.113.9", b"http")]),
        ([b"for=203.0.113.9", b"for=192.0.2.1"], [("192.0.2.1", b""), ("203.0.113.9", b"")]),
        # what a client left open cannot swallow what the hop has appended
        ([b'for="203.0.113.9, for=192.0.2.1'], [("192.0.2.1", b"")]),
        ([b'host="a, for=203.0.113.66;x=", for=192.0.2.1'], [("192.0.2.1", b"")]),
        ([b'for=203.0.113.9;x="\\", for=192.0.2.1'], [("192.0.2.1", b"")]),
        ([b"for=2001:db8::1"], []),
        ([b'for="2001:db8::1"'], []),
        ([b"for=192.0.2.1;for=192.0.2.2"], []),
        ([b"for=192.0.2.1;proto=gopher"], []),
        ([b"for=192.0.2.1; proto=https"], []),
        ([b"for = 192.0.2.1"], []),
        ([b"for=unknown"], []),
        ([b"for=_secret;proto=https"], []),
        ([b"proto=https"], []),
        ([b'for="192.0.2.1'], []),
        ([b'for="192.0.2.\\1"'], []),
        ([b"for=192.0.2.1;"], []),
        ([b"192.0.2.1"], []),
        ([b""], []),
        ([], []),
    ],
)
def test_forwarded_is_read_from_the_right(values: list[bytes], hops: list[tuple[str, bytes]]) -> None:
    """RFC 7239, without what it allows and no address needs."""
    assert list(forwarded(values)) == hops


@given(st.lists(st.binary(max_size=60), max_size=3), st.booleans())
def test_nothing_but_addresses_ever_comes_out(values: list[bytes], plain: bool) -> None:
    """Whatever bytes go in."""
    for address, scheme in x_forwarded_for(values) if plain else forwarded(values):
        assert canonical(address) == address
        assert scheme in {b"", b"http", b"https"}


@given(st.text(alphabet='for=",;\\ 1.:[]h', max_size=80))
def test_what_the_hop_appends_is_what_is_read_first(made_up: str) -> None:
    """No text of a client's changes how the element after it is read."""
    value = made_up.encode() + b", for=192.0.2.1;proto=https"
    assert next(forwarded([value])) == ("192.0.2.1", b"https")


@pytest.mark.parametrize("value", [b"," * 60000 + b'"', b'",' * 30000, b"for=a;" * 10000, b'"' * 60000, b";" * 60000])
def test_a_hostile_value_costs_no_more_than_its_length(value: bytes) -> None:
    """A field as long as a head may be is read in a moment."""
    started = time.thread_time()
    list(islice(forwarded([value]), 100))
    list(islice(x_forwarded_for([value]), 100))
    assert time.thread_time() - started < 1.0
