"""Tests of `audit.keeper.pending`."""

from prometheus_client import CollectorRegistry

from audit.keeper.jobs import Keeper
from audit.keeper.pending import DEAD_LETTERS, pending_job
from audit.metrics import DeadLetterMetrics
from audit.store import Store
from tests.servers.postgres import Logins


async def test_what_waits_is_counted_by_reason(migrated_database: Logins) -> None:
    """Each reason has a value, also when there is none of it."""
    registry = CollectorRegistry()
    keeper = Keeper(migrated_database.keeper, [pending_job(metrics=DeadLetterMetrics(registry))])
    store = Store(migrated_database.writer)
    await store.write([b"poison", b"another", b"{}"])
    await store.close()
    assert await keeper.once(DEAD_LETTERS)
    found = {
        reason: registry.get_sample_value("audit_dead_letters_pending", {"reason": reason})
        for reason in ("malformed", "schema", "out_of_range", "refused")
    }
    assert found == {"malformed": 2, "schema": 1, "out_of_range": 0, "refused": 0}
