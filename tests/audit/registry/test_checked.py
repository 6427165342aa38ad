"""`audit.registry.checked`: an emitter that refuses what is not registered."""

from pathlib import Path

import pytest

from audit.event import Actor
from audit.producer import AuditProducer
from audit.registry.checked import CheckedEmitter
from audit.registry.errors import EventRefused
from audit.registry.load import packaged
from audit.spool.segment import contents, segments

ACTOR = Actor("user", "u-1")


async def test_every_way_of_emitting_is_checked(tmp_path: Path) -> None:
    """What is as registered is written; what is not is an error without its values, and never reaches the disk."""
    emitter = CheckedEmitter(tmp_path / "spool", "svc-order", registry=packaged())
    audit = AuditProducer(emitter, service="order")

    def emit(name: str, *, durable: bool = False, **details: object) -> None:
        audit.emit(name, tenant_id="acme", actor=ACTOR, action="order:update", durable=durable, details=details or None)

    emit("order.order.updated")
    emit("order.order.updated", durable=True)
    for durable in (False, True):
        with pytest.raises(EventRefused, match="`note` is no registered field") as caught:
            emit("order.order.updated", durable=durable, note="4111 1111")
        assert "4111" not in str(caught.value)
    with pytest.raises(EventRefused, match="is not registered"):
        await audit.emit_durable("order.order.upset", tenant_id="acme", actor=ACTOR, action="order:update")
    emitter.close()
    records = [
        one for name in segments(tmp_path / "spool") for one in contents(tmp_path / "spool" / name.text()).records
    ]
    kept = [one for one in records if b"order.order" in one]
    assert len(kept) == 2
    assert not any(b"4111" in one for one in records)
