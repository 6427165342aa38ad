"""Rows below what readers were told: taken, counted, and told of to their own tenants, in the same transaction."""

import json
from datetime import UTC, datetime, timedelta
from typing import cast
from uuid import UUID

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.errors import SinkUnavailable
from audit.event import Phase
from audit.ingest import Bounds, Row, row_of
from audit.late import Connection, Late, declare_late
from audit.metrics import IngestMetrics
from audit.store import Store
from tests.builders.aged import aged_id, ask, now_ms
from tests.builders.audit import make_event
from tests.servers.postgres import Logins

LATE = "SELECT tenant_id, body->'details' AS details, event_id FROM audit_events WHERE event_type = 'audit.late'"
HOUR = 1 / 24
ALL = Bounds(UUID(int=0), UUID(int=(1 << 128) - 1))


@pytest.mark.parametrize("through_hours", [None, 3])
async def test_late_rows_are_told_of_once(migrated_database: Logins, through_hours: int | None) -> None:
    """An event for each tenant names how many and from where; a second copy adds nothing; in time is no news."""
    registry = CollectorRegistry()
    store = Store(migrated_database.writer, metrics=IngestMetrics(registry))
    if through_hours is not None:
        await store.report([("p", 1, -1, 1, now_ms() - through_hours * 3_600_000, False)])
    events = [
        make_event(event_id=aged_id(hours * HOUR), tenant_id=tenant)
        for tenant, hours in (("acme", 5), ("acme", 4), ("globex", 4), ("acme", 2))
    ]
    written = await store.write([encode(event) for event in events])
    assert written.rows == 4
    await store.write([encode(event) for event in events])
    await store.close()
    told = {row["tenant_id"]: json.loads(row["details"]) for row in await ask(migrated_database.owner, LATE)}
    if through_hours is None:
        assert told == {}
        return
    assert {tenant: details["count"] for tenant, details in told.items()} == {"acme": 2, "globex": 1}
    assert told["acme"]["first_event_id"] == events[0].event_id
    assert told["acme"]["last_event_id"] == events[1].event_id
    assert datetime.fromisoformat(told["acme"]["first_at"]) < datetime.now(UTC) - timedelta(hours=4.9)
    assert told["globex"]["producers"] == ["test"]
    assert registry.get_sample_value("audit_late_events_total") == 3


async def test_an_end_is_not_late(migrated_database: Logins) -> None:
    """A completion comes below what is complete by its nature: its event was there."""
    store = Store(migrated_database.writer)
    decided = make_event(event_id=aged_id(HOUR), phase=Phase.DECIDED)
    await store.write([encode(decided)])
    await store.report([("p", 1, -1, 1, now_ms(), False)])
    await store.write([encode(msgspec.structs.replace(decided, phase=Phase.COMPLETED))])
    await store.close()
    assert await ask(migrated_database.owner, LATE) == []


async def test_what_tells_of_it_is_above_what_is_complete(migrated_database: Logins) -> None:
    """Whoever follows the log meets it: its id is later than everything readers were told is complete."""
    store = Store(migrated_database.writer)
    await store.report([("p", 1, -1, 1, now_ms(), False)])
    await store.write([encode(make_event(event_id=aged_id(HOUR)))])
    await store.close()
    [row] = await ask(
        migrated_database.owner,
        "SELECT event_id >= audit_id_floor(audit_complete_through()) AS above FROM audit_events"
        " WHERE event_type = 'audit.late'",
    )
    assert row["above"]


async def test_rows_and_their_word_are_one(migrated_database: Logins) -> None:
    """If the transaction fails there is neither."""
    store = Store(migrated_database.writer)
    await store.report([("p", 1, -1, 1, now_ms(), False)])

    async def refuse(_: object) -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await store.write([encode(make_event(event_id=aged_id(HOUR))), b"poison"], tell=refuse)
    assert await ask(migrated_database.owner, "SELECT 1 FROM audit_events") == []
    await store.close()


async def test_without_a_partition_for_this_moment_the_rows_wait() -> None:
    """What tells of them has no place: the batch is tried again, and whoever writes is not ended by it."""

    class Clock:
        async def fetchval(self, _: str) -> int:
            return now_ms()

    row = row_of(encode(make_event(event_id=aged_id(30))), ALL, now_ms())
    assert isinstance(row, Row)
    past = Bounds(UUID(aged_id(60)), UUID(aged_id(20)))
    with pytest.raises(SinkUnavailable, match="outside the partitions"):
        await declare_late(cast("Connection", Clock()), Late(now_ms(), [row]), past)
