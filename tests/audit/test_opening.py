"""A service's producer, opened in one call."""

import os
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from audit.codec import decode
from audit.errors import SpoolBusy
from audit.limits import SpoolLimits
from audit.opening import open_producer
from audit.spool.segment import contents, segments
from tests.builders.callers import Caller


async def test_a_service_opens_its_folder_in_a_line(tmp_path: Path) -> None:
    """What is emitted is in its folder when it is closed, without the secrets; and it counts."""
    registry = CollectorRegistry()
    audit = open_producer("order", spool=tmp_path, calls=Caller, registry=registry)
    audit.emit("a.b.c", action="order:create", details={"password": "hunter2"})
    assert await audit.aclose()
    assert audit.close()
    folder = tmp_path / "svc-order"
    [payload] = [payload for name in segments(folder) for payload in contents(folder / name.text()).records]
    assert decode(payload).producer.id == "svc-order"
    assert b"hunter2" not in payload
    assert any(metric.name.startswith("audit_") for metric in registry.collect())


def test_processes_of_one_service_take_a_folder_each(tmp_path: Path) -> None:
    """As many as were said; one that has ended leaves its folder to the next."""
    brief = SpoolLimits(lock_wait_s=0.0)
    one = open_producer("order", spool=tmp_path, slots=2)
    two = open_producer("order", spool=tmp_path, slots=2)
    with pytest.raises(SpoolBusy):
        open_producer("order", spool=tmp_path, slots=2)
    one.close()
    three = open_producer("order", spool=tmp_path, slots=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["svc-order-0", "svc-order-1"]
    alone = open_producer("payment", spool=tmp_path, limits=brief)
    with pytest.raises(SpoolBusy):
        open_producer("payment", spool=tmp_path, limits=brief)
    for each in (two, three, alone):
        each.close()


def test_a_producer_is_of_the_process_that_opened_it(tmp_path: Path) -> None:
    """In a forked one nobody would write what is emitted: it is told so, and the opener's numbers are its own."""
    audit = open_producer("order", spool=tmp_path, calls=Caller)
    audit.emit("a.b.before", action="order:create")
    child = os.fork()
    if child == 0:
        told = 0
        with suppress(SpoolBusy):
            audit.emit("a.b.child", action="order:create")
            told = 1
        with suppress(SpoolBusy), audit.recording("a.b.child", action="order:create"):
            told = 2
        told += 4 if audit.close() else 0
        os._exit(told)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    audit.emit("a.b.after", action="order:create")
    assert audit.close()
    folder = tmp_path / "svc-order"
    events = [decode(payload) for name in segments(folder) for payload in contents(folder / name.text()).records]
    assert [(event.event_type, event.producer.seq) for event in events] == [("a.b.before", 1), ("a.b.after", 2)]
