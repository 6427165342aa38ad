"""Records that differ from each other in a few values only, made from bytes instead of values. Pure.

A format is cut out of the bytes that `entry` and the spool's own encoder give for a case in which every value that
varies is a mark nobody else uses. So a record made from it is what they would have given, and a field that is added to
the event is in both.
"""

import re
import secrets
from typing import Final

import msgspec

from audit.event import AuditEvent, Phase, Producer
from gateway.case import Case
from gateway.model import Peer
from gateway.record import entry
from policies.model import EntityUid, Question

_SALT: Final = secrets.token_hex(8)
_EVENT, _AT, _PEER, _RESOURCE, _NOW, _TRACE = (f"{_SALT}{letter}" for letter in "abcdef")
_SEQ, _LATENCY, _SIZE = (10**17 + secrets.randbelow(10**17) * 3 + n for n in range(3))
_MARKS: Final = {
    **{mark.encode(): b"%b" for mark in (_EVENT, _AT, _PEER, _RESOURCE, _NOW, _TRACE)},
    **{str(mark).encode(): b"%d" for mark in (_SEQ, _LATENCY, _SIZE)},
}
_ANY_MARK: Final = re.compile(b"|".join(_MARKS))

_FIRST: Final = (_EVENT, _AT, _SEQ, _PEER, _RESOURCE, _RESOURCE, _NOW)
SINGLE: Final = (*_FIRST, _LATENCY, _TRACE)
"""Id, time, number, client's address, resource id twice, Cedar's time, latency, trace."""
DECIDED: Final = (*_FIRST, _TRACE)
"""Id, time, number, client's address, resource id twice, Cedar's time, trace."""
COMPLETED: Final = (_EVENT, _AT, _SEQ, _LATENCY, _TRACE)
"""Id, time, number, latency, trace."""
COMPLETED_BODY: Final = (_EVENT, _AT, _SEQ, _LATENCY, _SIZE, _TRACE)
"""The same with the size of the request's body before the trace."""


def marked(case: Case, phase: Phase, producer: Producer, policy_version: str, schema_version: str) -> AuditEvent:
    """The event of a case with marks for what varies.

    Args:
        case: Allowed, its question asked; with its status where the phase has one. Not changed.
        phase: Which record.
        producer: Whose number is left out.
        policy_version: Of the snapshot.
        schema_version: Of the snapshot.
    """
    question = case.question
    case = msgspec.structs.replace(
        case,
        event_id=_EVENT,
        trace_id=_TRACE,
        peer=Peer(_PEER, 0),
        question=_marked(question) if question is not None else None,
        request_bytes=_SIZE if case.request_bytes else 0,
    )
    producer = Producer(producer.id, producer.epoch, _SEQ)
    if phase is Phase.COMPLETED:
        return entry.completed(case, producer, _AT, _LATENCY)
    if phase is Phase.DECIDED:
        return entry.decided(case, producer, _AT, policy_version, schema_version)
    return entry.single(case, producer, _AT, _LATENCY, policy_version, schema_version)


def record_format(payload: bytes, order: tuple[object, ...]) -> bytes | None:
    """A `%` format from the bytes of a marked event.

    Args:
        payload: As the spool would write it.
        order: The values it is to be given: `SINGLE`, `DECIDED`, `COMPLETED` or `COMPLETED_BODY`.

    Returns:
        None where the marks are not exactly those: then there is no format, and records are made the long way.
    """
    wanted = [str(mark).encode() for mark in order]
    if _ANY_MARK.findall(payload) != wanted:
        return None
    return _ANY_MARK.sub(lambda found: _MARKS[found[0]], payload.replace(b"%", b"%%"))


def _marked(question: Question) -> Question:
    """The question with marks for the resource's id and the time."""
    resource = EntityUid(question.resource.type, _RESOURCE)
    entities = tuple(
        msgspec.structs.replace(entity, uid=resource) if entity.uid == question.resource else entity
        for entity in question.entities
    )
    context = {**question.context, "now": {"__extn": {"fn": "datetime", "arg": _NOW}}}
    return msgspec.structs.replace(question, resource=resource, entities=entities, context=context)
