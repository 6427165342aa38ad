"""A request's body on its way in: collected or passed on, bounded either way, framed anew."""

import msgspec
import pytest

from gateway.errors import BadRequest, Code, TooLarge
from gateway.limits import Limits
from gateway.model import Route
from gateway.serve.intake import Intake
from gateway.wire.framing import Ending, Framing

CHUNKED = Framing(Ending.CHUNKED)
ROUTE = Route(
    id="r",
    method="POST",
    template="/r",
    segments=("r",),
    params=(),
    service="order",
    action="order:create",
    resource_type="Order",
    resource_id="*",
)


def test_a_length_is_passed_on_as_it_comes_and_ends_where_it_says() -> None:
    """What follows belongs to the next request."""
    intake = Intake(Limits(), Framing(Ending.LENGTH, 5))
    assert intake.pass_on(b"abc") == (b"abc", b"")
    assert not intake.done
    assert intake.pass_on(b"deGET /") == (b"de", b"GET /")
    assert (intake.done, intake.received) == (True, 5)


def test_chunks_are_made_anew() -> None:
    """Sizes, extensions and trailers are the client's and end here; content goes on in chunks of ours."""
    intake = Intake(Limits(), CHUNKED)
    out = b""
    rest = b""
    for byte in b"2;x=y\r\nab\r\n01\r\nc\r\n0\r\nX-Trailer: y\r\n\r\nGET /":
        piece, more = intake.pass_on(bytes((byte,))) if not intake.done else (b"", bytes((byte,)))
        out += piece
        rest += more
    assert out == b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"
    assert rest == b"GET /"


def test_what_is_collected_is_the_content() -> None:
    """Whole, without framing."""
    intake = Intake(Limits(), CHUNKED)
    assert intake.collect(b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\nrest") == b"rest"
    assert intake.collected == b"abcd"


def test_broken_chunks_are_a_bad_request_that_ends_the_connection() -> None:
    """Where the body ends is not known any more."""
    with pytest.raises(BadRequest) as refused:
        Intake(Limits(), CHUNKED).pass_on(b"zz\r\n")
    assert refused.value.close


@pytest.mark.parametrize(
    ("limits", "own", "size", "fits"),
    [
        (Limits(), None, 10_000, True),
        (Limits(body_bytes=4), None, 4, True),
        (Limits(body_bytes=4), None, 5, False),
        (Limits(body_bytes=4), 8, 8, True),
        (Limits(body_bytes=4), 8, 9, False),
        (Limits(), 8, 9, False),
    ],
)
def test_a_body_is_bounded_by_its_route_or_else_by_the_gateway(
    limits: Limits, own: int | None, size: int, fits: bool
) -> None:
    """The route's own limit stands in for the gateway's, up or down."""
    intake = Intake(limits, CHUNKED)
    intake.route = msgspec.structs.replace(ROUTE, body_bytes=own)
    data = b"%x\r\n" % size + bytes(size)
    if fits:
        assert intake.pass_on(data)[1] == b""
    else:
        with pytest.raises(TooLarge) as refused:
            intake.pass_on(data)
        assert refused.value.code is Code.PAYLOAD_TOO_LARGE


def test_a_decided_body_is_bounded_by_what_may_be_held() -> None:
    """However much its route would let through."""
    intake = Intake(Limits(decided_body_bytes=4), CHUNKED)
    intake.route = msgspec.structs.replace(ROUTE, body_bytes=100, tenant_pointers=("/tenant",))
    with pytest.raises(TooLarge):
        intake.collect(b"5\r\n" + bytes(5))
