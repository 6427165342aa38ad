"""Emitting domain events from a service: what happened, who did it, what changed.

    audit = AuditProducer(emitter, service="order", calls=current_context)

    audit.emit(OrderCancelled(refund_cents=1200), resource_id=order_id)            # a registered event
    audit.emit("order.order.cancelled", action="order:cancel", caller=context)     # the same by its name

    with audit.recording("order.order.shipped", action="order:ship") as record: ...        # a block
    async with audit.changing("order.order.cancelled", action="order:cancel") as change:   # no record, no change
        change.then(lambda: orders.remove(order_id))

    @audit.recorded("order.order.created", action="order:create")                  # a handler
    async def create(...): ...

Success and failure are recorded alike; an exception goes on after it was recorded.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, TypeVar, Unpack, overload

from audit.caller import WhoCalls
from audit.emit import Emitter
from audit.event import Severity
from audit.making import Calls, Making
from audit.recorded import Arguments, Current, Recorded
from audit.recording import ERROR, INSTEAD_OF, Changing, Failure, Recording, failure_of
from audit.registry.typed import TypedEvent
from audit.statement import Free, More, Said

Handler = TypeVar("Handler", bound=Callable[..., Any])


class AuditProducer:
    """A service's emitter. Safe to use from its loop and from its worker threads; in the process that opened it alone.

    Elsewhere, after a fork, whatever emits raises `SpoolBusy`.

    Args:
        emitter: Over the service's own spool folder.
        service: Its name.
        calls: Says whose request is being served, for events of which nobody is named.
        now_ns: Nanoseconds since the epoch.
    """

    def __init__(
        self,
        emitter: Emitter,
        *,
        service: str,
        calls: WhoCalls | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._making = Making(emitter, service, calls, now_ns)
        self._current = Current()

    @overload
    def emit(
        self, event: TypedEvent, /, *, action: str | None = None, durable: bool = False, **more: Unpack[More]
    ) -> str: ...
    @overload
    def emit(self, event: str, /, *, action: str, durable: bool = False, **more: Unpack[Free]) -> str: ...
    def emit(
        self, event: TypedEvent | str, /, *, action: str | None = None, durable: bool = False, **more: Unpack[Free]
    ) -> str:
        """Record an event.

        Args:
            event: A registered event, or a past fact by its name: `order.order.created`.
            action: The Cedar action it was allowed under; a registered event has its own.
            durable: Wait until the record is synced. For threads only: a loop awaits `emit_durable`.
            more: See `audit.statement.More`; of an event by its name also `details` and `kind`.

        Returns:
            The event's id.

        Raises:
            SpoolUnavailable: `durable` and the record is not safe.
            Unattributed: Nobody is named, and no request is being served.
        """
        return self._making.emit(self._making.event(event, action, more), durable=durable)

    @overload
    async def emit_durable(self, event: TypedEvent, /, *, action: str | None = None, **more: Unpack[More]) -> str: ...
    @overload
    async def emit_durable(self, event: str, /, *, action: str, **more: Unpack[Free]) -> str: ...
    async def emit_durable(self, event: TypedEvent | str, /, *, action: str | None = None, **more: Unpack[Free]) -> str:
        """As `emit`, done when the record is synced; for loops.

        Raises:
            SpoolUnavailable: The record is not safe.
            Unattributed: Nobody is named, and no request is being served.
        """
        made = self._making.event(event, action, more)
        await self._making.keep(made)
        return made.event_id

    @overload
    def recording(
        self,
        event: TypedEvent | type[TypedEvent],
        /,
        *,
        action: str | None = None,
        durable: bool = False,
        **more: Unpack[More],
    ) -> AbstractContextManager[Recording]: ...
    @overload
    def recording(
        self, event: str, /, *, action: str, durable: bool = False, **more: Unpack[Free]
    ) -> AbstractContextManager[Recording]: ...
    @contextmanager
    def recording(
        self, event: Said, /, *, action: str | None = None, durable: bool = False, **more: Unpack[Free]
    ) -> Iterator[Recording]:
        """Record the block that follows, success and failure alike.

        A failure is recorded with the exception's class, never its text: messages carry values. It is at `notice` where
        the exception stands for a refusal (4xx), else at `error` or what is graver. It is never durable, so that the
        disk's trouble cannot hide the service's own.

        Raises:
            Unattributed: Nobody is named; the block is not entered.
            SpoolUnavailable: `durable` and the record is not safe. What the block did is done: see `changing`.
        """
        began_ns, record = self._making.begin(more), Recording()
        try:
            yield record
        except BaseException as exc:
            self._making.failed(event, action, record, began_ns, failure_of(exc), more)
            raise
        made = self._making.done(event, action, record, began_ns, more)
        self._making.emit(made, durable=durable)

    @overload
    def changing(
        self, event: TypedEvent | type[TypedEvent], /, *, action: str | None = None, **more: Unpack[More]
    ) -> AbstractAsyncContextManager[Changing]: ...
    @overload
    def changing(
        self, event: str, /, *, action: str, **more: Unpack[Free]
    ) -> AbstractAsyncContextManager[Changing]: ...
    @asynccontextmanager
    async def changing(
        self, event: Said, /, *, action: str | None = None, **more: Unpack[Free]
    ) -> AsyncIterator[Changing]:
        """Judge, record and make one change.

        The block judges and stages (`change.then`). When it ends, the record is made durable, and only then what is
        staged is done, so that a change nobody can account for never happens. A block that raises changes nothing and
        is recorded as a failure.

        A change in a database of the service's own belongs into `audit.outbox` instead.

        Raises:
            Unattributed: Nobody is named; the block is not entered.
            SpoolUnavailable: The record is not safe, and nothing was changed.
        """
        began_ns, change = self._making.begin(more), Changing()
        try:
            yield change
        except BaseException as exc:
            self._making.failed(event, action, change, began_ns, failure_of(exc), more)
            raise
        made = self._making.done(event, action, change, began_ns, more)
        safe = self._making.keep(made)  # raises where there is no room: no record, no change
        try:
            await safe
            change.make()
        except BaseException as exc:
            # The record may say that it was done. A second one says that it was not, or not wholly.
            failure = Failure({ERROR: type(exc).__name__, INSTEAD_OF: made.event_id}, Severity.ERROR)
            self._making.failed(event, action, change, began_ns, failure, more)
            raise

    @overload
    def recorded(
        self,
        event: TypedEvent | type[TypedEvent],
        /,
        *,
        action: str | None = None,
        resource_id: str | None = None,
        resource_type: str | None = None,
        caller: str | None = None,
        severity: Severity | None = None,
        durable: bool = False,
    ) -> Callable[[Handler], Handler]: ...
    @overload
    def recorded(
        self,
        event: str,
        /,
        *,
        action: str,
        resource_id: str | None = None,
        resource_type: str | None = None,
        caller: str | None = None,
        severity: Severity | None = None,
        durable: bool = False,
    ) -> Callable[[Handler], Handler]: ...
    def recorded(
        self,
        event: Said,
        /,
        *,
        action: str | None = None,
        resource_id: str | None = None,
        resource_type: str | None = None,
        caller: str | None = None,
        severity: Severity | None = None,
        durable: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Record each call of a handler, success and failure alike, whether it is a coroutine or not.

        A handler has failed that raises, is cancelled, or *returns* a refusal: a response with a status of 400 or more.
        What it wants to say besides, it says of `audit.current`.

        Args:
            event: A registered event or its type, or a name.
            action: The Cedar action it is allowed under; a registered event has its own.
            resource_id: The parameter of the handler that holds the id of what it happens to.
            resource_type: Its Cedar type; a registered event has its own.
            caller: The parameter that holds the verified context; without it, whose request is served.
            severity: Of a success; the event's own unless said.
            durable: Do not answer before the record is synced. It is after the work: where the work must not happen
                without its record, use `changing`, or `audit.outbox`.

        Raises:
            TypeError: The handler is a generator, whose end is not its answer's, or has no such parameter.
        """
        calls = Calls(self._making, event, action, severity, durable=durable)
        of = resource_type or (None if isinstance(event, str) else event.resource_type)
        return Recorded(calls, self._current, Arguments(of, resource_id, caller))

    def close(self) -> bool:
        """Write everything, end the epoch, give the folder up. Blocks; harmless when repeated.

        Returns:
            Whether the epoch ended cleanly.
        """
        return self._making.close()

    async def aclose(self) -> bool:
        """As `close`, without blocking the loop."""
        return await asyncio.to_thread(self.close)

    @property
    def current(self) -> Recording:
        """What the handler that is being recorded may say about its event.

        Raises:
            LookupError: No handler is.
        """
        return self._current.get()
