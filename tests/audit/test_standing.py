"""This machine's clock against the store's, over a real PostgreSQL."""

import time

from prometheus_client import CollectorRegistry

from audit.metrics import StandingMetrics
from audit.standing import Watch
from audit.store import Store
from tests.builders.aged import now_ms
from tests.servers.ports import free_port
from tests.servers.postgres import Logins


def watch(dsn: str, offset_s: float, registry: CollectorRegistry | None = None, limit_s: float = 60.0) -> Watch:
    """Of a machine whose clock is off by so much."""
    return Watch(
        dsn,
        StandingMetrics(registry or CollectorRegistry()),
        limit_s=limit_s,
        every_s=0.1,
        now_ns=lambda: time.time_ns() + int(offset_s * 1e9),
    )


async def test_a_clock_that_is_off_is_told(migrated_database: Logins) -> None:
    """Ahead and behind alike, beyond the limit and not within; before the first look nothing is known."""
    for offset_s, off in ((0.0, False), (50.0, False), (70.0, True), (-70.0, True), (4 * 365 * 86_400.0, True)):
        registry = CollectorRegistry()
        made = watch(migrated_database.writer, offset_s, registry)
        assert (made.seen, made.off) == (None, False)
        assert await made.look()
        assert made.seen is not None
        assert abs(made.seen.skew_s - offset_s) < 5
        assert made.off is off
        assert abs((registry.get_sample_value("audit_clock_skew_seconds") or 0.0) - offset_s) < 5


async def test_a_store_that_is_away_changes_nothing(migrated_database: Logins) -> None:
    """What was seen last stands: an outage is not a wrong clock, and does not make one right."""
    made = watch(migrated_database.writer, 70.0)
    assert await made.look()
    made._dsn = f"postgresql://audit_writer:x@127.0.0.1:{free_port()}/none"
    assert not await made.look()
    assert made.off


async def test_it_says_who_holds_readers_back(migrated_database: Logins) -> None:
    """For `/internal/status`: how far readers are, and for whom they wait."""
    store = Store(migrated_database.writer)
    await store.report([("a", 1, -1, 1, 5_000, False), ("b", 1, -1, 1, now_ms(), False)])
    await store.close()
    made = watch(migrated_database.writer, 0.0)
    assert await made.look()
    assert made.seen is not None
    assert made.seen.complete_through == "1970-01-01T00:00:05+00:00"
    [holder] = made.seen.held_by
    assert (holder["producer"], holder["state"]) == ("a", "reporting")
