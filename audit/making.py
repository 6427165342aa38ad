"""How a service's statements become records of its spool; what `AuditProducer` is made of."""

import asyncio
import os
from collections.abc import Callable
from typing import cast

import msgspec
import structlog

from audit.caller import WhoCalls
from audit.codec import timestamp
from audit.emit import Emitter
from audit.errors import AuditError, SpoolBusy
from audit.event import AuditEvent, Outcome, Severity
from audit.recording import Failure, Recording, failure_of, graver
from audit.statement import Free, Said, attributed, statement

_US_PER_NS = 1000

_log = structlog.get_logger("audit.emit")


class Making:
    """Makes events of one service.

    Args:
        emitter: Over its spool folder.
        service: Its name.
        calls: Says whose request is being served.
        now_ns: Nanoseconds since the epoch.
    """

    def __init__(self, emitter: Emitter, service: str, calls: WhoCalls | None, now_ns: Callable[[], int]) -> None:
        self._emitter = emitter
        self._service = service
        self._calls = calls
        self._now_ns = now_ns
        self._pid = os.getpid()

    def begin(self, more: Free) -> int:
        """The time, nanoseconds since the epoch, if it is known whose doing it will be.

        Raises:
            SpoolBusy: This process was forked from the one that opened the folder.
            Unattributed: It is not known.
        """
        self._here()
        attributed(more, self._calls)
        return self._now_ns()

    def event(self, event: Said, action: str | None, more: Free) -> AuditEvent:
        """An event, numbered: it must be emitted now.

        Raises:
            SpoolBusy: This process was forked from the one that opened the folder.
            Unattributed: Nobody is named.
        """
        self._here()
        occurred_at = timestamp(self._now_ns())
        made = statement(
            event, service=self._service, occurred_at=occurred_at, calls=self._calls, action=action, **more
        )
        # Numbered last: a number that is taken must be emitted, or it is reported as lost.
        stamp = self._emitter.stamp()
        return msgspec.structs.replace(made, event_id=stamp.event_id, producer=stamp.producer)

    def emit(self, event: AuditEvent, *, durable: bool = False) -> str:
        """Give an event to the spool; its id.

        Raises:
            SpoolUnavailable: `durable` and it is not safe.
        """
        if durable:
            self._emitter.emit_and_wait(event)
        else:
            self._emitter.emit(event)
        return event.event_id

    def close(self) -> bool:
        """Give the folder up; whether the epoch ended cleanly. A forked process has nothing to give up."""
        return os.getpid() == self._pid and self._emitter.close()

    def _here(self) -> None:
        """See that somebody writes what is emitted: the thread that does was not forked, and numbers would come twice.

        Raises:
            SpoolBusy: Nobody does.
        """
        if os.getpid() != self._pid:
            raise SpoolBusy(f"service {self._service}: opened before a fork, in process {self._pid}; open it in each")

    def keep(self, event: AuditEvent) -> "asyncio.Future[None]":
        """Give an event to the spool; done when it is safe.

        Raises:
            SpoolUnavailable: From the call: there is no room, and no record. From the future: the disk has refused, and
                the record may stand there all the same.
        """
        return self._emitter.emit_durable(event)

    def done(self, event: Said, action: str | None, record: Recording, began_ns: int, more: Free) -> AuditEvent:
        """The event of a block that did what it was for, numbered: it must be emitted now.

        Raises:
            TypeError: What the block says cannot be said. That is recorded as its failure: what it did may be done.
        """
        try:
            return self.event(record.event or event, action, self._ended(record, began_ns, more))
        except AuditError:
            raise
        except Exception as exc:
            self.failed(event, action, record, began_ns, failure_of(exc), more)
            raise

    def failed(
        self, event: Said, action: str | None, record: Recording, began_ns: int, failure: Failure, more: Free
    ) -> None:
        """Record a block that did not do what it was for. Never durable: the disk's trouble must not hide its own."""
        try:
            said = failed_of(event, failure, self._ended(record, began_ns, more))
            made = self.event(record.event or event, action, said)
        except AuditError:
            raise
        except Exception as exc:  # noqa: BLE001 - whatever the block has left there must not hide how it failed
            _log.warning("audit_event_not_as_said", error=type(exc).__name__)
            made = self.event(event, action, failed_of(event, failure, self._ended(Recording(), began_ns, more)))
        self.emit(made)

    def _ended(self, record: Recording, began_ns: int, more: Free) -> Free:
        """What was said beforehand and in the block, and how long it took."""
        return said_of(record, more, (self._now_ns() - began_ns) // _US_PER_NS)


class Calls:
    """Makes the events of one handler's calls; a `Keeper`."""

    def __init__(
        self, making: Making, event: Said, action: str | None, severity: Severity | None, *, durable: bool
    ) -> None:
        self._making = making
        self._event = event
        self._action = action
        self._more: Free = {} if severity is None else {"severity": severity}
        self._durable = durable

    def begin(self, said: Free) -> int:
        """See `Keeper`. Where nobody is known the handler is not even begun."""
        return self._making.begin(said)

    def end(self, record: Recording, began_ns: int, said: Free, failure: Failure | None) -> AuditEvent | None:
        """See `Keeper`."""
        more = cast("Free", {**self._more, **said})
        if failure is not None:
            self._making.failed(self._event, self._action, record, began_ns, failure, more)
            return None
        made = self._making.done(self._event, self._action, record, began_ns, more)
        if self._durable:
            return made
        self._making.emit(made)
        return None

    async def keep(self, event: AuditEvent) -> None:
        """See `Keeper`."""
        await self._making.keep(event)

    def keep_blocking(self, event: AuditEvent) -> None:
        """See `Keeper`."""
        self._making.emit(event, durable=True)


def said_of(record: Recording, more: Free, latency_us: int) -> Free:
    """What was said of an event beforehand, and what the block says besides."""
    said = cast("Free", {**more, "latency_us": latency_us, "outcome": record.outcome})
    details = {**(more.get("details") or {}), **(record.details or {})}
    if details:
        said["details"] = details
    if record.changes:
        said["changes"] = record.changes
    if record.resource is not None:
        said["resource"] = record.resource
    if record.resource_id is not None:
        said["resource_id"] = record.resource_id
    if record.crud is not None:
        said["crud"] = record.crud
    return said


def failed_of(event: Said, failure: Failure, said: Free) -> Free:
    """The same of a failure: nothing was changed, and how it failed is told."""
    severity: Severity | str = failure.severity
    if failure.severity is Severity.ERROR:
        success = said.get("severity") or (Severity.INFO if isinstance(event, str) else event.severity)
        severity = graver(success, Severity.ERROR)
    details = {**(said.get("details") or {}), **failure.details}
    return cast("Free", {**said, "outcome": Outcome.FAILURE, "changes": (), "details": details, "severity": severity})
