"""What a request told of itself -> spans, by OpenTelemetry's semantic conventions for HTTP.

A server span for the request, a client span for each time it was sent to a service, and a span for the decision where
Cedar was asked. No tenant, user, token, client's address, query or path as it was sent: `http.route` is the template.
"""

from collections.abc import Iterator
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from gateway.spans import Attempt, Traced

_FAILED_SERVER: Final = 500
_FAILED_CLIENT: Final = 400
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class SpanMaker:
    """Makes spans.

    Args:
        service_name: What they are filed under.
        version: Of this program.
        node: Of this machine.
    """

    def __init__(self, service_name: str, version: str, node: str) -> None:
        self._resource = Resource(
            {"service.name": service_name, "service.version": version, "service.instance.id": node}
        )
        self._scope = InstrumentationScope("lychgate", version)

    def of(self, told: Traced) -> Iterator[ReadableSpan]:
        """The spans of a request, its own first."""
        trace_id = int(told.trace_id, 16)
        ours = _context(trace_id, told.span_id)
        parent = _context(trace_id, told.parent_id, remote=True) if told.parent_id else None
        yield self._span(
            f"{told.method} {told.route}" if told.route else told.method,
            SpanKind.SERVER,
            ours,
            parent,
            (told.began, told.ended),
            _server(told),
            failed=told.status >= _FAILED_SERVER or (told.status == 0 and bool(told.error)),
        )
        if told.effect and not told.remembered:
            end = told.decided_at + told.decision_us / 1e6
            attributes: dict[str, str | int | bool] = {
                "lychgate.action": told.action,
                "lychgate.decision.effect": told.effect,
            }
            name = f"{told.span_id[8:]}{told.span_id[:8]}"  # an id of its own, for nothing refers to it
            context = _context(trace_id, name)
            yield self._span(
                "decide", SpanKind.INTERNAL, context, ours, (told.decided_at, end), attributes, failed=False
            )
        for number, attempt in enumerate(told.attempts):
            yield self._span(
                told.method,
                SpanKind.CLIENT,
                _context(trace_id, attempt.span_id),
                ours,
                (attempt.began, attempt.ended),
                _client(told, attempt, number),
                failed=bool(attempt.error) or attempt.status >= _FAILED_CLIENT,
            )

    def _span(
        self,
        name: str,
        kind: SpanKind,
        context: SpanContext,
        parent: SpanContext | None,
        times: tuple[float, float],
        attributes: dict[str, str | int | bool],
        *,
        failed: bool,
    ) -> ReadableSpan:
        began, ended = times
        return ReadableSpan(
            name,
            context=context,
            parent=parent,
            resource=self._resource,
            attributes=attributes,
            kind=kind,
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=round(began * 1e9),
            end_time=round(max(began, ended) * 1e9),
            instrumentation_scope=self._scope,
        )


def _context(trace_id: int, span_id: str, *, remote: bool = False) -> SpanContext:
    return SpanContext(trace_id, int(span_id, 16), is_remote=remote, trace_flags=_SAMPLED)


def _server(told: Traced) -> dict[str, str | int | bool]:
    found: dict[str, str | int | bool] = {
        "http.request.method": told.method,
        "url.scheme": told.scheme,
        "network.protocol.version": told.version,
    }
    if told.status:
        found["http.response.status_code"] = told.status
    if told.route:
        found |= {"http.route": told.route, "lychgate.service": told.service, "lychgate.action": told.action}
    if told.effect:
        found |= {"lychgate.decision.effect": told.effect, "lychgate.decision.remembered": told.remembered}
    if told.error:
        found["error.type"] = told.error
    elif told.status >= _FAILED_SERVER:
        found["error.type"] = str(told.status)
    return found


def _client(told: Traced, attempt: Attempt, number: int) -> dict[str, str | int | bool]:
    host, _, port = attempt.address.rpartition(":")
    found: dict[str, str | int | bool] = {
        "http.request.method": told.method,
        "server.address": host.strip("[]"),
        "server.port": int(port),
        "lychgate.service": told.service,
    }
    if attempt.status:
        found["http.response.status_code"] = attempt.status
    if attempt.error:
        found["error.type"] = attempt.error
    elif attempt.status >= _FAILED_CLIENT:
        found["error.type"] = str(attempt.status)
    if number:
        found["http.request.resend_count"] = number
    return found
