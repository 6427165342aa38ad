"""The way out of the spool: one relay over the folders of this machine, into the store or the broker.

The store directly where no broker is configured (DESIGN section 5), so that one machine needs none. Beside it into
whatever other sinks are configured.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

import structlog
from prometheus_client import CollectorRegistry

from audit.breaker import Breaker
from audit.delivery import make_beside, make_sink
from audit.emit import Emitter
from audit.errors import SinkUnavailable, SpoolBusy, SpoolUnavailable, WrongRole
from audit.guard import GuardedSink
from audit.keeper.run import beside, make_keeper
from audit.metrics import IngestMetrics, RelayMetrics, SinkMetrics, StandingMetrics
from audit.relay import Relay, RelayStatus
from audit.relay.held import held
from audit.relay.lane import Lane
from audit.relay.skip import skipped_event
from audit.settings import AuditSettings, StoreSettings
from audit.sinks import Sink, TappedSink
from audit.standing import Watch
from gateway.supervisor.errors import StartRefused

FLUSH_S: Final = 5.0
"""How long a stop waits for the sink. What is left then is on disk, and the next start delivers it."""
_PING_S: Final = 0.25

_log = structlog.get_logger(__name__)


class Delivery:
    """Owns the relay and its sinks.

    Args:
        audit: Spool, relay and broker.
        store: Used where there is no broker.
        registry: Where they count.

    Attributes:
        reached: Whether the main sink has answered since the start.
    """

    def __init__(self, audit: AuditSettings, store: StoreSettings, registry: CollectorRegistry) -> None:
        self.reached = False
        ingest, metrics, guards = IngestMetrics(registry), RelayMetrics(registry), SinkMetrics(registry)

        def guarded(sink: Sink) -> Sink:
            return GuardedSink(sink, Breaker(max_s=audit.relay.backoff_max_s), guards)

        direct = audit.kafka.bootstrap_servers is None
        try:
            self._sink = TappedSink(guarded(make_sink(audit, store, ingest)))
            # Behind a broker it is the consumer who writes the store, and keeps it in order.
            self._keeper = make_keeper(audit, store, registry) if direct else None
            self._watch = _watch(audit, store, registry) if direct else None
        except OSError as exc:  # the file of a password, or of a key
            raise StartRefused(str(exc)) from exc
        try:
            made = make_beside(audit, store, ingest, metrics)
        except (OSError, ValueError) as exc:
            raise StartRefused(f"audit.sinks: {exc}") from exc
        self._beside = [each._replace(sink=guarded(each.sink)) for each in made]
        settings = audit.relay
        self._folder = audit.spool.folder
        self._held = ExitStack()
        self._holds = False
        self._relay = Relay(
            self._folder,
            self._sink,
            beside=self._beside,
            batch_records=settings.batch_records,
            batch_bytes=settings.batch_bytes,
            poll_interval_s=settings.poll_interval_s,
            backoff_max_s=settings.backoff_max_s,
            adopt_after_s=settings.adopt_after_s,
            metrics=metrics,
        )

    async def run(self) -> None:
        """Relay until cancelled.

        Raises:
            WrongRole: The store's login may do more than it must: nothing is written with it.
        """
        refused: WrongRole | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                for lane in self._relay.lanes[1:]:  # these wait for no other sink
                    tasks.create_task(self._relaying(lane))
                tasks.create_task(self._main())
        except* WrongRole as group:
            found: BaseException = group
            while isinstance(found, BaseExceptionGroup):
                found = found.exceptions[0]
            refused = WrongRole(str(found))
        if refused is not None:
            raise refused

    async def _main(self) -> None:
        await self._reach()
        if self._keeper is None or self._watch is None:
            await self._relaying(self._relay.main)
        else:
            await beside(self._relaying(self._relay.main), self._keeper, self._watch.run())

    async def _relaying(self, lane: Lane) -> None:
        told = False
        while (problem := self._hold()) is not None:
            if not told:
                told = True
                _log.warning("audit_relay_elsewhere", reason=problem)
            await asyncio.sleep(_PING_S)
        await lane.run()

    def _hold(self) -> str | None:
        """Become the only relay over the folders, until `close`; says why that cannot be now."""
        if not self._holds:
            try:
                self._held.enter_context(held(self._folder))
            except (SpoolBusy, SpoolUnavailable) as exc:
                return str(exc)
            self._holds = True
        return None

    def record_with(self, emitter: Emitter) -> None:
        """Say who records what a sink beside the main one was moved over."""

        async def tell(details: dict[str, Any]) -> None:
            stamp = emitter.stamp()
            # audit:lint-ignore details-untold what `audit.relay.skip.skip` made, kept in a cursor meanwhile
            await emitter.emit_durable(skipped_event(stamp.event_id, stamp.producer, details))

        self._relay.tell(tell)

    async def _reach(self) -> None:
        """Wait for the sink; said once, not at every attempt."""
        told = False
        while True:
            try:
                await self._sink.ping()
            except SinkUnavailable as exc:
                if not told:
                    told = True
                    _log.warning("store_not_reached", reason=str(exc))
                await asyncio.sleep(_PING_S)
            else:
                if self._watch is not None:
                    await self._watch.look()  # before we are ready, and not after
                self.reached = True
                return

    @property
    def clock_off(self) -> bool:
        """Whether this machine's clock is too far from the store's, or the broker refuses what it dates."""
        return self._sink.clock_refused or (self._watch is not None and self._watch.off)

    def tap(self, delivered: Callable[[Sequence[bytes]], None]) -> None:
        """Have somebody told of records that the sink has taken; it must return at once."""
        self._sink.taps.append(delivered)

    async def flush(self) -> bool:
        """Deliver what the spool holds; returns whether the sinks that are required got all of it in time."""
        delivered = self._hold() is None and await self._relay.flush(FLUSH_S)
        if not delivered:
            _log.warning("audit_left_in_spool", backlog_bytes=self._relay.status().backlog_bytes)
        return delivered

    async def close(self) -> None:
        """Give the folders and the sinks' connections up."""
        self._held.close()
        self._holds = False
        await asyncio.gather(self._sink.close(), *(other.sink.close() for other in self._beside))

    def status(self) -> dict[str, Any]:
        """How far each sink is, for `/internal/status`; the main one on the outside."""
        main, *others = self._relay.statuses()
        return {
            **_shown(main),
            "reached": self.reached,
            **self._standing(),
            "beside": [{**_shown(other), "required": other.required} for other in others],
        }

    def _standing(self) -> dict[str, Any]:
        seen = self._watch.seen if self._watch is not None else None
        if seen is None:
            return {}
        return {
            "clock_skew_s": round(seen.skew_s, 3),
            "complete_through": seen.complete_through,
            "held_by": list(seen.held_by),
        }


def _watch(audit: AuditSettings, store: StoreSettings, registry: CollectorRegistry) -> Watch:
    return Watch(
        store.dsn(store.writer),
        StandingMetrics(registry),
        limit_s=audit.clock.skew_limit_s,
        every_s=audit.clock.every_s,
    )


def _shown(status: RelayStatus) -> dict[str, Any]:
    return {
        "sink": status.sink,
        "caught_up": status.caught_up,
        "failures": status.failures,
        "last_error": status.last_error,
        "backlog_bytes": status.backlog_bytes,
    }
