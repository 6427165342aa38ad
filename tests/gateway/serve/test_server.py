"""What the connections of a worker share: the snapshot, the tick, the counts."""

from pathlib import Path

import pytest

from gateway.errors import Code, Unready
from gateway.snapshot import build_snapshot
from tests.builders.plane import Plane, plane, request, sources, token


def counted(gate: Plane, name: str) -> float:
    """A counter without labels."""
    return {sample.name: sample.value for family in gate.registry.collect() for sample in family.samples}[name]


async def test_identities_are_counted_once_each(tmp_path: Path) -> None:
    """Tokens verified and remembered, and role names that are neither ours nor mapped; also over a new snapshot."""
    async with plane(tmp_path) as gate:
        key = token(roles=["Cashier", "wizard", "oracle"])
        for _ in range(3):
            await gate.raw(request(auth=key))
        gate.server.install(build_snapshot(sources(gate.service.port)))
        await gate.raw(request(auth=key))
        gate.server.tick()
        assert counted(gate, "lychgate_token_memo_misses_total") == 2
        assert counted(gate, "lychgate_token_memo_hits_total") == 2
        assert counted(gate, "lychgate_dropped_roles_total") == 4


async def test_the_same_snapshot_again_leaves_nothing_behind(tmp_path: Path) -> None:
    """It was not replaced: there is nothing of it to free, now or ever."""
    async with plane(tmp_path) as gate:
        snapshot = gate.server.snapshot
        assert snapshot is not None
        for _ in range(3):
            gate.server.install(snapshot)
        assert not gate.server.leavings
        assert (await gate.raw(request())).startswith(b"HTTP/1.1 200 ")


async def test_requests_are_counted_by_service_and_refusals_by_code(tmp_path: Path) -> None:
    """And nothing is under way when nobody asks."""
    async with plane(tmp_path) as gate:
        await gate.raw(request())
        await gate.raw(request(auth=None))
        gate.server.tick()
        found = {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in gate.registry.collect()
            for sample in family.samples
        }
        order = (("method", "GET"), ("service", "order"), ("status", "2xx"))
        assert found["lychgate_requests_total", *order] == 1
        assert found["lychgate_refusals_total", ("code", "unauthenticated")] == 1
        assert found["lychgate_decisions_total", ("effect", "allow"), ("source", "evaluated")] == 1
        assert counted(gate, "lychgate_inflight_requests") == 0


async def test_without_a_snapshot_nothing_is_decided(tmp_path: Path) -> None:
    """Fail closed, and say so."""
    async with plane(tmp_path) as gate:
        gate.server.snapshot = None
        with pytest.raises(Unready) as refused:
            gate.server.ready_snapshot()
        assert refused.value.code is Code.POLICY_UNAVAILABLE
        assert b" 503 " in (await gate.raw(request())).split(b"\r\n")[0]
        assert gate.service.heads == []
