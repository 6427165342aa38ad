"""One request to the operations port that needs a principal: admit, do, record, answer; and its bounded body.

Every endpoint behind a token goes through `Guard`; `gateway.ops.app` says which they are.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import structlog
from fastapi import Request, Response

from gateway.case import Case
from gateway.errors import GatewayError, Internal, TooLarge, UnsupportedMedia
from gateway.metrics import SupervisorMetrics
from gateway.model import Identity, Peer, Route
from gateway.ops.answers import refusal
from gateway.ops.door import Door

MAX_BODY_BYTES: Final = 32 * 1024
"""A context is at most 4 KiB and a path 8 KiB; JSON may escape each byte, but not usefully."""

Work: TypeAlias = Callable[[Request, Case, Identity], Awaitable[Response]]

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

_log = structlog.get_logger(__name__)


class Guard:
    """Stands before the endpoints that need a principal.

    Args:
        door: Decides and records.
        metrics: Where requests to this port are counted.
    """

    def __init__(self, door: Door, metrics: SupervisorMetrics) -> None:
        self._door = door
        self._metrics = metrics

    async def __call__(
        self,
        request: Request,
        route: Route,
        endpoint: str,
        work: Work,
        details: Mapping[str, Any] = MappingProxyType({}),
    ) -> Response:
        """Admit, do, record, answer.

        Args:
            request: As it came.
            route: One of `gateway.ops.actions`: what is asked of the policies, and whether it is durable.
            endpoint: Its name in the metrics.
            work: What is done for who may; raises `GatewayError` to refuse after all.
            details: What the record says besides; `work` may fill it.

        Returns:
            What `work` answers, or the refusal; recorded before it is sent.
        """
        case = self._door.open(route, request.scope["headers"], peer_of(request), request.state.trace_id)
        done: Response | None = None
        error: GatewayError | None = None
        try:
            caller = self._door.admit(case)
            done = await work(request, case, caller)
        except GatewayError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001 - the edge: what broke is refused and recorded, never let through
            _log.error("ops_failed", endpoint=endpoint, trace_id=case.trace_id, exc_info=exc)
            error = Internal("failed")
        error = await self._door.settle(case, error, details, durable=error is None and route.durable)
        request.state.trace_id = case.trace_id
        if error is not None or done is None:
            done = refusal(error or Internal("no answer"), case.trace_id)
        done.headers["x-decision-id"] = case.event_id
        self._metrics.ops_answered(endpoint, done.status_code)
        return done


async def read_json(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """A JSON request's body, bounded.

    Args:
        request: Its body is not read yet.
        limit: Bytes.

    Raises:
        UnsupportedMedia: It does not say that it is JSON.
        TooLarge: It is longer.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UnsupportedMedia("body: not application/json")
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > limit:
            raise TooLarge("body: longer than its limit")
    return bytes(received)


def peer_of(request: Request) -> Peer:
    """Who is at the other end of the connection."""
    return Peer(request.client.host, request.client.port) if request.client else Peer("unknown", 0)
