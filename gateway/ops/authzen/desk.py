"""One request to the decision API: admit its caller, read its body, answer in AuthZEN's forms.

What becomes of the questions in it is `endpoints`' business; what is refused here leaves the record that any refusal
at this port leaves.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import structlog
from fastapi import Request, Response

from gateway.case import Case
from gateway.errors import GatewayError, Internal
from gateway.metrics import SupervisorMetrics
from gateway.model import Route
from gateway.ops.answers import answer
from gateway.ops.authzen.answers import refusal, request_id
from gateway.ops.authzen.record import DOOR
from gateway.ops.door import Door
from gateway.ops.guard import peer_of, read_json
from gateway.route.extract import parse_json
from policies.model import Json

OK: Final = 200

Work: TypeAlias = Callable[["Visit", Json], Awaitable[Any]]

_log = structlog.get_logger(__name__)


class Visit:
    """A request whose caller may ask.

    Attributes:
        case: The request's.
        request_id: What the caller calls it.
        details: What its own record says besides; filled on the way.
        keep: Whether it leaves a record of its own; not where each of its questions does.
        decision_id: The id of the one record it leaves; None where there are several.
    """

    def __init__(self, case: Case, name: str | None) -> None:
        self.case = case
        self.request_id = name
        self.details: dict[str, Any] = {"door": DOOR} if name is None else {"door": DOOR, "request_id": name}
        self.keep = True
        self.decision_id: str | None = case.event_id


class Desk:
    """Stands before the endpoints of the decision API.

    Args:
        door: Admits and records.
        metrics: Where requests to this port are counted.
        body_bytes: Of a request at most.
    """

    def __init__(self, door: Door, metrics: SupervisorMetrics, body_bytes: int) -> None:
        self._door = door
        self._metrics = metrics
        self._body_bytes = body_bytes

    async def __call__(self, request: Request, route: Route, endpoint: str, work: Work) -> Response:
        """Admit, do, record, answer.

        Args:
            request: As it came.
            route: What is asked of the policies about the caller.
            endpoint: Its name in the metrics.
            work: From the body to the answer's body; raises `GatewayError` to refuse after all.
        """
        headers = request.scope["headers"]
        case = self._door.open(route, headers, peer_of(request), request.state.trace_id)
        visit = Visit(case, request_id(headers))
        body: Any = None
        error: GatewayError | None = None
        try:
            self._door.admit(case)
            self._door.check_fresh()
            raw = await read_json(request, self._body_bytes)
            case.request_bytes = len(raw)
            body = await work(visit, parse_json(raw))
        except GatewayError as exc:
            error = exc
        except Exception as exc:  # noqa: BLE001 - the edge: what broke is refused and recorded, never let through
            _log.error("decision_api_failed", endpoint=endpoint, trace_id=case.trace_id, exc_info=exc)
            error = Internal("failed")
        if error is not None or visit.keep:
            error = await self._door.settle(case, error, visit.details, durable=False)
            visit.decision_id = case.event_id
        done = answer(body, OK) if error is None else refusal(error)
        if visit.decision_id is not None:
            done.headers["x-decision-id"] = visit.decision_id
        if visit.request_id is not None:
            done.headers["x-request-id"] = visit.request_id
        self._metrics.ops_answered(endpoint, done.status_code)
        return done
