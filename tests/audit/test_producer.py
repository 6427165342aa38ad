"""Tests of `audit.producer`."""

import asyncio
from pathlib import Path
from typing import ClassVar

import pytest

from audit.codec import decode
from audit.emit import Emitter
from audit.errors import SpoolUnavailable, Unattributed
from audit.event import Actor, AuditEvent, Change, Kind, Outcome, Resource, Severity
from audit.producer import AuditProducer
from audit.registry.typed import TypedEvent
from audit.spool.segment import contents, segments
from tests.builders.callers import Caller

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


class Cancelled(TypedEvent):
    """A registered type."""

    event_type: ClassVar[str] = "order.order.cancelled"
    action: ClassVar[str | None] = "order:cancel"
    resource_type: ClassVar[str | None] = "Order"
    severity: ClassVar[Severity] = Severity.SECURITY
    refund_cents: int


class Refused(Exception):
    """As a framework's or a service's: it stands for an answer."""

    status_code = 409
    code = "too_late"


def test_a_registered_event_says_the_rest_itself(emitter: Emitter, tmp_path: Path) -> None:
    """Type, kind, action, type of resource and severity; its fields are the details, beside whose request it was."""
    producer = AuditProducer(emitter, service="order", calls=lambda: Caller(on_behalf_by="integration"))
    producer.emit(Cancelled(refund_cents=5), resource_id="o-1")
    producer.emit(Cancelled(refund_cents=6), action="order:update", caller=Caller(sub="", tenant_id="globex"))
    one, two = on_disk(tmp_path, emitter)
    assert (one.event_type, one.action, one.resource) == (
        "order.order.cancelled", "order:cancel", Resource("Order", "o-1"),
    )  # fmt: skip
    assert one.details == {"refund_cents": 5, "decision_id": "d-1", "on_behalf_by": "integration"}
    assert (one.actor, one.tenant_id, one.trace_id) == (
        Actor("user", "u-1", ("Cashier",), issuer="dev"), "acme", Caller().trace_id,
    )  # fmt: skip
    assert one.severity is Severity.SECURITY
    assert (two.actor, two.tenant_id, two.action) == (Actor("anonymous", roles=("Cashier",)), "globex", "order:update")


def test_what_nobody_answers_for_is_not_recorded(emitter: Emitter, tmp_path: Path) -> None:
    """Nor under a tenant that is not the caller's; no number is taken for it, and no block or handler is begun."""
    nobody = AuditProducer(emitter, service="order", calls=lambda: None)
    begun: list[str] = []

    @nobody.recorded("a.b.c", action="order:create")
    def create() -> None:
        begun.append("handler")

    def block() -> None:
        with nobody.recording("a.b.c", action="order:create"):
            begun.append("block")

    for refused in (
        lambda: nobody.emit("a.b.c", action="order:create"),
        lambda: nobody.emit("a.b.c", action="order:create", tenant_id="acme"),
        lambda: nobody.emit("a.b.c", action="order:create", actor=ACTOR),
        lambda: nobody.emit("a.b.c", action="order:create", actor=ACTOR, tenant_id=""),
        lambda: nobody.emit("a.b.c", action="order:create", caller=Caller(), tenant_id="globex"),
        lambda: nobody.emit("a.b.c", action="order:create", caller=Caller(tenant_id="")),
        create,
        block,
    ):
        with pytest.raises(Unattributed):
            refused()
    with pytest.raises(TypeError):
        nobody.emit("a.b.c", caller=Caller())  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        nobody.emit("a.b.c", action="order:create", caller=Caller(), resource_id="o-1")
    assert (begun, on_disk(tmp_path, emitter)) == ([], [])


def test_a_refusal_is_no_alarm_and_a_failure_is_as_grave_as_its_success(emitter: Emitter, tmp_path: Path) -> None:
    """An exception that stands for an answer says its status and its word; what was said of the event stays."""
    producer = AuditProducer(emitter, service="order", calls=Caller)

    def fail(exc: BaseException) -> None:
        with producer.recording(Cancelled, resource_id="o-1") as record:
            record.event = Cancelled(refund_cents=5)
            record.changes = (Change("/status", "replace", "new", "gone"),)
            raise exc

    for exc in (Refused(), KeyError("card 4111"), KeyboardInterrupt()):
        with pytest.raises(type(exc)):
            fail(exc)
    refused, failed, interrupted = on_disk(tmp_path, emitter)
    known = {"refund_cents": 5, "decision_id": "d-1"}
    assert refused.details == {**known, "error": "Refused", "status": 409, "code": "too_late"}
    assert (refused.severity, refused.outcome, refused.changes) == (Severity.NOTICE, Outcome.FAILURE, ())
    assert failed.details == {**known, "error": "KeyError"}
    assert failed.severity is Severity.SECURITY
    assert interrupted.outcome is Outcome.FAILURE


async def test_a_change_is_made_after_its_record_is_safe(
    emitter: Emitter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not at all where the block raises or the spool refuses."""
    producer = AuditProducer(emitter, service="order", calls=Caller)
    made: list[str] = []
    folder = tmp_path / "spool" / "test"

    def written() -> int:
        return sum(len(list(contents(folder / name.text()).records)) for name in segments(folder))

    async with producer.changing(Cancelled) as change:
        change.event, change.resource_id = Cancelled(refund_cents=1), "o-1"
        change.then(lambda: made.append(f"with {written()} on disk"))
    assert made == ["with 1 on disk"]

    async def fail() -> None:
        async with producer.changing(Cancelled) as change:
            change.then(lambda: made.append("never"))
            raise Refused

    with pytest.raises(Refused):
        await fail()

    async def break_down() -> None:
        async with producer.changing(Cancelled) as change:
            change.then(lambda: {}["no such order"])

    with pytest.raises(KeyError):
        await break_down()

    def full(_: object) -> None:
        raise SpoolUnavailable("queue")

    monkeypatch.setattr(emitter, "emit_durable", full)

    async def refused() -> None:
        async with producer.changing(Cancelled) as change:
            change.then(lambda: made.append("never"))

    with pytest.raises(SpoolUnavailable):
        await refused()
    assert len(made) == 1
    # Our stand-in took a number and lost it, which is told of beside these.
    events = [event for event in on_disk(tmp_path, emitter) if event.kind is Kind.DOMAIN]
    done, failed, recorded, undone = events
    assert (done.outcome, failed.outcome) == (Outcome.SUCCESS, Outcome.FAILURE)
    assert (recorded.outcome, undone.outcome) == (Outcome.SUCCESS, Outcome.FAILURE)
    assert undone.details == {"decision_id": "d-1", "error": "KeyError", "instead_of": recorded.event_id}


async def test_a_change_that_is_cancelled_while_it_is_recorded_is_told_of(emitter: Emitter, tmp_path: Path) -> None:
    """The record may be there already, and says that it was done: a second one says that it was not."""
    producer = AuditProducer(emitter, service="order", calls=Caller)
    made: list[str] = []

    async def change() -> None:
        async with producer.changing(Cancelled) as changing:
            changing.then(lambda: made.append("never"))

    task = asyncio.ensure_future(change())
    await asyncio.sleep(0)  # the record is on its way
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert made == []
    last = on_disk(tmp_path, emitter)[-1]
    assert (last.outcome, (last.details or {})["error"]) == (Outcome.FAILURE, "CancelledError")


async def test_a_record_the_disk_has_refused_may_stand_there_and_is_taken_back(
    emitter: Emitter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that were written and not synced can survive: without a second record the first would be believed."""
    producer = AuditProducer(emitter, service="order", calls=Caller)
    made: list[str] = []
    keep = emitter.emit_durable

    def unsynced(event: AuditEvent) -> "asyncio.Future[None]":
        keep(event)
        refused = asyncio.get_running_loop().create_future()
        refused.set_exception(SpoolUnavailable("sync"))
        return refused

    monkeypatch.setattr(emitter, "emit_durable", unsynced)

    async def change() -> None:
        async with producer.changing(Cancelled) as changing:
            changing.then(lambda: made.append("never"))

    with pytest.raises(SpoolUnavailable):
        await change()
    assert made == []
    stands, back = on_disk(tmp_path, emitter)
    assert (stands.outcome, back.outcome) == (Outcome.SUCCESS, Outcome.FAILURE)
    assert (back.details or {})["instead_of"] == stands.event_id
