"""The character sets are those of the RFCs."""

import string

import pytest

from gateway.wire.grammar import DIGITS, HEAD_BYTES, HEX, TARGET_BYTES, TCHAR, UNRESERVED, is_token, only

_ALNUM = (string.ascii_letters + string.digits).encode()


@pytest.mark.parametrize(
    ("name", "allowed", "expected"),
    [
        ("tchar", TCHAR, _ALNUM + b"!#$%&'*+-.^_`|~"),
        ("unreserved", UNRESERVED, _ALNUM + b"-._~"),
        ("hex", HEX, string.hexdigits.encode()),
        ("digits", DIGITS, string.digits.encode()),
        ("target", TARGET_BYTES, _ALNUM + b"-._~" + b"!$&'()*+,;=" + b":@/?%" + b"[]"),
    ],
)
def test_a_set_holds_exactly_what_its_rule_says(name: str, allowed: bytes, expected: bytes) -> None:
    """One byte more or less is a hole or a refusal of honest clients."""
    assert sorted(allowed) == sorted(expected), name
    assert len(set(allowed)) == len(allowed)


def test_a_head_holds_no_control_character_but_tab_cr_and_lf() -> None:
    """NUL, the other controls and DEL are what two parsers read differently."""
    assert set(range(256)) - set(HEAD_BYTES) == (set(range(0x20)) - {0x09, 0x0A, 0x0D}) | {0x7F}


@pytest.mark.parametrize("byte", range(256))
def test_only_and_is_token_look_at_every_byte(byte: int) -> None:
    """A single byte anywhere decides."""
    value = b"ab" + bytes((byte,)) + b"cd"
    assert only(value, TCHAR) is (byte in TCHAR)
    assert is_token(value) is (byte in TCHAR)


def test_nothing_passes_as_a_value_and_not_as_a_token() -> None:
    """`only` says nothing against an empty value; a token has a character."""
    assert only(b"", DIGITS)
    assert not is_token(b"")
