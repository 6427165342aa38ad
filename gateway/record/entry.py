"""A `Case` to the records that are kept of it: the only file that knows both sides. Pure.

Every request leaves exactly one event. It is one record, `single`, where the decision can be written when all is over
(a refusal, or a buffered route at its end); it is two, `decided` before the first byte goes to the service and
`completed` after the last, where the decision must be on disk first.
"""

from typing import Any, Final

from audit.event import (
    NO_TENANT,
    Actor,
    AuditEvent,
    Client,
    Decision,
    Input,
    Kind,
    Outcome,
    Phase,
    Producer,
    Request,
    Resource,
    Severity,
)
from audit.fold import FoldKey, network
from gateway.case import Case, Closing
from gateway.errors import Code
from gateway.model import Certificate
from policies.model import Entity, Question

EVENT_TYPE: Final = "authz.decision.evaluated"
PREFLIGHT: Final = "authz.preflight.answered"
CLOSED: Final = {"websocket": "authz.tunnel.closed", "event_stream": "authz.stream.closed"}
_USER_AGENT_BYTES: Final = 256
_DETAIL_CHARS: Final = 256
_CRUD: Final = {b"GET": "r", b"HEAD": "r", b"POST": "c", b"PUT": "u", b"PATCH": "u", b"DELETE": "d"}
_SERVER_FAULT: Final = 500
_CLIENT_FAULT: Final = 400
_SECURITY: Final = frozenset({Code.TENANT_MISMATCH})


def decided(case: Case, producer: Producer, now: str, policy_version: str, schema_version: str) -> AuditEvent:
    """The first record of a durable allow: what was decided, before anything is done."""
    return _event(case, producer, now, Phase.DECIDED, policy_version, schema_version)


def single(
    case: Case, producer: Producer, now: str, latency_us: int, policy_version: str, schema_version: str
) -> AuditEvent:
    """The only record of a refusal, or of a buffered exchange that is over."""
    return _event(case, producer, now, Phase.SINGLE, policy_version, schema_version, latency_us, _outcome(case))


def completed(case: Case, producer: Producer, now: str, latency_us: int) -> AuditEvent:
    """The second record of a durable allow: how it ended. Readers see it joined with the first."""
    return AuditEvent(
        event_id=case.event_id,
        phase=Phase.COMPLETED,
        event_type=EVENT_TYPE,
        kind=Kind.DECISION,
        tenant_id=tenant_of(case),
        occurred_at=now,
        producer=producer,
        outcome=_outcome(case),
        status=case.status,
        latency_us=latency_us,
        request=_request(case),
        trace_id=case.trace_id,
        severity=_severity(case),
        details=_details(case),
    )


def closed(case: Case, closing: Closing, event_id: str, producer: Producer, now: str) -> AuditEvent:
    """The event of a tunnel's or an event stream's end; `details.opened_by` is the event of its opening.

    Where it was cut because it would now be refused, `decision` is that refusal.
    """
    again = closing.again
    details: dict[str, Any] = {
        "opened_by": case.event_id,
        "kind": closing.kind,
        "why": closing.why,
        "bytes_received": case.request_bytes,
        "bytes_sent": case.response_bytes,
    }
    if closing.close_code is not None:
        details["close_code"] = closing.close_code
    if again is not None and again.error is not None:
        details["reason"] = again.error.reason
    clean = closing.why in {"closed", "client_gone", "drain"}  # whoever listens to a stream ends it by going
    return AuditEvent(
        event_id=event_id,
        phase=Phase.SINGLE,
        event_type=CLOSED[closing.kind],
        kind=Kind.DECISION,
        tenant_id=tenant_of(case),
        occurred_at=now,
        producer=producer,
        actor=_actor(case),
        client=_client(case),
        action=case.match.route.action if case.match else None,
        crud="x",
        resource=_resource(case.question),
        decision=_decision(again, closing.policy_version) if again is not None else None,
        outcome=Outcome.SUCCESS if clean else Outcome.FAILURE,
        latency_us=max(0, int(closing.lasted_s * 1e6)),
        request=_request(case),
        trace_id=case.trace_id,
        severity=Severity.INFO if clean else Severity.WARN,
        details=details,
    )


def preflight(case: Case, producer: Producer, now: str) -> AuditEvent:
    """The record of a preflight, which a page's browser sends before a request and which this gateway answers alone."""
    head = case.head
    origin = head.get(b"origin") if head else None
    asked = head.get(b"access-control-request-method") if head else None
    details = {"origin": origin, "method": asked}
    return AuditEvent(
        event_id=case.event_id,
        phase=Phase.SINGLE,
        event_type=PREFLIGHT,
        kind=Kind.DECISION,
        tenant_id=NO_TENANT,
        occurred_at=now,
        producer=producer,
        actor=_actor(case),
        client=_client(case),
        crud="x",
        decision=Decision(effect="allow" if case.cors_granted else "deny"),
        outcome=Outcome.SUCCESS,
        status=case.status,
        request=_request(case),
        trace_id=case.trace_id,
        details={name: value.decode("latin-1")[:_DETAIL_CHARS] for name, value in details.items() if value},
    )


def preflight_key(case: Case) -> FoldKey:
    """What preflights have in common that share a record: what they were told, the network, the route."""
    word = "preflight granted" if case.cors_granted else "preflight"
    return FoldKey(word, network(case.peer.ip), case.match.route.template if case.match else "")


def tenant_of(case: Case) -> str:
    """Whom the record is booked to: the credential's tenant, `-` without one. Never what a stranger merely names."""
    if case.identity is not None and case.identity.token_sha256:
        return case.identity.principal.tenant_id
    return case.claimed_tenant or NO_TENANT


def fold_key(case: Case, door: str = "") -> FoldKey:
    """What a stranger's refusal has in common with those it may share a record with.

    The exact reason belongs to it, because the record is the only place that tells it, the tenant it is booked to, and
    the door it came to where that is not the public port.
    """
    reason = f"{case.error.code.word} {case.error.reason} {tenant_of(case)}" if case.error else ""
    reason += f" {door}" if door else ""
    return FoldKey(reason, network(case.peer.ip), case.match.route.template if case.match else "")


def is_known(case: Case) -> bool:
    """Whether the caller's credential held, so that a refusal is theirs and must be durable."""
    return case.identity is not None and bool(case.identity.token_sha256)


def _event(
    case: Case,
    producer: Producer,
    now: str,
    phase: Phase,
    policy_version: str,
    schema_version: str,
    latency_us: int | None = None,
    outcome: Outcome | None = None,
) -> AuditEvent:
    """A record with everything that is known."""
    match = case.match
    question = case.question
    return AuditEvent(
        event_id=case.event_id,
        phase=phase,
        event_type=EVENT_TYPE,
        kind=Kind.DECISION,
        tenant_id=tenant_of(case),
        occurred_at=now,
        producer=producer,
        actor=_actor(case),
        client=_client(case),
        action=match.route.action if match else None,
        crud=_CRUD.get(case.head.method, "x") if case.head else "x",
        resource=_resource(question),
        decision=_decision(case, policy_version),
        input=_input(question, schema_version) if question else None,
        outcome=outcome,
        status=case.status,
        latency_us=latency_us,
        request=_request(case),
        trace_id=case.trace_id,
        severity=_severity(case),
        details=_details(case),
    )


def _actor(case: Case) -> Actor:
    if case.identity is None:
        return Actor(type="unknown", id=case.claimed_sub)
    principal = case.identity.principal
    if not case.identity.token_sha256:
        return Actor(type="anonymous", roles=principal.roles, auth_method=case.identity.auth_method)
    return Actor(
        type="user",
        id=principal.sub,
        roles=principal.roles,
        auth_method=case.identity.auth_method,
        issuer=principal.issuer,
    )


def _client(case: Case) -> Client:
    agent = case.head.get(b"user-agent") if case.head else None
    text = agent[:_USER_AGENT_BYTES].decode("latin-1") if agent else None
    return Client(ip=case.peer.ip, user_agent=text)


def _request(case: Case) -> Request | None:
    if case.head is None:
        return None
    route = case.match.route if case.match else None
    return Request(
        method=case.head.method.decode("ascii"),
        route=route.template if route else None,
        service=route.service if route else None,
        size_bytes=case.request_bytes,
    )


def _resource(question: Question | None) -> Resource | None:
    return Resource(type=question.resource.type, id=question.resource.id) if question else None


def _decision(case: Case, policy_version: str) -> Decision:
    answer, error = case.answer, case.error
    denied = answer is None or not answer.allows
    return Decision(
        effect="deny" if denied else "allow",
        reasons=answer.reasons if answer else (),
        code=error.code.word if error else None,
        missing_role=error.missing_role if error else None,
        policy_version=policy_version if answer else None,
        memo_hit=case.memo_hit,
        duration_us=case.decision_us,
    )


def _input(question: Question, schema_version: str) -> Input:
    """What Cedar was given, as plain values; class `secret` goes before the record is written."""
    principal = _entity(next(entity for entity in question.entities if entity.uid == question.principal))
    resource = _entity(next(entity for entity in question.entities if entity.uid == question.resource))
    return Input(principal=principal, resource=resource, context=dict(question.context), schema_version=schema_version)


def _entity(entity: Entity) -> dict[str, Any]:
    found: dict[str, Any] = {"type": entity.uid.type, "id": entity.uid.id, "attrs": dict(entity.attrs)}
    if entity.parents:
        found["parents"] = [{"type": parent.type, "id": parent.id} for parent in entity.parents]
    return found


def _outcome(case: Case) -> Outcome:
    if case.status is None:
        return Outcome.UNKNOWN if case.forwarded else Outcome.FAILURE
    return Outcome.FAILURE if case.status >= _CLIENT_FAULT or case.cut else Outcome.SUCCESS


def _severity(case: Case) -> Severity:
    if case.error is not None and case.error.code in _SECURITY:
        return Severity.SECURITY
    if case.crosses:
        return Severity.SECURITY
    status = case.status or 0
    if status >= _SERVER_FAULT:
        return Severity.ERROR
    return Severity.WARN if case.error is not None else Severity.INFO


def _shown(certificate: Certificate | None) -> dict[str, Any]:
    """What the client has proved itself with in the TLS handshake, where it has."""
    if certificate is None:
        return {}
    return {"client_certificate": certificate.sha256, "client_certificate_subject": certificate.subject}


def _details(case: Case) -> dict[str, Any] | None:
    """The rest that an auditor needs: exact reason, tenants, dropped roles, policies that failed, why it was cut."""
    found: dict[str, Any] = {}
    if case.error is not None:
        found["reason"] = case.error.reason
    if case.named_tenants and (case.error is not None or not is_known(case) or case.crosses):
        found["named_tenants"] = [name[:_DETAIL_CHARS] for name in case.named_tenants]
    if case.crosses:
        found["resource_tenant_id"] = case.tenant_id
    if case.identity is not None and case.identity.dropped_roles:
        found["dropped_roles"] = [name[:_DETAIL_CHARS] for name in case.identity.dropped_roles]
    if case.answer is not None and (case.answer.errors or case.field_errors):
        found["policy_errors"] = [error.policy_id for error in (*case.answer.errors, *case.field_errors)]
    if case.withheld:
        found["withheld"] = [item.data_class.value for item in case.withheld]
        if case.redacted:
            found["redacted_fields"] = case.redacted
    found |= _shown(case.peer.certificate)
    if case.cut is not None:
        found["cut"] = case.cut
        if case.error is not None:
            found["code"] = case.error.code.word
    return found or None
