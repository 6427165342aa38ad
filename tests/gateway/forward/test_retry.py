"""Which request may be sent a second time; the whole way is in `test_suspicion_story.py`."""

import msgspec
import pytest

from gateway.case import Case
from gateway.errors import Code, Internal, UpstreamError
from gateway.forward.retry import may_repeat
from gateway.limits import Limits
from gateway.model import Attribute, Match, Peer, Route, Source
from gateway.wire.head import HeadReader

ROUTE = Route(
    id="r", method="PUT", template="/a", segments=("a",), params=(), service="order", action="a:b",
    resource_type="Order", resource_id="",
)  # fmt: skip
READS = msgspec.structs.replace(ROUTE, attributes=(Attribute("amount", Source.BODY, "/amount", "Long"),))
CLOSED = UpstreamError("closed", kind="closed")


def _case(method: str, length: int = 0, route: Route = ROUTE) -> Case:
    size = f"Content-Length: {length}\r\n" if length else ""
    head = HeadReader(Limits()).read(f"{method} /a HTTP/1.1\r\nHost: a\r\n{size}\r\n".encode())
    return Case(event_id="e", trace_id="t", received_at=0.0, peer=Peer("::1", 1), head=head, match=Match(route, {}))


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"])
def test_only_idempotent_methods(method: str) -> None:
    """RFC 9110 s9.2.2."""
    assert may_repeat(_case(method), CLOSED) is (method in {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


def test_only_what_is_still_in_hand() -> None:
    """A body that was passed on is gone; one that was read for the decision is not."""
    assert not may_repeat(_case("PUT", 5), CLOSED)
    assert may_repeat(_case("PUT", 5, READS), CLOSED)


@pytest.mark.parametrize("kind", ["stale", "closed", "connect", "tls", "open", "timeout", "invalid"])
def test_only_what_no_byte_was_answered_to(kind: str) -> None:
    """And what another connection may do better."""
    assert may_repeat(_case("GET"), UpstreamError("x", kind=kind)) is (kind in {"stale", "closed"})


def test_nothing_else() -> None:
    """An error of ours, a lie, a request that was never read."""
    assert not may_repeat(_case("GET"), Internal("x"))
    assert not may_repeat(_case("GET"), UpstreamError("x", code=Code.UPSTREAM_INVALID))
    assert not may_repeat(Case(event_id="e", trace_id="t", received_at=0.0, peer=Peer("::1", 1)), CLOSED)
