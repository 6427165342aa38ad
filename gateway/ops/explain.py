"""`POST /explain`: why a request is, or would be, allowed or denied.

For principals whom Cedar allows `ops:explain`. What is explained comes in the request: a described request, or a
recorded decision as the audit shows it to whoever asks. A decision's id alone is not looked up here: the audit is read
through the query API, where the reader's view is decided and the reading recorded (ADR 0123).
"""

import asyncio
from typing import Any, Final

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
_REASON_CHARS: Final = 256


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be explained: exactly one of the two."""

    request: dict[str, Any] | None = None
    event: dict[str, Any] | None = None


class Explanations:
    """Explains with the policies in force, one question after the other: each may cost some thousand decisions."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._kept: tuple[Snapshot, Explainer] | None = None

    async def explain(self, raw: bytes, snapshot: Snapshot, now: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Explain.

        Args:
            raw: The request's body.
            snapshot: What to decide by.
            now: The present time, RFC 3339 in UTC.

        Returns:
            The answer, and what the record of it says: which action, and which event.

        Raises:
            BadRequest: The body is not one of the two forms, or does not say enough. The reason is for the record.
        """
        body = _read(raw)
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
    if (body.request is None) is (body.event is None):
        raise BadRequest("explain: one of `request` and `event`")
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
