"""A service's producer, opened in one call."""

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
