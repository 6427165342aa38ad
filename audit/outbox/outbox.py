"""What a service calls in the transaction that makes its change.

    outbox = Outbox("order", calls=current_context)

    async with connection.transaction():
        await connection.execute("UPDATE orders SET status = 'cancelled' WHERE id = $1", order_id)
        await outbox.emit(connection, OrderCancelled(refund_cents=1200), resource_id=order_id)

A transaction that is rolled back leaves neither. What went wrong is told by `recording`, in a transaction of its own.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Literal, Protocol, TypeAlias, Unpack, overload

import structlog

from audit.caller import WhoCalls
from audit.errors import NoTransaction
from audit.making import failed_of, said_of
from audit.outbox.body import body_of
from audit.outbox.install import quoted
from audit.recording import Failure, Recording, failure_of
from audit.redact import Rules, WriteRedactor
from audit.registry.typed import TypedEvent
from audit.statement import Free, More, Said, attributed, statement

_log = structlog.get_logger("audit.outbox")

Style: TypeAlias = Literal["numeric", "format"]
"""How a driver marks a parameter: `$1` (asyncpg, psycopg's raw cursors) or `%s` (psycopg, psycopg2)."""

_US_PER_NS = 1000


class Connection(Protocol):
    """What is needed of a connection: asyncpg's fits."""

    def is_in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A block that commits or rolls back."""

    async def fetchval(self, query: str, *args: Any) -> Any:
        """The first value of the first row."""


class Outbox:
    """Writes events into a service's own database.

    Args:
        service: Its name.
        schema: Where the table is.
        calls: Says whose request is being served, for events of which nobody is named.
        rules: What never reaches the table; without them what `audit.redaction` has by default, enforced.
        now_ns: Nanoseconds since the epoch, for how long things take.
    """

    def __init__(
        self,
        service: str,
        *,
        schema: str = "public",
        calls: WhoCalls | None = None,
        rules: Rules | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if rules is None:
            from audit.settings import RedactionSettings

            rules = RedactionSettings().rules()
        self._service = service
        self._calls = calls
        self._redactor = WriteRedactor.of(rules)
        self._now_ns = now_ns
        self._into = f"INSERT INTO {quoted(schema)}.audit_outbox (body) VALUES "  # noqa: S608 - quoted
        self._numeric = f"{self._into}($1) RETURNING event_id"

    @overload
    async def emit(
        self, connection: Connection, event: TypedEvent, /, *, action: str | None = None, **more: Unpack[More]
    ) -> str: ...
    @overload
    async def emit(self, connection: Connection, event: str, /, *, action: str, **more: Unpack[Free]) -> str: ...
    async def emit(
        self, connection: Connection, event: Said, /, *, action: str | None = None, **more: Unpack[Free]
    ) -> str:
        """Record an event in the transaction that is open.

        Args:
            connection: In a transaction, the one that makes the change.
            event: A registered event, or a past fact by its name.
            action: The Cedar action it was allowed under; a registered event has its own.
            more: See `audit.statement.More`.

        Returns:
            The event's id, which holds once the transaction has committed.

        Raises:
            NoTransaction: None is open: change and record would be two.
            Unattributed: Nobody is named.
        """
        if not connection.is_in_transaction():
            raise NoTransaction("no transaction is open: the change and its record would be two")
        return await self._write(connection, event, action, more)

    def statement(
        self, event: TypedEvent | str, /, *, style: Style = "format", action: str | None = None, **more: Unpack[Free]
    ) -> tuple[str, tuple[bytes]]:
        """The same as SQL and its parameters, for other drivers: run it in the transaction of the change.

        Returns:
            A statement that returns the event's id, and its one parameter, bytes.

        Raises:
            Unattributed: Nobody is named.
        """
        # A driver that takes `%s` takes `%` for something wherever it stands.
        text = self._numeric if style == "numeric" else f"{self._into.replace('%', '%%')}(%s) RETURNING event_id"
        return text, (self._body(event, action, more),)

    @overload
    def recording(
        self,
        connection: Connection,
        event: TypedEvent | type[TypedEvent],
        /,
        *,
        action: str | None = None,
        **more: Unpack[More],
    ) -> AbstractAsyncContextManager[Recording]: ...
    @overload
    def recording(
        self, connection: Connection, event: str, /, *, action: str, **more: Unpack[Free]
    ) -> AbstractAsyncContextManager[Recording]: ...
    @asynccontextmanager
    async def recording(
        self, connection: Connection, event: Said, /, *, action: str | None = None, **more: Unpack[Free]
    ) -> AsyncIterator[Recording]:
        """Run the block in a transaction that ends with its event; a failure is rolled back, and recorded by itself.

        Raises:
            NoTransaction: One is open already: whoever opened it would roll the record of the failure back.
            Unattributed: Nobody is named; the block is not entered.
        """
        if connection.is_in_transaction():
            raise NoTransaction("a transaction is open already: it would roll the record of a failure back")
        attributed(more, self._calls)
        record = Recording()
        began_ns = self._now_ns()
        try:
            async with connection.transaction():
                yield record
                said = said_of(record, more, (self._now_ns() - began_ns) // _US_PER_NS)
                await self._write(connection, record.event or event, action, said)
        except BaseException as exc:
            latency_us = (self._now_ns() - began_ns) // _US_PER_NS
            try:
                body = self._failed(event, action, record, failure_of(exc), more, latency_us)
                await connection.fetchval(self._numeric, body)
            except Exception as second:  # noqa: BLE001  # whatever it is, it must not hide the first
                _log.warning("outbox_failure_not_recorded", error=type(second).__name__)
            raise

    async def _write(self, connection: Connection, event: Said, action: str | None, more: Free) -> str:
        return str(await connection.fetchval(self._numeric, self._body(event, action, more)))

    def _failed(
        self, event: Said, action: str | None, record: Recording, failure: Failure, more: Free, latency_us: int
    ) -> bytes:
        try:
            said = failed_of(event, failure, said_of(record, more, latency_us))
            return self._body(record.event or event, action, said)
        except (TypeError, ValueError, AttributeError):  # what the block has left there must not hide how it failed
            return self._body(event, action, failed_of(event, failure, said_of(Recording(), more, latency_us)))

    def _body(self, event: Said, action: str | None, more: Free) -> bytes:
        # The database says when it happened: its clock is the one that the watermark goes by.
        made = statement(event, service=self._service, occurred_at="", calls=self._calls, action=action, **more)
        return body_of(made, self._redactor)
