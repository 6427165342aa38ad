"""What the core asks of the world, so that tests can answer."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from audit.emit import Stamp
from audit.event import AuditEvent, Producer
from audit.fold import FoldKey


class Waiter(Protocol):
    """A promise that a record is on disk: an `asyncio.Future`, as far as it is used here."""

    def add_done_callback(self, callback: Any, /) -> None:
        """Call back in the loop, with the waiter, once it is kept or broken."""
        ...

    def exception(self) -> BaseException | None:
        """None when the record is on disk."""
        ...


class AuditSink(Protocol):
    """Where records go: `audit.emit.Emitter`."""

    def event_id(self) -> str:
        """A fresh UUIDv7, rising within the process."""
        ...

    def producer(self, event_id: str | None = None) -> Producer:
        """This process's name, epoch and the next number; a number that is taken and never written is a loss."""
        ...

    def number(self, at_ms: int) -> int:
        """The next number alone, for an event of that time, milliseconds since the epoch."""
        ...

    def numbered(self, seq: int) -> Producer:
        """This process's name, epoch and a number that was taken."""
        ...

    def render(self, event: AuditEvent) -> bytes | None:
        """The bytes an event is written as; None where something may have to be taken out of it first."""
        ...

    def emit_rendered(self, payload: bytes, seq: int, tenant_id: str, *, durable: bool = False) -> bool:
        """As `emit`, for a record made from bytes that `render` gave."""
        ...

    def emit_rendered_durable(self, payload: bytes, seq: int, tenant_id: str, then: Callable[[bool], None]) -> None:
        """Hand over a record made from bytes that `render` gave; `then` is told, in the loop, whether it is on disk.

        Raises:
            SpoolUnavailable: There is no room for it, and `then` will not be told.
        """
        ...

    def emit(self, event: AuditEvent, *, durable: bool = False) -> bool:
        """Hand over a record without waiting. Never blocks; False when it was shed, which is counted."""
        ...

    def emit_durable(self, event: AuditEvent) -> Waiter:
        """Hand over a record; the waiter is done once it is on disk.

        Raises:
            SpoolUnavailable: There is no room for it.
        """
        ...

    def emit_folded(self, key: FoldKey, trace_id: str | None, make: Callable[[Stamp], AuditEvent]) -> None:
        """Record a refusal of an unknown caller, together with those like it; `make` is called for the first only."""
        ...

    def emit_due(self, *, everything: bool = False) -> None:
        """Hand over the folds whose second is over, or all."""
        ...


class Spawn(Protocol):
    """Starts work that nobody waits for, in a task group that somebody does."""

    def __call__(self, work: Coroutine[Any, Any, None], /) -> object:
        """Start it."""
        ...
