"""`POST /explain`: why a request is, or would be, allowed or denied.

For principals whom Cedar allows `ops:explain`. What is explained comes in the request: a described request, a recorded
decision, or a decision's id, which is read from the audit as it is shown to whoever asks (ADR 0123).
"""

import asyncio
from typing import Annotated, Any, Final, Protocol

import msgspec

from gateway.errors import BadRequest
from gateway.route.extract import parse_json
from gateway.snapshot import Snapshot
from policies.errors import NoDecision
from policies.model import Json, Question
from roles.described import described
from roles.explain import Explainer, as_json
from roles.model import Principal
from roles.recorded import NotExplainable, Recorded, recorded
from roles.scenario import ScenarioError

MAX_BODY_BYTES: Final = 256 * 1024
"""A record is at most 64 KiB unless configured; as JSON for people it is longer."""

_MILLISECONDS: Final = 23
_ID: Final = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z"
_REASON_CHARS: Final = 256


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be explained: exactly one of the three."""

    request: dict[str, Any] | None = None
    event: dict[str, Any] | None = None
    decision_id: Annotated[str, msgspec.Meta(pattern=_ID)] | None = None


class Reading(Protocol):
    """Reads the audit for somebody (`gateway.ops.reading`)."""

    async def event(self, event_id: str, authorization: str) -> Json:
        """An event, as its reader is shown it; raises `GatewayError`."""


class Explanations:
    """Explains with the policies in force, one question after the other: each may cost some thousand decisions."""

    def __init__(self, reading: Reading | None = None) -> None:
        self._reading = reading
        self._turn = asyncio.Lock()
        self._kept: tuple[Snapshot, Explainer] | None = None

    async def explain(
        self, raw: bytes, authorization: str, snapshot: Snapshot, now: str
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Explain.

        Args:
            raw: The request's body.
            authorization: The asker's credential: what the audit shows them is explained.
            snapshot: What to decide by.
            now: The present time, RFC 3339 in UTC.

        Returns:
            The answer, and what the record of it says: which action, and which event.

        Raises:
            BadRequest: The body is not one of the three forms, or does not say enough. The reason is for the record.
            GatewayError: The audit cannot be read, or not by the asker.
        """
        body = _read(raw)
        if body.decision_id is not None:
            body = msgspec.structs.replace(body, event=await self._event(body.decision_id, authorization))
        question, principal, record = _asked(body, snapshot, now)
        details: dict[str, Any] = {"explained_action": question.action}
        if record is not None:
            details["explained_event"] = record.event_id
        async with self._turn:
            explainer = self._explainer(snapshot)
            try:
                # In a thread, so that health and metrics are answered meanwhile.
                told = await asyncio.to_thread(explainer.explain, question, principal)
            except NoDecision as exc:
                raise BadRequest(f"explain: {exc.reason}") from None
        return as_json(told, record), details

    async def _event(self, decision_id: str, authorization: str) -> dict[str, Json]:
        if self._reading is None:
            raise BadRequest("explain: there is no audit to look a decision up in")
        event = await self._reading.event(decision_id, authorization)
        if not isinstance(event, dict):
            raise BadRequest("explain: what the audit shows is no event")
        return event

    def _explainer(self, snapshot: Snapshot) -> Explainer:
        if self._kept is None or self._kept[0] is not snapshot:
            self._kept = snapshot, Explainer(snapshot.engine, snapshot.catalogue)
        return self._kept[1]


def _read(raw: bytes) -> _Body:
    value: Json = parse_json(raw)
    try:
        body = msgspec.convert(value, _Body)
    except msgspec.ValidationError as exc:
        raise BadRequest(f"explain: {exc}"[:_REASON_CHARS]) from None
    if sum(each is not None for each in (body.request, body.event, body.decision_id)) != 1:
        raise BadRequest("explain: one of `request`, `event` and `decision_id`")
    return body


def _asked(body: _Body, snapshot: Snapshot, now: str) -> tuple[Question, Principal, Recorded | None]:
    try:
        if body.event is not None:
            record = recorded(body.event)
            return record.question, record.principal, record
        question, principal = described(
            body.request,
            snapshot.bundle,
            snapshot.catalogue,
            f"{now[:_MILLISECONDS]}Z",
            cross_tenant=snapshot.cross_tenant,
        )
    except (ScenarioError, NotExplainable) as exc:
        raise BadRequest(f"explain: {exc}"[:_REASON_CHARS]) from None
    return question, principal, None
