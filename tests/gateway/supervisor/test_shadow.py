"""A shadow set beside a running gateway: real workers, a real store, and answers that never change for it."""

import re
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.builders import plane
from tests.gateway.supervisor.crews import alive
from tests.gateway.supervisor.process import Gateway, sections, started, token
from tests.servers.postgres import Logins, Postgres
from tests.servers.upstream import upstream


@pytest.fixture
def candidate(tmp_path: Path) -> Path:
    """A copy of the policies in which a cashier may not list orders and support may cancel them."""
    folder = tmp_path / "candidate"
    folder.mkdir()
    for file in (plane.ROOT / "policies").glob("*.cedar*"):
        shutil.copy(file, folder)
    text = (folder / "order.cedar").read_text()
    (folder / "order.cedar").write_text(text.replace('in [Role::"Cashier", Role::"Support"', 'in [Role::"Support"'))
    return folder


async def shadow(gateway: Gateway) -> dict[str, Any]:
    """Its part of the status."""
    found: dict[str, Any] = (await gateway.status())["shadow"]
    return found


async def diverged(gateway: Gateway, count: int) -> None:
    """Wait until it has decided so many otherwise; what it agrees on includes the decisions about this very status."""

    async def enough() -> bool:
        return bool((await shadow(gateway))["diverged"] >= count)

    await gateway.until(f"{count} diverged", enough)


async def in_use(gateway: Gateway, version_is_not: str = "") -> str:
    """Wait until a candidate decides; returns its version."""
    await gateway.until_ready()

    async def loaded() -> bool:
        return (await shadow(gateway))["version"] not in {"", version_is_not}

    await gateway.until("a shadow in use", loaded)
    return str((await shadow(gateway))["version"])


async def test_a_shadow_decides_what_every_request_left_and_changes_none(
    tmp_path: Path, candidate: Path, migrated_database: Logins, postgres: Postgres
) -> None:
    """Requests found in memory and denials as well; metric, status and events in the store tell of each divergence."""
    async with upstream() as service:
        configuration = sections(
            tmp_path, migrated_database.writer, service.port,
            shadow={"folder": str(candidate), "sample": 1.0, "events_per_s": 1000},
        )  # fmt: skip
        async with started(configuration, tmp_path) as gateway:
            version = await in_use(gateway)
            pid = (await shadow(gateway))["pid"]
            for _ in range(12):
                assert (await gateway.public.get("/orders", headers=token("Cashier"))).status_code == 200
            refused = await gateway.public.get("/orders", headers=token("Auditor"))
            assert (refused.status_code, refused.json()["missing_role"]) == (403, "Cashier")
            await diverged(gateway, 12)
            metrics = (await gateway.ops.get("/internal/metrics")).text
            found = dict(re.findall(r"lychgate_shadow_divergences_total\{(.*)\} (.*)", metrics))
            assert found == {'action="order:list",kind="newly_denied"': "12.0"}
            assert "lychgate_shadow_in_use 1.0" in metrics
            status = await shadow(gateway)
            assert (status["diverged"], status["dropped"], status["problem"]) == (12, 0, "")
            assert await gateway.stop() == 0
        assert not alive(pid), "nothing is left of it"
    rows = postgres.sql(
        "SELECT e.tenant_id, e.body->'details'->>'live_effect', e.body->'details'->>'shadow_effect',"
        " e.body->'details'->>'shadow_policy_version', d.action, count(*)"
        " FROM audit_events e JOIN audit_events d ON d.event_id = (e.body->'details'->>'decision_id')::uuid"
        " WHERE e.event_type = 'policy.shadow.diverged' GROUP BY 1, 2, 3, 4, 5",
        database=migrated_database.owner.rpartition("/")[2],
    )
    assert rows == f"acme|allow|deny|{version}|order:list|12"


async def test_a_broken_shadow_stops_nothing_and_is_read_again_on_hup(
    tmp_path: Path, candidate: Path, migrated_database: Logins
) -> None:
    """The gateway starts, is ready and serves; the log has the place; SIGHUP takes what was mended."""
    text = (candidate / "order.cedar").read_text()
    (candidate / "order.cedar").write_text(text + "\npermit (nonsense);\n")
    async with upstream() as service:
        configuration = sections(
            tmp_path, migrated_database.writer, service.port, shadow={"folder": str(candidate), "sample": 1.0}
        )
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()

            async def told() -> bool:
                return "order.cedar:44" in str((await shadow(gateway))["problem"])

            await gateway.until("told of", told)
            assert "shadow_refused" in gateway.log
            assert (await gateway.public.get("/orders", headers=token("Cashier"))).status_code == 200
            (candidate / "order.cedar").write_text(text)
            gateway.process.send_signal(signal.SIGHUP)
            first = await in_use(gateway)
            (candidate / "order.cedar").write_text(text.replace("percent <= 10", "percent <= 11"))
            gateway.process.send_signal(signal.SIGHUP)
            await in_use(gateway, version_is_not=first)
            assert await gateway.stop() == 0


async def test_without_a_share_there_is_nothing(tmp_path: Path, candidate: Path, migrated_database: Logins) -> None:
    """No process, nothing that looks at records, nothing in the status."""
    section = {"folder": str(candidate), "sample": 0.0}
    async with upstream() as service:
        configuration = sections(tmp_path, migrated_database.writer, service.port, shadow=section)
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            assert (await gateway.public.get("/orders", headers=token("Cashier"))).status_code == 200
            assert "shadow" not in await gateway.status()
            assert "lychgate_shadow" not in (await gateway.ops.get("/internal/metrics")).text
            assert "shadow" not in gateway.log
            assert await gateway.stop() == 0
