"""Tests of `audit.ingest`."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.codec import digest, encode
from audit.event import Phase
from audit.ids import EventIds, id_floor
from audit.ingest import COLUMNS, Bounds, DeadReason, ingest
from tests.builders.audit import make_event

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
WEEK_MS = 7 * 86_400_000
BOUNDS = Bounds(UUID(id_floor(NOW_MS - WEEK_MS)), UUID(id_floor(NOW_MS + WEEK_MS)))
IDS = EventIds(lambda: NOW_MS * 1_000_000)


def test_rows_come_in_key_order() -> None:
    """Whatever order they came in, rows are sorted by key, and every column is there."""
    events = [make_event(event_id=IDS.next()) for _ in range(5)]
    batch = ingest([encode(event) for event in reversed(events)], BOUNDS, NOW)
    assert [str(row.event_id) for row in batch.rows] == [event.event_id for event in events]
    assert len(batch.rows[0]) == len(COLUMNS)
    assert batch.rows[0].payload_hash == digest(encode(events[0]))
    assert batch.rows[0].occurred_at == NOW


@pytest.mark.parametrize(
    ("offset_ms", "dead"),
    [(-WEEK_MS, False), (-WEEK_MS - 1, True), (5 * 60_000, False), (5 * 60_000 + 1, True), (WEEK_MS, True)],
)
def test_the_bounds_are_exact(offset_ms: int, dead: bool) -> None:
    """The first millisecond of the oldest partition is in; one before, and more than five minutes ahead, is out."""
    batch = ingest([encode(make_event(event_id=id_floor(NOW_MS + offset_ms)))], BOUNDS, NOW)
    assert [letter.reason for letter in batch.dead] == ([DeadReason.OUT_OF_RANGE] if dead else [])
    assert len(batch.rows) == (0 if dead else 1)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"occurred_at": "yesterday"}, "RFC 3339"),
        ({"occurred_at": "2026-11-23T15:00:00"}, "offset"),
        ({"tenant_id": ""}, "tenant_id"),
        ({"event_id": "x"}, "UUID"),
        ({"severity": "purple"}, "severity"),
        ({"producer": {"id": "p"}}, "epoch"),
    ],
)
def test_a_record_that_breaks_the_schema_says_how(fields: dict[str, object], word: str) -> None:
    """The dead letter names what is wrong with it."""
    plain = {**msgspec.to_builtins(make_event(event_id=IDS.next())), **fields}
    [letter] = ingest([msgspec.json.encode(plain)], BOUNDS, NOW).dead
    assert letter.reason is DeadReason.SCHEMA
    assert word in letter.error


@given(st.lists(st.sampled_from(["a", "a2", "b", "phase", "poison"]), max_size=20))
def test_every_record_ends_somewhere(kinds: list[str]) -> None:
    """Rows, duplicates, conflicts and dead letters together are what came in; no key is there twice."""
    first = make_event(event_id=id_floor(NOW_MS))
    records = {
        "a": encode(first),
        "a2": encode(msgspec.structs.replace(first, action="other")),
        "b": encode(make_event(event_id=id_floor(NOW_MS + 1))),
        "phase": encode(msgspec.structs.replace(first, phase=Phase.COMPLETED)),
        "poison": b"poison",
    }
    batch = ingest([records[kind] for kind in kinds], BOUNDS, NOW)
    assert len(batch.rows) + len(batch.conflicts) + len(batch.dead) + batch.duplicates == len(kinds)
    assert len({(row.event_id, row.phase) for row in batch.rows}) == len(batch.rows)
    assert len(batch.dead) == kinds.count("poison")


@given(st.binary(max_size=200))
def test_bytes_never_raise(payload: bytes) -> None:
    """Whatever stands in the topic, the batch goes on."""
    batch = ingest([payload, encode(make_event(event_id=id_floor(NOW_MS)))], BOUNDS, NOW + timedelta(0))
    assert len(batch.rows) == 1
    assert len(batch.dead) == 1


def test_deep_nesting_is_a_dead_letter() -> None:
    """A record nested beyond reason costs itself only."""
    payload = encode(make_event(event_id=id_floor(NOW_MS), details={"x": 0}))
    deep = payload.replace(b'{"x":0}', b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}")
    batch = ingest([deep, payload], BOUNDS, NOW)
    assert len(batch.rows) == 1
    assert [letter.reason for letter in batch.dead] == [DeadReason.MALFORMED]
