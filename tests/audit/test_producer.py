"""Tests of `audit.producer`."""

from pathlib import Path

import pytest

from audit.codec import decode
from audit.emit import Emitter
from audit.event import Actor, AuditEvent, Change, Kind, Outcome, Resource, Severity
from audit.producer import AuditProducer
from audit.spool.segment import contents, segments

ACTOR = Actor("user", "u-1", (), "jwt")


def on_disk(tmp_path: Path, emitter: Emitter) -> list[AuditEvent]:
    """What was emitted, once the emitter is closed."""
    emitter.close()
    folder = tmp_path / "spool" / "test"
    return [decode(payload) for name in segments(folder) for payload in contents(folder / name.text()).records]


def test_a_domain_event_is_recorded_whole(emitter: Emitter, tmp_path: Path) -> None:
    """Everything the service says stands in the record, with a foreign severity beside ours."""
    producer = AuditProducer(emitter, service="order")
    event_id = producer.emit(
        "order.order.created", tenant_id="acme", actor=ACTOR, action="order:create", resource=Resource("Order", "o-1"),
        changes=(Change("/status", "add", None, "new"),), details={"total": 5}, severity="Warning", trace_id="t",
        durable=True,
    )  # fmt: skip
    [event] = on_disk(tmp_path, emitter)
    assert event.event_id == event_id
    assert (event.kind, event.tenant_id, event.actor, event.crud) == (Kind.DOMAIN, "acme", ACTOR, "c")
    assert (event.severity, event.severity_original) == (Severity.WARN, "Warning")
    assert event.request is not None
    assert event.request.service == "order"
    assert event.changes[0].new == "new"
    assert event.outcome is Outcome.SUCCESS


def test_a_block_is_recorded_with_its_outcome(emitter: Emitter, tmp_path: Path) -> None:
    """Success carries what the block said; failure carries the error's class, never its text, and goes on."""
    producer = AuditProducer(emitter, service="order")
    with producer.recording("order.order.paid", tenant_id="acme", actor=ACTOR, action="order:update") as record:
        record.changes = (Change("/status", "replace", "new", "paid"),)
        record.resource = Resource("Order", "o-2")

    def fail() -> None:
        with producer.recording("order.order.paid", tenant_id="acme", actor=ACTOR, action="order:update"):
            raise KeyError("card 4111")

    with pytest.raises(KeyError):
        fail()
    paid, failed = on_disk(tmp_path, emitter)
    assert (paid.outcome, paid.crud, paid.resource) == (Outcome.SUCCESS, "u", Resource("Order", "o-2"))
    assert paid.latency_us is not None
    assert (failed.outcome, failed.severity) == (Outcome.FAILURE, Severity.ERROR)
    assert failed.details == {"error": "KeyError"}


async def test_a_loop_awaits_durability(emitter: Emitter, tmp_path: Path) -> None:
    """`emit_durable` is done when the record is on disk."""
    producer = AuditProducer(emitter, service="order")
    event_id = await producer.emit_durable("x.y.z", tenant_id="acme", actor=ACTOR, action="order:read")
    folder = tmp_path / "spool" / "test"
    [payload] = contents(folder / segments(folder)[0].text()).records
    assert decode(payload).event_id == event_id
    assert decode(payload).crud == "r"
