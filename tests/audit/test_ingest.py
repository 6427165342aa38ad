"""Tests of `audit.ingest`."""

import json
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


SECRET = "hunter2"
GOOD = msgspec.to_builtins(make_event(event_id=id_floor(NOW_MS)))


def spoiled(**fields: object) -> bytes:
    """An event with other fields."""
    return msgspec.json.encode({**GOOD, **fields})


MALFORMED = {
    b"": "no bytes",
    b"poison": "JSON is malformed at byte 0",
    b"null": "not a JSON object",
    b"[1]": "not a JSON object",
    b'"text"': "not a JSON object",
    b"{} {}": "JSON is malformed at byte 4",
    b'{"a":"hunter2': "JSON is malformed",
    b'{"a":"hunter2\xff"}': "not UTF-8",
    b'{"a":"hunter2\xed\xa0\x80"}': "not UTF-8",  # a surrogate as it would be encoded
    b'{"a":"\\ud800"}': "JSON is malformed",
    b'{"a":NaN}': "JSON is malformed at byte 5",
    b'{"a":1e99999999999999999999}': "a number no store can keep",
    b'{"a":1e401}': "a number no store can keep",
    b'{"a":' + b"9" * 5000 + b"}": "a number no store can keep",
    b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}": "nested too deeply",
    b"\0" * 10: "JSON is malformed at byte 0",
}
BROKEN = {
    spoiled(occurred_at=SECRET): "occurred_at is not RFC 3339",
    spoiled(occurred_at="2026-11-23T15:00:00"): "occurred_at has no offset",
    spoiled(occurred_at="0001-01-01T00:00:00+23:00"): "occurred_at is not RFC 3339",
    spoiled(tenant_id=""): "tenant_id is empty",
    spoiled(tenant_id=None): "Expected `str`, got `null` at $.tenant_id",
    spoiled(event_id=SECRET): "event_id is not a UUIDv7",
    spoiled(event_id="01990000-0000-4000-8000-000000000000"): "event_id is not a UUIDv7",  # version 4
    spoiled(event_id="01990000-0000-7000-0000-000000000000"): "event_id is not a UUIDv7",  # another variant
    spoiled(event_id=GOOD["event_id"].upper()): "event_id is not a UUIDv7",
    spoiled(severity=SECRET): "Invalid value at $.severity",
    spoiled(severity=f"{SECRET}` - at `$.kind"): "Invalid value at $.severity",
    spoiled(phase=SECRET): "Invalid value at $.phase",
    spoiled(producer={"id": "p"}): "Object missing required field `epoch` at $.producer",
    spoiled(producer={"id": "p", "epoch": 1, "seq": 1 << 63}): "producer counts beyond what the store can keep",
    spoiled(producer={"id": "p", "epoch": -1, "seq": 1}): "producer counts beyond what the store can keep",
    spoiled(status=1.5): "Expected `int | null`, got `float` at $.status",
    spoiled(details=[SECRET]): "Expected `object | null`, got `array` at $.details",
    b"{}": "Object missing required field `event_id`",
}


@pytest.mark.parametrize(("payload", "error"), [*MALFORMED.items(), *BROKEN.items()], ids=range(34))
def test_poison_says_what_is_wrong_and_nothing_of_what_stands_in_it(payload: bytes, error: str) -> None:
    """Word for word, with the place; never a value: whoever reads dead letters' reasons need not read the letters."""
    neighbour = encode(make_event(event_id=id_floor(NOW_MS + 1)))
    batch = ingest([payload, neighbour], BOUNDS, NOW)
    [letter] = batch.dead
    reason = DeadReason.MALFORMED if payload in MALFORMED else DeadReason.SCHEMA
    assert (letter.reason, letter.error, letter.payload) == (reason, error, payload)
    assert SECRET not in letter.error
    assert len(batch.rows) == 1


NUMBERS = st.one_of(st.integers(-(1 << 70), 1 << 70), st.floats(allow_nan=False, allow_infinity=False))
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(sorted({*GOOD, "details", "input", "changes"})), ANYTHING, min_size=1))
def test_no_field_makes_it_raise(fields: dict[str, object]) -> None:
    """Whatever stands in place of a field, the record becomes a row or a letter, and its neighbour a row."""
    neighbour = encode(make_event(event_id=id_floor(NOW_MS + 1)))
    batch = ingest([json.dumps({**GOOD, **fields}).encode(), neighbour], BOUNDS, NOW)
    assert len(batch.rows) + len(batch.dead) == 2


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
