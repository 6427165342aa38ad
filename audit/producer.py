"""Emitting domain events from a service: what happened, who did it, what changed.

    audit = AuditProducer(emitter, service="order")
    with audit.recording("order.order.created", tenant_id=..., actor=..., action="order:create",
                         resource=Resource("Order", order_id)) as record:
        ...
        record.changes = (Change("/status", "replace", "new", "paid"),)

The block's success or failure becomes the outcome; an exception goes on after it was recorded.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypedDict, Unpack

from audit.codec import timestamp
from audit.emit import Emitter
from audit.event import Actor, AuditEvent, Change, Kind, Outcome, Phase, Request, Resource, Severity
from audit.severity import fallback

_CRUD = {
    **dict.fromkeys(("create", "add"), "c"),
    **dict.fromkeys(("read", "list", "browse"), "r"),
    **dict.fromkeys(("update", "adjust"), "u"),
    "delete": "d",
}
_US_PER_NS = 1000


@dataclass(slots=True)
class Recording:
    """What a block may still say about the event it is recorded as."""

    changes: tuple[Change, ...] = ()
    details: dict[str, Any] | None = None
    outcome: Outcome = Outcome.SUCCESS
    resource: Resource | None = None


class More(TypedDict, total=False):
    """What may be said of a domain event besides.

    Attributes:
        resource: To what.
        outcome: How it ended; success unless said.
        changes: What changed; each with a JSON pointer.
        details: Small, flat, free of secrets.
        severity: One of ours, or a foreign word, which is kept beside ours; `info` unless said.
        trace_id: Of the request.
        crud: One of c r u d x; guessed from the action's verb if not given.
        latency_us: How long it took.
        kind: What sort of thing happened; `domain` unless said.
    """

    resource: Resource | None
    outcome: Outcome
    changes: tuple[Change, ...]
    details: dict[str, Any] | None
    severity: Severity | str
    trace_id: str | None
    crud: str | None
    latency_us: int | None
    kind: Kind


class AuditProducer:
    """A service's emitter. Safe to use from its loop and from its worker threads."""

    def __init__(self, emitter: Emitter, *, service: str, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._emitter = emitter
        self._service = service
        self._now_ns = now_ns

    def emit(
        self,
        event_type: str,
        *,
        tenant_id: str,
        actor: Actor,
        action: str,
        durable: bool = False,
        **more: Unpack[More],
    ) -> str:
        """Record a domain event.

        Args:
            event_type: A past fact, `order.order.created`.
            tenant_id: From the verified context, never from the request.
            actor: Who did it.
            action: The Cedar action it was allowed under.
            durable: Wait until the record is synced. For threads only: a loop awaits `emit_durable`.
            more: See `More`.

        Returns:
            The event's id.

        Raises:
            SpoolUnavailable: `durable` and the record is not safe.
        """
        event = self._event(event_type, tenant_id=tenant_id, actor=actor, action=action, **more)
        if durable:
            self._emitter.emit_and_wait(event)
        else:
            self._emitter.emit(event)
        return event.event_id

    async def emit_durable(
        self, event_type: str, *, tenant_id: str, actor: Actor, action: str, **more: Unpack[More]
    ) -> str:
        """As `emit`, done when the record is synced; for loops.

        Raises:
            SpoolUnavailable: the record is not safe.
        """
        event = self._event(event_type, tenant_id=tenant_id, actor=actor, action=action, **more)
        await self._emitter.emit_durable(event)
        return event.event_id

    @contextmanager
    def recording(
        self,
        event_type: str,
        *,
        tenant_id: str,
        actor: Actor,
        action: str,
        resource: Resource | None = None,
        trace_id: str | None = None,
        severity: Severity | str = Severity.INFO,
        durable: bool = False,
    ) -> Iterator[Recording]:
        """Record the block that follows, success and failure alike.

        A failure is recorded at `error` or what is graver, with the exception's class, never its text: messages carry
        values. It is never durable, so that the disk's trouble cannot hide the service's own.
        """
        recording = Recording(resource=resource)
        began_ns = self._now_ns()
        try:
            yield recording
        except BaseException as exc:
            details = {**(recording.details or {}), "error": type(exc).__name__}
            self.emit(
                event_type,
                tenant_id=tenant_id,
                actor=actor,
                action=action,
                resource=recording.resource,
                outcome=Outcome.FAILURE,
                details=details,
                severity=Severity.ERROR,
                trace_id=trace_id,
                latency_us=(self._now_ns() - began_ns) // _US_PER_NS,
            )
            raise
        self.emit(
            event_type,
            tenant_id=tenant_id,
            actor=actor,
            action=action,
            resource=recording.resource,
            outcome=recording.outcome,
            changes=recording.changes,
            details=recording.details,
            severity=severity,
            trace_id=trace_id,
            latency_us=(self._now_ns() - began_ns) // _US_PER_NS,
            durable=durable,
        )

    def _event(
        self,
        event_type: str,
        *,
        tenant_id: str,
        actor: Actor,
        action: str,
        resource: Resource | None = None,
        outcome: Outcome = Outcome.SUCCESS,
        changes: tuple[Change, ...] = (),
        details: dict[str, Any] | None = None,
        severity: Severity | str = Severity.INFO,
        trace_id: str | None = None,
        crud: str | None = None,
        latency_us: int | None = None,
        kind: Kind = Kind.DOMAIN,
    ) -> AuditEvent:
        ours, foreign = (severity, None) if isinstance(severity, Severity) else fallback(severity)
        stamp = self._emitter.stamp()
        return AuditEvent(
            event_id=stamp.event_id,
            phase=Phase.SINGLE,
            event_type=event_type,
            kind=kind,
            tenant_id=tenant_id,
            occurred_at=timestamp(self._now_ns()),
            producer=stamp.producer,
            actor=actor,
            action=action,
            crud=crud or _CRUD.get(action.rpartition(":")[2], "x"),
            resource=resource,
            outcome=outcome,
            latency_us=latency_us,
            request=Request(service=self._service),
            trace_id=trace_id,
            severity=ours,
            severity_original=foreign,
            changes=changes,
            details=details,
        )
