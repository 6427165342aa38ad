"""A gateway whose clock is in 2030: not ready, and it says why; its records are dead letters; nobody is misled."""

import os
from pathlib import Path

import asyncpg
import httpx
import pytest

from audit.store import Store
from tests.builders.aged import ask, now_ms
from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.process import sections, started
from tests.servers.kafka.server import unavailable
from tests.servers.postgres import Logins
from tests.servers.upstream import upstream

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@pytest.fixture
def in_2030(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that are started now live four years from now."""
    if not FAKETIME.exists():
        unavailable("libfaketime is not on this machine (Debian's libfaketime): no process can live in 2030")
    for name, value in {"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+4y", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}.items():
        monkeypatch.setenv(name, value)


async def test_a_gateway_in_2030_is_caught(tmp_path: Path, migrated_database: Logins, in_2030: None) -> None:
    """Not ready with the reason, a line in the log, a metric; its records are out of range, readers are not moved."""
    before = now_ms()
    store = Store(migrated_database.writer)
    await store.report([("other", 1, -1, 1, before, False)])
    await store.close()
    async with upstream() as service:
        configuration = sections(tmp_path, migrated_database.writer, service.port)
        async with started(configuration, tmp_path) as gateway:
            os.environ.pop("LD_PRELOAD")

            async def waits_for_the_clock() -> bool:
                try:
                    answer = await gateway.ops.get("/readyz")
                except httpx.HTTPError:
                    return False
                return answer.status_code == 503 and answer.json()["waiting_for"] == ["clock"]

            await gateway.until("it waits for its clock, and for nothing else", waits_for_the_clock)
            async with httpx.AsyncClient(base_url=gateway.url, trust_env=False, timeout=PATIENCE_S) as stranger:
                assert (await stranger.get("/orders")).status_code == 401

            async def buried() -> bool:
                rows = await ask(migrated_database.owner, "SELECT reason FROM audit_dead_letters")
                return bool(rows) and {row["reason"] for row in rows} == {"out_of_range"}

            await gateway.until("its records are dead letters", buried)
            metrics = (await gateway.ops.get("/internal/metrics")).text
            [skew] = [line for line in metrics.splitlines() if line.startswith("audit_clock_skew_seconds ")]
            assert float(skew.split()[1]) > 3 * 365 * 86_400
            assert 'audit_dead_letters_total{reason="out_of_range"}' in metrics
            assert "audit_clock_off" in gateway.log
    rows = await ask(migrated_database.keeper, "SELECT producer, state, holds FROM audit_producer_states()")
    found = {row["producer"]: (row["state"], row["holds"]) for row in rows}
    assert found.pop("other") == ("reporting", True)
    assert found
    assert {state for state, _ in found.values()} <= {"ahead", "ended"}
    assert not any(holds for _, holds in found.values())
    connection = await asyncpg.connect(migrated_database.reader)
    through = await connection.fetchval("SELECT extract(epoch FROM audit_complete_through())::float8")
    await connection.close()
    assert through == before / 1000
