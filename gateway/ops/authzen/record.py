"""What is written down of answers: one event for each question that was put, by the record function of every door.

`actor` is who asked, because nobody else has done anything: the subject was only asked about, and stands in
`input.principal`. The record is booked to the asker's tenant, as every record of a token is (ADR 0137).
"""

import asyncio
from typing import Any, Final

import msgspec

from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.event import AuditEvent
from gateway.case import Case
from gateway.errors import Code, Unready
from gateway.model import Match
from gateway.ops.authzen.asking import Asked
from gateway.ops.authzen.message import Evaluation
from gateway.ops.authzen.turns import Turns
from gateway.record.entry import single
from policies.bundle import Bundle

DOOR: Final = "authzen"
_PARTIES: Final = 2
_TEXT_CHARS: Final = 256


class Item(msgspec.Struct):
    """A question that was answered.

    Attributes:
        case: Its own; of the request that asked it.
        asked: What became of it.
        evaluation: As the caller put it; None where it could not be read.
        number: Its place in a batch, from 0; None outside of one.
    """

    case: Case
    asked: Asked
    evaluation: Evaluation | None
    number: int | None = None


class Recorder:
    """Writes what was answered.

    Args:
        emitter: Where records go.
        durable: Whether an answer waits for them.
    """

    def __init__(self, emitter: Emitter, *, durable: bool) -> None:
        self._emitter = emitter
        self._durable = durable

    def item(
        self, case: Case, asked: Asked, evaluation: Evaluation | None, number: int | None = None, status: int = 200
    ) -> Item:
        """A question of a request, with an event id of its own.

        Args:
            case: The request, admitted.
            asked: What became of the question.
            evaluation: The question.
            number: Its place in a batch.
            status: What the request is answered with.
        """
        match = case.match
        if match is not None and asked.action is not None:
            match = Match(msgspec.structs.replace(match.route, action=asked.action.id), {})
        own = msgspec.structs.replace(
            case,
            event_id=self._emitter.event_id(),
            match=match,
            question=asked.question,
            answer=asked.answer,
            memo_hit=asked.memo_hit,
            decision_us=asked.took_us,
            status=status,
        )
        return Item(own, asked, evaluation, number)

    async def keep(self, items: list[Item], bundle: Bundle, at: str, latency_us: int, request_id: str | None) -> int:
        """Write the records of one request, all of them before it is answered.

        Args:
            items: Its questions.
            bundle: What decided.
            at: When it was taken up, RFC 3339.
            latency_us: How long it took.
            request_id: What the caller calls it.

        Returns:
            How many the spool did not take; they are counted, and their numbers will be told.

        Raises:
            Unready: They must be on disk and cannot be. Nothing may be answered.
        """
        turns, waiting, shed = Turns(), list[asyncio.Future[None]](), 0
        try:
            for item in items:
                event = self._event(item, bundle, at, latency_us, request_id)
                if self._durable:
                    waiting.append(self._emitter.emit_durable(event))
                else:
                    shed += not self._emitter.emit(event)
                await turns.pause()
            # Handed over in a row, waited for together: one sync is for many.
            await asyncio.gather(*waiting)
        except SpoolUnavailable:
            await asyncio.gather(*waiting, return_exceptions=True)
            raise Unready("spool", code=Code.AUDIT_UNAVAILABLE) from None
        return shed

    def _event(self, item: Item, bundle: Bundle, at: str, latency_us: int, request_id: str | None) -> AuditEvent:
        producer = self._emitter.producer(item.case.event_id)
        event = single(item.case, producer, at, latency_us, bundle.version, bundle.schema_version)
        question, given = item.asked.question, event.input
        if given is not None and question is not None and len(question.entities) > _PARTIES:
            # The record has principal and resource; whoever decides it again must know that there was more.
            given = msgspec.structs.replace(given, truncated=True)
        details = {**(event.details or {}), **_details(item, request_id)}
        action = event.action if item.asked.action is not None else None
        return msgspec.structs.replace(event, action=action, crud="x", input=given, details=details)


def _details(item: Item, request_id: str | None) -> dict[str, Any]:
    asked, evaluation = item.asked, item.evaluation
    found: dict[str, Any] = {"door": DOOR}
    if request_id is not None:
        found["request_id"] = request_id
    if item.number is not None:
        found["item"] = item.number
    if asked.overruled:
        found["overruled"] = [name[:_TEXT_CHARS] for name in asked.overruled]
    if asked.dropped_roles:
        found["dropped_roles"] = [name[:_TEXT_CHARS] for name in asked.dropped_roles]
    if asked.problem is not None:
        found["reason"] = asked.problem
    if asked.question is None and evaluation is not None:
        subject, resource = evaluation.subject, evaluation.resource
        found["subject_type"], found["subject_id"] = subject.type, subject.id[:_TEXT_CHARS]
        found["action"] = evaluation.action.name
        found["resource_type"], found["resource_id"] = resource.type, resource.id[:_TEXT_CHARS]
    return found
