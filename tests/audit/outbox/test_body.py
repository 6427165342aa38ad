"""What stands in a row, and the record that is made of it."""

from typing import Any
from uuid import UUID

import msgspec
import pytest

from audit.codec import decode, digest, encode
from audit.event import AuditEvent, Change
from audit.ids import id_at
from audit.outbox.body import LIMIT_BYTES, Life, Unreadable, body_of, record_of
from audit.redact import WriteRedactor
from audit.settings import RedactionSettings
from tests.builders.audit import make_event

REDACTOR = WriteRedactor.of(RedactionSettings().rules())
EVENT_ID = UUID(id_at(1_795_000_000_123, b"\x08\x00" + b"12345678"))
LIFE = Life("outbox-order", 179500000000001)


def recorded(event: AuditEvent) -> AuditEvent:
    """As the store gets it."""
    return decode(record_of(EVENT_ID, 7, body_of(event, REDACTOR), LIFE))


def test_a_record_is_the_event_with_the_identity_of_its_row() -> None:
    """Id, time, producer and number are the database's; everything else is what the service said."""
    event = make_event(details={"order": "o-1", "n": 1}, changes=(Change("/status", "replace", "a", "b"),))
    found = recorded(event)
    assert found.event_id == str(EVENT_ID)
    assert found.occurred_at == "2026-11-18T11:06:40.123500Z"
    assert (found.producer.id, found.producer.epoch, found.producer.seq) == (*LIFE, 7)
    same = msgspec.structs.replace(
        event, event_id=found.event_id, occurred_at=found.occurred_at, producer=found.producer
    )
    assert found == same
    assert digest(record_of(EVENT_ID, 7, body_of(event, REDACTOR), LIFE)) == digest(encode(same))


def test_two_records_of_a_row_are_equal_to_the_byte() -> None:
    """Else the second delivery would be a conflict."""
    body = body_of(make_event(), REDACTOR)
    assert record_of(EVENT_ID, 7, body, LIFE) == record_of(EVENT_ID, 7, body, LIFE)


def test_secrets_do_not_reach_the_table() -> None:
    """They are taken out before the row is written, as they are before a spool."""
    body = body_of(make_event(details={"password": "hunter2", "order": "o-1"}), REDACTOR)
    assert b"hunter2" not in body
    assert b"o-1" in body


@pytest.mark.parametrize(
    "details",
    [{"note": "x" * LIMIT_BYTES}, {"note": "\ud800"}, {"note": {1, 2}}, {"note": float("inf")}],
    ids=["large", "surrogate", "set", "infinite"],
)
def test_what_cannot_be_written_costs_its_part_and_not_the_record(details: dict[str, Any]) -> None:
    """A business transaction does not fail because of what somebody typed."""
    found = recorded(make_event(details=details))
    assert found.tenant_id == "acme"
    assert found.details is None or "x" * 10 not in str(found.details)


def test_even_an_id_that_is_no_text_leaves_a_record() -> None:
    """A lone surrogate costs itself."""
    event = make_event(tenant_id="ac\ud800me")
    assert recorded(event).tenant_id == "ac?me"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "malformed"),
        (b"{}", "malformed"),
        (b"{", "malformed"),
        (b"\xff{", "malformed"),
        (b'{"phase":"single","event_type":"a","kind":"domain","tenant_id":""}', "malformed"),
        (b'{"phase":"decided","event_type":"a","kind":"domain","tenant_id":"t"}', "malformed"),
        (b'{"event_id":"x","phase":"single","event_type":"a","kind":"domain","tenant_id":"t"}', "identity"),
        (
            b'{"producer":{"id":"x","epoch":1,"seq":1},"phase":"single","event_type":"a","kind":"domain","tenant_id":"t"}',
            "identity",
        ),
        (b'{"occurred_at":"x","phase":"single","event_type":"a","kind":"domain","tenant_id":"t"}', "identity"),
        (b'{"a":' + b"[" * 3000 + b"]" * 3000 + b"}", "malformed"),
    ],
)
def test_a_row_that_is_no_event_is_told_in_a_word(body: bytes, reason: str) -> None:
    """Nor can one claim to be another producer's; no byte of it is repeated."""
    with pytest.raises(Unreadable, match=f"^{reason}$"):
        record_of(EVENT_ID, 7, body, LIFE)


def test_an_id_of_no_year_there_is_does_not_stop_the_relay() -> None:
    """The table's owner may give rows ids of their own; nine of ten random ones are beyond the year 9999."""
    with pytest.raises(Unreadable, match=r"^identity$"):
        record_of(UUID("ffffffff-ffff-4fff-8fff-ffffffffffff"), 7, body_of(make_event(), REDACTOR), LIFE)
