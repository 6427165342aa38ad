"""Two records, one event: which of them says what."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import msgspec
import pytest

from query.history import Row, bare, shown, timestamp

EVENT_ID = "0192f0c8-0000-7000-8000-000000000001"
AT = datetime(2026, 11, 23, 15, tzinfo=UTC)
DECIDED = {
    "event_id": EVENT_ID,
    "phase": "decided",
    "producer": {"id": "gw", "epoch": 1, "seq": 4},
    "actor": {"id": "ada"},
    "request": {"method": "POST", "size_bytes": 0},
}


def told(first: dict[str, Any], second: dict[str, Any] | None = None, *, orphaned: bool = False) -> dict[str, Any]:
    """What a reader is shown of these records."""
    return shown(
        Row(
            event_id=UUID(EVENT_ID),
            event_type="authz.decision.evaluated",
            kind="decision",
            tenant_id="acme",
            occurred_at=AT,
            body=json.dumps(first),
            completion=None if second is None else json.dumps(second),
            completed_at=None if second is None else AT + timedelta(seconds=1),
            orphaned=orphaned,
        )
    )


def test_the_defaults_that_the_bytes_leave_out_are_shown() -> None:
    """Severity and schema version stand in every shown event, and the time is the store's."""
    event = told({"event_id": EVENT_ID, "occurred_at": "2026-11-23T16:00:00+01:00"})
    assert (event["severity"], event["schema_version"]) == ("info", "1.0")
    assert event["occurred_at"] == "2026-11-23T15:00:00.000000Z"


def test_the_end_says_how_it_ended() -> None:
    """Outcome, status, latency, phase and final size come from the completion, the rest from the decision."""
    end = {
        "phase": "completed", "outcome": "success", "status": 201, "latency_us": 9, "actor": {"id": "eve"},
        "producer": {"id": "gw", "epoch": 1, "seq": 9}, "request": {"method": "POST", "size_bytes": 77},
    }  # fmt: skip
    event = told(DECIDED, end)
    assert (event["phase"], event["outcome"], event["status"], event["latency_us"]) == ("completed", "success", 201, 9)
    assert event["request"]["size_bytes"] == 77
    assert (event["actor"], event["producer"]["seq"]) == ({"id": "ada"}, 4)
    assert event["completed_at"] == "2026-11-23T15:00:01.000000Z"


def test_what_only_the_end_knows_is_added() -> None:
    """A field that the decision does not have is taken from the completion."""
    assert told(DECIDED, {"changes": [{"path": "/x"}]})["changes"] == [{"path": "/x"}]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {}, {"severity": "info"}),
        ({"severity": "warn"}, {}, {"severity": "warn"}),
        ({}, {"severity": "error"}, {"severity": "error"}),
        (
            {"severity": "security", "severity_original": "SEC"},
            {"severity": "error", "severity_original": "ERR"},
            {"severity": "security", "severity_original": "SEC"},
        ),
        (
            {"severity": "warn", "severity_original": "WARNING"},
            {"severity": "error"},
            {"severity": "error"},
        ),
        ({"severity": "newer-word"}, {"severity": "notice"}, {"severity": "notice"}),
        ({"severity": "newer-word"}, {"severity": "newer-still"}, {"severity": "newer-word"}),
    ],
)
def test_the_graver_severity_is_shown_with_its_own_word(
    first: dict[str, str], second: dict[str, str], expected: dict[str, str]
) -> None:
    """Of two severities the graver one stands, together with the foreign word it came from, and no other's."""
    event = told({**DECIDED, **first}, second)
    assert {name: event[name] for name in ("severity", "severity_original") if name in event} == expected


def test_details_and_redactions_are_joined() -> None:
    """Both records' details are shown, and both lists of what was taken out at write."""
    first = {**DECIDED, "details": {"a": 1, "b": 1}, "redaction": {"mode": "enforce", "fields": ["x"]}}
    event = told(first, {"details": {"b": 2}, "redaction": {"mode": "enforce", "fields": ["y"], "truncated": True}})
    assert event["details"] == {"a": 1, "b": 2}
    assert event["redaction"] == {"mode": "enforce", "fields": ["x", "y"], "truncated": True}


def test_an_orphan_is_unknown_unless_it_says_more() -> None:
    """A decision that will never be completed is `unknown`; an outcome of its own is kept."""
    assert told(DECIDED, orphaned=True)["outcome"] == "unknown"
    assert told({**DECIDED, "outcome": "failure"}, orphaned=True)["outcome"] == "failure"
    assert "outcome" not in told(DECIDED)


def test_fields_of_a_newer_schema_are_passed_on() -> None:
    """A reader sees what a newer producer wrote, though this program does not know it."""
    assert told({**DECIDED, "novelty": [1]})["novelty"] == [1]


def test_a_body_that_is_no_object_is_an_error_and_the_bare_event_is_not() -> None:
    """`shown` says so; `bare` needs no body."""
    row = Row(UUID(EVENT_ID), "t", "domain", "acme", AT, "[]")
    with pytest.raises(msgspec.DecodeError):
        shown(row)
    assert set(bare(row)) == {"event_id", "event_type", "kind", "tenant_id", "occurred_at"}


def test_times_are_utc_with_microseconds() -> None:
    """Whatever zone a time has, it goes out in UTC, with six digits and `Z`."""
    assert timestamp(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2)))) == "2025-12-31T23:00:00.000000Z"


def test_fields_come_in_the_order_in_which_they_are_documented() -> None:
    """The store's jsonb keeps keys by length; a person reads id, type and time first. What is unknown comes last."""
    event = told({"newer": 1, "kind": "decision", "actor": {"id": "u", "new": 1, "type": "user"}, "event_id": "e"})
    assert list(event) == ["event_id", "kind", "occurred_at", "schema_version", "actor", "severity", "newer"]
    assert list(event["actor"]) == ["type", "id", "new"]
