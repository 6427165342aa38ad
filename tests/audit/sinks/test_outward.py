"""Tests of `audit.sinks.outward`: what leaves is masked, and what cannot be looked through does not leave."""

import json
from typing import Any

import pytest

from audit.event import Change, Redaction
from audit.sinks import outward as module
from audit.sinks.outward import Outward
from tests.builders.sinks import outward, record


def going(payload: bytes, *names: str) -> dict[str, Any]:
    """What leaves of a record."""
    found = outward(*names).of(payload)
    assert found is not None
    assert b"\n" not in found.body
    body: dict[str, Any] = json.loads(found.body)
    assert found.key == f"{body['event_id']}-{body['phase']}"
    assert body["event_id"].replace("-", "")[:12] == f"{found.at_ms:012x}"
    return body


def test_personal_and_payment_data_are_masked_and_named() -> None:
    """In the client, the details and the changes; the record says which fields, behind what went at write."""
    payload = record(
        details={"email": "a@b.c", "note": "x\ny", "card_last4": "1234"},
        changes=(Change("/email", old="a", new="b"), Change("/total", old=1, new=2)),
        redaction=Redaction("enforce", ("details.password",)),
    )
    body = going(payload)
    assert body["client"]["ip"] == "***"
    assert body["details"] == {"email": "***", "note": "x\ny", "card_last4": "***"}
    assert [(change["old"], change["new"]) for change in body["changes"]] == [("***", "***"), (1, 2)]
    assert body["redaction"]["fields"][0] == "details.password"
    assert {"client.ip", "details.email", "details.card_last4"} <= set(body["redaction"]["fields"])
    assert b"1234" not in json.dumps(body).encode()


def test_only_the_named_classes_go() -> None:
    """`payment` alone leaves personal data; nothing to mask leaves the record as it is."""
    body = going(record(details={"email": "a@b.c", "card": "9"}), "payment")
    assert (body["details"], body["client"]["ip"]) == ({"email": "a@b.c", "card": "***"}, "10.0.0.1")
    assert "redaction" not in going(record(), "payment")


@pytest.mark.parametrize("payload", [b"", b"poison", b"[]", b'{"event_id":"x"}', b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_event_does_not_leave(payload: bytes) -> None:
    """Nobody can say what stands in it."""
    assert outward().of(payload) is None


def test_an_id_that_is_no_uuid_does_not_leave() -> None:
    """It could name anything, and has no time."""
    assert outward().of(record(event_id="../../etc/passwd")) is None


def test_when_masking_fails_the_metadata_leaves_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither lost nor leaked."""

    def broken(*_: object, **__: object) -> None:
        raise RecursionError

    monkeypatch.setattr(module, "strike", broken)
    found = Outward({"pii": ("client.ip",)}, ("pii",)).of(record(details={"email": "a@b.c"}))
    assert found is not None
    body = json.loads(found.body)
    assert body["redaction"]["truncated"]
    assert body["producer"]["seq"] == 1
    assert not {"client", "details", "actor", "input"} & set(body)
