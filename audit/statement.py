"""What a service says of something that happened, made into an event. Pure.

An event is said by its name or by a value of a type that is generated from the registry, and of a caller or of a tenant
and an actor; here the four become one.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, TypedDict, Unpack

from audit.caller import Caller, WhoCalls, actor_of, told_of
from audit.errors import Unattributed
from audit.event import Actor, AuditEvent, Change, Kind, Outcome, Phase, Producer, Request, Resource, Severity
from audit.registry.typed import TypedEvent
from audit.severity import fallback

_CRUD: Final[Mapping[str, str]] = {
    **dict.fromkeys(("create", "add"), "c"),
    **dict.fromkeys(("read", "list", "browse"), "r"),
    **dict.fromkeys(("update", "adjust"), "u"),
    "delete": "d",
}

Said: TypeAlias = str | TypedEvent | type[TypedEvent]
"""An event: its registered name, its value, or its type where the fields are not known yet."""


class Who(TypedDict, total=False):
    """Whose doing it is. One of the three: a caller, a tenant with an actor, or nothing where a request is served.

    Attributes:
        caller: The verified context of the request.
        tenant_id: From the verified context, never from the request.
        actor: Who did it.
        trace_id: Of the request; the caller's unless said.
    """

    caller: Caller | None
    tenant_id: str
    actor: Actor
    trace_id: str | None


class More(Who, total=False):
    """What may be said of an event besides.

    Attributes:
        resource: To what.
        resource_id: To what, where the event's type says of which type it is.
        outcome: How it ended; success unless said.
        changes: What changed; each with a JSON pointer.
        severity: One of ours, or a foreign word, which is kept beside ours; `info`, or the event's own, unless said.
        crud: One of c r u d x; guessed from the action's verb if not given.
        latency_us: How long it took.
    """

    resource: Resource | None
    resource_id: str | None
    outcome: Outcome
    changes: tuple[Change, ...]
    severity: Severity | str
    crud: str | None
    latency_us: int | None


class Free(More, total=False):
    """What may be said of an event that has only a name: the types of the registry say it themselves.

    Attributes:
        details: Small, flat, free of secrets.
        kind: What sort of thing happened; `domain` unless said.
    """

    details: dict[str, Any] | None
    kind: Kind


NOBODY: Final = Producer("", 0, 0)
"""The producer of an event that nobody has written yet."""


def attributed(who: Who, calls: WhoCalls | None) -> tuple[str, Actor, str | None, dict[str, Any]]:
    """Whose doing it is.

    Args:
        who: What was said of it.
        calls: Says whose request is served, where nothing was said.

    Returns:
        Tenant, actor, trace, and what the details say of the caller.

    Raises:
        Unattributed: Nobody was named.
    """
    caller = who.get("caller")
    tenant_id, actor = who.get("tenant_id"), who.get("actor")
    if caller is None and calls is not None and (tenant_id is None or actor is None):
        caller = calls()
    trace_id = who.get("trace_id")
    if caller is None:
        if not tenant_id or actor is None:
            raise Unattributed("nobody is named: give caller, or tenant_id and actor, or emit while serving a request")
        return tenant_id, actor, trace_id, {}
    if tenant_id is not None and tenant_id != caller.tenant_id:
        raise Unattributed("the tenant that is named is not the caller's")
    if not caller.tenant_id:
        raise Unattributed("the caller has no tenant")
    return caller.tenant_id, actor or actor_of(caller), trace_id or caller.trace_id or None, told_of(caller)


def statement(
    event: Said,
    *,
    service: str,
    occurred_at: str,
    calls: WhoCalls | None = None,
    action: str | None = None,
    **more: Unpack[Free],
) -> AuditEvent:
    """The event, without an identity yet: whoever writes it mints one.

    Args:
        event: Its name, its value or its type.
        service: Who says it.
        occurred_at: RFC 3339, UTC.
        calls: Says whose request is served, where `more` names nobody.
        action: The Cedar action it was allowed under; the event's own unless said.
        more: See `Free`.

    Raises:
        Unattributed: Nobody is named.
        TypeError: There is no action, or no type of resource to an id.
    """
    tenant_id, actor, trace_id, told = attributed(more, calls)
    typed = None if isinstance(event, str) else event
    details = typed.details() if isinstance(typed, TypedEvent) else None
    details = {**told, **(details or {}), **(more.get("details") or {})} or None
    action = action or (typed.action if typed is not None else None)
    if action is None:
        raise TypeError("an event without an action: say under which it was allowed")
    said = more.get("severity", typed.severity if typed is not None else Severity.INFO)
    severity, foreign = (said, None) if isinstance(said, Severity) else fallback(said)
    return AuditEvent(
        event_id="",
        phase=Phase.SINGLE,
        event_type=event if isinstance(event, str) else event.event_type,
        kind=more.get("kind", typed.kind if typed is not None else Kind.DOMAIN),
        tenant_id=tenant_id,
        occurred_at=occurred_at,
        producer=NOBODY,
        actor=actor,
        action=action,
        crud=more.get("crud")
        or (typed.crud if typed is not None else None)
        or _CRUD.get(action.rpartition(":")[2], "x"),
        resource=_resource(typed, more.get("resource"), more.get("resource_id")),
        outcome=more.get("outcome", Outcome.SUCCESS),
        latency_us=more.get("latency_us"),
        request=Request(service=service),
        trace_id=trace_id,
        severity=severity,
        severity_original=foreign,
        changes=more.get("changes", ()),
        details=details,
    )


def _resource(
    typed: TypedEvent | type[TypedEvent] | None, resource: Resource | None, resource_id: str | None
) -> Resource | None:
    if resource is not None:
        return resource
    resource_type = typed.resource_type if typed is not None else None
    if resource_type is not None:
        return Resource(resource_type, resource_id)
    if resource_id is not None:
        raise TypeError("a resource_id without a type: give a resource")
    return None
