"""Recorded decisions, as a gateway would have left them."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from audit.codec import encode
from audit.event import Actor, AuditEvent, Decision, Kind, Phase, Producer, Request, Resource
from audit.ids import id_at
from gateway.record.entry import EVENT_TYPE, _input
from policies.model import Answer, Json, Question
from roles.model import Principal
from tests.builders.questions import make_principal, make_question, real_bundle, real_engine

AT_MS = 1_795_000_000_000
"""When the first was made."""


def event_id(number: int) -> str:
    """The id of the n-th decision."""
    return id_at(AT_MS + number, number.to_bytes(10, "big"))


def event(
    question: Question,
    principal: Principal,
    answer: Answer,
    number: int = 0,
    *,
    phase: Phase = Phase.SINGLE,
    policy_version: str | None = None,
    schema_version: str | None = None,
    **changes: Any,
) -> AuditEvent:
    """The record of an answered question."""
    bundle = real_bundle()
    made = AuditEvent(
        event_id=event_id(number),
        phase=phase,
        event_type=EVENT_TYPE,
        kind=Kind.DECISION,
        tenant_id=principal.tenant_id,
        occurred_at="2026-11-23T15:00:00.000000Z",
        producer=Producer("test-w0", 1, number + 1),
        actor=Actor(type="user", id=principal.sub, roles=principal.roles, auth_method="jwt", issuer=principal.issuer),
        action=question.action,
        resource=Resource(question.resource.type, question.resource.id),
        decision=Decision(
            effect=answer.effect.value,
            reasons=answer.reasons,
            policy_version=bundle.version if policy_version is None else policy_version,
            duration_us=80,
        ),
        input=_input(question, bundle.schema_version if schema_version is None else schema_version),
        request=Request(method="GET", route="/x", service="order"),
        trace_id=f"{number:032x}",
    )
    return msgspec.structs.replace(made, **changes)


def decided(
    role: str,
    action: str,
    number: int = 0,
    *,
    tenant: str = "acme",
    sub: str = "u-1",
    of: str | None = None,
    resource_id: str = "r-1",
    context: Mapping[str, Json] | None = None,
    **changes: Any,
) -> AuditEvent:
    """What the real policies answered to a question of somebody with this role."""
    principal = make_principal([role], tenant, sub)
    question = make_question(principal, action, of=of, resource_id=resource_id, context=dict(context or {}))
    return event(question, principal, real_engine().decide(question), number, **changes)


def ndjson(events: Iterable[AuditEvent | bytes]) -> bytes:
    """One a line."""
    return b"".join(_lines(events))


def _lines(events: Iterable[AuditEvent | bytes]) -> Iterator[bytes]:
    for each in events:
        yield (each if isinstance(each, bytes) else encode(each)) + b"\n"
