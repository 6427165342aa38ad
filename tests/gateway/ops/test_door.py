"""The door: errors of policies, answers that cannot be had, and what of it is counted."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from gateway.clock import Clock
from gateway.errors import Code, Forbidden, Unready
from gateway.metrics import GatewayMetrics
from gateway.model import Peer
from gateway.ops import actions
from gateway.ops.door import Door
from gateway.snapshot import build_snapshot
from gateway.sources import SourceFile
from tests.builders import plane
from tests.gateway.ops.port import PLATFORM, TRACE, FullEmitter, Standing, bearer

FAILING = """
@id("broken")
@reason("adds two numbers that do not fit")
permit (principal, action == Action::"ops:status", resource)
when { 9223372036854775807 + 1 > 0 };
"""


def _door(folder: Path, registry: CollectorRegistry, policy: str = "") -> tuple[Door, Standing, FullEmitter]:
    sources = plane.sources(1)
    if policy:
        sources = msgspec.structs.replace(sources, policies=(*sources.policies, SourceFile("extra.cedar", policy)))
    standing = Standing(build_snapshot(sources))
    emitter = FullEmitter(folder / "spool")
    return Door(standing, emitter, Clock(), GatewayMetrics(registry, ["order"])), standing, emitter


def _case(door: Door, role: str) -> Any:
    value = bearer(role, PLATFORM)["authorization"].encode()
    return door.open(actions.STATUS, [(b"authorization", value)], Peer("127.0.0.1", 1), TRACE)


async def test_a_failing_permit_is_counted_and_recorded(tmp_path: Path) -> None:
    """A policy that cannot be evaluated is ignored as a permit, counted, and named in the record."""
    registry = CollectorRegistry()
    door, _, emitter = _door(tmp_path, registry, FAILING)
    case = _case(door, "Support")
    with pytest.raises(Forbidden) as refused:
        door.admit(case)
    assert await door.settle(case, refused.value, {}, durable=False) is refused.value
    assert registry.get_sample_value("lychgate_policy_errors_total", {"effect": "allow"}) == 1
    (event,) = emitter.events
    assert event.details is not None
    assert event.details["policy_errors"] == ["extra.broken"]
    await emitter.aclose()


async def test_no_decision_is_our_own_fault(tmp_path: Path) -> None:
    """A question that the schema refuses is answered with 503, never with an allow."""
    door, _, emitter = _door(tmp_path, CollectorRegistry())
    case = door.open(
        msgspec.structs.replace(actions.STATUS, resource_type="Order"),
        [(b"authorization", bearer("SuperAdmin", PLATFORM)["authorization"].encode())],
        Peer("127.0.0.1", 1),
        TRACE,
    )
    with pytest.raises(Unready) as refused:
        door.admit(case)
    assert refused.value.code is Code.POLICY_UNAVAILABLE
    await emitter.aclose()


async def test_decisions_are_counted_with_their_time(tmp_path: Path) -> None:
    """An allow is one evaluated decision with a duration."""
    registry = CollectorRegistry()
    door, _, emitter = _door(tmp_path, registry)
    case = _case(door, "SuperAdmin")
    door.admit(case)
    assert await door.settle(case, None, {"workers": 1}, durable=True) is None
    assert registry.get_sample_value("lychgate_decisions_total", {"effect": "allow", "source": "evaluated"}) == 1
    assert registry.get_sample_value("lychgate_decision_duration_seconds_count") == 1
    (event,) = emitter.events
    assert event.details == {"workers": 1}
    assert event.decision is not None
    assert event.decision.reasons == ("tenancy.super-admin",)
    await emitter.aclose()
