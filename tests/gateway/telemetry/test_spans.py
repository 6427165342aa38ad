"""What was told as spans."""

import pytest
from opentelemetry.trace import SpanKind
from opentelemetry.trace.status import StatusCode

from gateway.spans import Attempt, Traced
from gateway.telemetry.spans import SpanMaker

MAKER = SpanMaker("front", "1.2", "node-1")
ALLOWED = {
    "http.request.method",
    "url.scheme",
    "network.protocol.version",
    "http.response.status_code",
    "http.route",
    "http.request.resend_count",
    "server.address",
    "server.port",
    "error.type",
    "lychgate.service",
    "lychgate.action",
    "lychgate.decision.effect",
    "lychgate.decision.remembered",
}
"""Nothing that says who, for whom or what exactly."""


def told(**changes: object) -> Traced:
    """A request that went well."""
    given: dict[str, object] = {
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "span_id": "0123456789abcdef",
        "parent_id": "",
        "began": 10.0,
        "ended": 11.0,
        "method": "GET",
        "scheme": "https",
        "version": "1.1",
        "route": "/orders",
        "service": "order",
        "status": 200,
        "error": "",
        "action": "order:list",
        "effect": "allow",
        "remembered": False,
        "decided_at": 10.1,
        "decision_us": 250,
        "attempts": (Attempt("aaaaaaaaaaaaaaaa", 10.2, 10.9, "[::1]:9002", 200, ""),),
    }
    return Traced(**{**given, **changes})  # type: ignore[arg-type]


def test_a_request_is_three_spans() -> None:
    """The decision and the service's part below it, each in its time."""
    server, decide, client = MAKER.of(told())
    assert [span.kind for span in (server, decide, client)] == [SpanKind.SERVER, SpanKind.INTERNAL, SpanKind.CLIENT]
    assert decide.parent == client.parent == server.context
    assert server.parent is None
    assert (server.start_time, server.end_time) == (10_000_000_000, 11_000_000_000)
    assert (decide.start_time, decide.end_time) == (10_100_000_000, 10_100_250_000)
    assert len({span.context.span_id for span in (server, decide, client)}) == 3
    assert dict(client.attributes or {})["server.address"] == "::1"
    assert server.resource.attributes["service.instance.id"] == "node-1"
    assert all(set(span.attributes or {}) <= ALLOWED for span in (server, decide, client))


def test_what_was_remembered_was_not_decided() -> None:
    """No span of a decision that nobody made; nor of one that was not asked for."""
    assert [span.kind for span in MAKER.of(told(remembered=True))] == [SpanKind.SERVER, SpanKind.CLIENT]
    assert [span.kind for span in MAKER.of(told(effect="", attempts=()))] == [SpanKind.SERVER]


@pytest.mark.parametrize(
    ("status", "error", "server_fails", "error_type"),
    [
        (403, "forbidden", False, "forbidden"),
        (404, "", False, None),
        (500, "", True, "500"),
        (502, "upstream_invalid", True, "upstream_invalid"),
        (0, "client_gone", True, "client_gone"),
    ],
)
def test_what_is_an_error(status: int, error: str, server_fails: bool, error_type: str | None) -> None:
    """A refusal is the caller's own; a server span fails with 5xx or without an answer (semantic conventions, HTTP)."""
    span = next(iter(MAKER.of(told(status=status, error=error))))
    assert (span.status.status_code is StatusCode.ERROR) is server_fails
    assert dict(span.attributes or {}).get("error.type") == error_type


@pytest.mark.parametrize(("status", "error", "fails"), [(200, "", False), (404, "", True), (0, "connect", True)])
def test_a_client_span_fails_with_4xx(status: int, error: str, fails: bool) -> None:
    """As the conventions have it; a second attempt says that it is one."""
    attempts = tuple(Attempt(digit * 16, 10.2, 10.1, "s:1", status, error) for digit in "ab")
    _, _, first, second = MAKER.of(told(attempts=attempts))
    assert (first.status.status_code is StatusCode.ERROR) is fails
    assert "http.request.resend_count" not in dict(first.attributes or {})
    assert dict(second.attributes or {})["http.request.resend_count"] == 1
    assert (first.end_time or 0) >= (first.start_time or 0)  # clocks are set back
