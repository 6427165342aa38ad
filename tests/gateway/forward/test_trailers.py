"""Which fields may follow a body, and who takes them."""

import pytest

from gateway.forward.trailers import trailer_block, wants_trailers
from tests.builders.heads import make_head


def test_a_block_is_what_stands_between_the_last_chunk_and_the_empty_line() -> None:
    """In order, doubles kept; what must not pass is left out."""
    given = [(b"x-a", b"1"), (b"content-length", b"5"), (b"x-a", b"2"), (b"content-digest", b"sha-256=:x:")]
    assert trailer_block(given) == b"x-a: 1\r\nx-a: 2\r\ncontent-digest: sha-256=:x:\r\n"
    assert trailer_block([]) == b""


@pytest.mark.parametrize(
    "name", [b"content_length", b"set_cookie", b"x_user_roles", b"proxy-x", b"sec-x", b"if-x", b"content-x", b"te"]
)
def test_families_are_kept_out_in_any_spelling(name: bytes) -> None:
    """An underscore is a hyphen to many a service."""
    assert trailer_block([(name, b"x")]) == b""


@pytest.mark.parametrize(
    ("fields", "http_11", "wants"),
    [
        ([(b"te", b"trailers"), (b"connection", b"TE")], True, True),
        ([(b"te", b"gzip, Trailers"), (b"connection", b"close, te")], True, True),
        ([(b"te", b"trailers"), (b"connection", b"TE")], False, False),
        ([(b"te", b"trailers")], True, False),
        ([(b"connection", b"te")], True, False),
        ([(b"te", b"trailers;q=0"), (b"connection", b"te")], True, False),
    ],
)
def test_a_client_takes_them_that_says_so_for_this_hop(
    fields: list[tuple[bytes, bytes]], http_11: bool, wants: bool
) -> None:
    """`TE: trailers`, named in `Connection`, in HTTP/1.1."""
    assert wants_trailers(make_head(*fields, http_11=http_11)) is wants
