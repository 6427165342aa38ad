"""The audit log as readers meet it: each read decided, served in a view, and recorded before it is answered.

    listing, reader > grant > cursor > store > view > record > page

Called by `query.routes`. No record, no reading: if the spool cannot take the record, nobody is shown anything.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID

from audit.emit import Stamp
from audit.errors import SpoolUnavailable
from audit.event import AuditEvent
from query import sql
from query.access import Access, Granted
from query.clock import Clock
from query.cursor import CursorSigner, binding
from query.errors import BadQuery, NotFound, QueryError, StoreUnavailable
from query.filters import Listing
from query.history import Row, Shown
from query.metrics import QueryMetrics
from query.reader import Reader, Rows
from query.record import Read, entry
from query.sql import Horizon, Statement
from query.views import Views


class AuditSink(Protocol):
    """Where the record of a read goes: `audit.emit.Emitter`."""

    def stamp(self) -> Stamp:
        """An id and a number for an event that happens now."""

    def emit_durable(self, event: AuditEvent) -> Awaitable[None]:
        """Take a record; waits until it is on disk.

        Raises:
            SpoolUnavailable: From the call or from the waiting; the record is not safe.
        """


@dataclass(frozen=True, slots=True)
class Page:
    """One page, as it goes out.

    Attributes:
        data: The events, in the view of whoever asked.
        has_more: Whether there are more now.
        next_cursor: Goes on behind the last of them; None where there is nothing more.
        complete_through: Every event before this is in the store; None as long as no producer has reported.
    """

    data: tuple[Shown, ...]
    has_more: bool
    next_cursor: str | None
    complete_through: datetime | None


class AuditLog:
    """Reads the log for people who may see different amounts of it."""

    def __init__(
        self,
        *,
        access: Access,
        reader: Reader,
        views: Views,
        cursors: CursorSigner,
        sink: AuditSink,
        metrics: QueryMetrics,
        clock: Clock,
        policy_version: str,
        service: str,
        kept_days: Callable[[str], int] | None = None,
    ) -> None:
        self._kept_days = kept_days
        self._access = access
        self._reader = reader
        self._views = views
        self._cursors = cursors
        self._sink = sink
        self._metrics = metrics
        self._clock = clock
        self._policy_version = policy_version
        self._service = service

    async def page(self, read: Read, listing: Listing) -> Page:
        """One page of events.

        Raises:
            QueryError: Refused, not understood, or not to be had now.
        """
        wanted, order, limit = listing.filter, listing.order, listing.limit
        async with self._recorded(read) as progress:
            granted = progress.granted = self._grant(read, listing)
            bound = binding(wanted, granted.scope, order)
            after = None if listing.cursor is None else self._cursors.open(listing.cursor, bound)
            found = await self._found(
                read,
                granted,
                lambda known: sql.page(
                    wanted,
                    granted.scope,
                    order,
                    after=after,
                    until=known.complete_through,
                    limit=limit + 1,
                    kept_since=self._kept_since(granted, known),
                ),
            )
            events = self._shown(granted, found.rows[:limit])
            progress.rows = len(events)
        has_more = len(found.rows) > limit
        cursor = self._cursors.seal(found.rows[limit - 1].event_id, bound) if has_more else None
        return Page(events, has_more, cursor, found.complete_through)

    def decide_by(self, access: Access, policy_version: str) -> None:
        """Decide by other policies and roles, from the next read on."""
        self._access = access
        self._policy_version = policy_version

    async def one(self, read: Read, listing: Listing, event_id: UUID) -> Shown:
        """One event.

        Raises:
            QueryError: Refused, not there for this reader, or not to be had now.
        """
        async with self._recorded(read) as progress:
            granted = progress.granted = self._grant(read, listing)
            found = await self._found(
                read, granted, lambda known: sql.one(event_id, granted.scope, self._kept_since(granted, known))
            )
            if not found.rows:
                raise NotFound
            progress.rows = 1
            return self._shown(granted, found.rows)[0]

    def _grant(self, read: Read, listing: Listing) -> Granted:
        granted = self._access.grant(read.reader, listing.filter.tenant_id, listing.include_redacted, self._clock())
        for name in sorted(self._views.hidden_filters(granted.view).intersection(read.asked)):
            raise BadQuery(f"`{name}` is hidden in your view, and cannot be asked for")
        return granted

    def _kept_since(self, granted: Granted, known: Horizon) -> dict[str, datetime]:
        """Tenant to the moment before which nothing is shown; not where a legal hold lies."""
        kept_days = self._kept_days
        if kept_days is None:
            return {}
        now = self._clock()
        return {
            tenant: now - timedelta(days=kept_days(tenant))
            for tenant in granted.scope.tenants
            if tenant not in known.held
        }

    async def _found(self, read: Read, granted: Granted, statement: Callable[[Horizon], Statement]) -> Rows:
        with self._metrics.seconds.labels(read.endpoint).time():
            found = await self._reader.read(granted.scope.session_tenant, statement)
        if found.complete_through is not None:
            self._metrics.complete_through.set(found.complete_through.timestamp())
        return found

    def _shown(self, granted: Granted, rows: Sequence[Row]) -> tuple[Shown, ...]:
        presented = self._views.present(granted.view, rows)
        self._metrics.redacted_view.labels(granted.view.value, presented.variant).inc()
        self._metrics.masking_failures.inc(presented.failures)
        self._metrics.rows.observe(len(presented.events))
        return presented.events

    @asynccontextmanager
    async def _recorded(self, read: Read) -> AsyncIterator["_Progress"]:
        """Record and count what came of a read, before anybody is told."""
        progress = _Progress(self._policy_version)  # of now: nothing is awaited before the read is decided
        code = "ok"
        try:
            try:
                yield progress
            except BadQuery:
                raise  # nothing was read; the gateway's own record tells of the request
            except QueryError as exc:
                await self._record(read, progress, exc)
                raise
            await self._record(read, progress, None)
        except QueryError as exc:
            code = exc.code
            raise
        finally:
            self._metrics.requests.labels(read.endpoint, code).inc()

    async def _record(self, read: Read, progress: "_Progress", error: QueryError | None) -> None:
        event = entry(
            read,
            self._sink.stamp(),
            self._clock(),
            granted=progress.granted,
            error=error,
            rows=progress.rows,
            policy_version=progress.policy_version,
            service=self._service,
        )
        try:
            await self._sink.emit_durable(event)
        except SpoolUnavailable as exc:
            raise StoreUnavailable("the read cannot be recorded") from exc


@dataclass(slots=True)
class _Progress:
    """How far a read has come."""

    policy_version: str
    granted: Granted | None = None
    rows: int = 0
