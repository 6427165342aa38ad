"""Policies, roles and routes that are edited under a running gateway; real processes, a real store, real clients."""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

from audit.private_file import read_private
from gateway.clock import Clock
from gateway.freshness_metrics import POLICIES, FreshnessMetrics
from gateway.metrics import RELOADS, SupervisorMetrics
from gateway.sources import SourceFile, Sources
from gateway.supervisor.errors import NotTaken, StartRefused
from gateway.supervisor.freshness import Freshness
from gateway.supervisor.live import Live
from gateway.supervisor.sources import Rules, checked
from policies.load import load_bundle, read_folder
from policies.origin import make_key, private_key
from policies.pack import pack
from policies.watch import Seen
from tests.builders import plane
from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.process import Gateway, sections, started, token
from tests.gateway.supervisor.test_reload import Caller, calling, logged
from tests.gateway.supervisor.test_reload import policies as copied
from tests.servers.postgres import Logins, Postgres
from tests.servers.upstream import upstream

FLIPS = 4
CLOSED = (
    '@id("closed")\n@reason("the shop is closed")\nforbid (principal, action == Action::"order:{verb}", resource);\n'
)


@pytest.fixture
def store(migrated_database: Logins) -> Iterator[str]:
    """The writer's DSN of a fresh store."""
    return migrated_database.writer


async def in_force(gateway: Gateway, version: str) -> None:
    """Wait until the supervisor and every worker decide by these policies."""

    async def everywhere() -> bool:
        status = await gateway.status()
        same = {worker["version"] for worker in status["workers"]} == {status["sources_version"]}
        return bool(status["policy_version"] == version and same)

    await gateway.until(f"{version} in force everywhere", everywhere)


def metric(text: str, name: str) -> float:
    """The value of a metric without labels, or of one series."""
    return float(text.partition(f"\n{name} ")[2].split("\n")[0])


async def test_sets_are_swapped_whole_under_load(tmp_path: Path, migrated_database: Logins, postgres: Postgres) -> None:
    """No request fails or waits for it; each record is by one of the two sets, and says what that set says of it.

    The two sets differ in two files, which are written one after the other.
    """
    async with upstream() as service:
        folder = copied(tmp_path)
        opened = load_bundle(folder).version
        configuration = sections(
            tmp_path,
            migrated_database.writer,
            service.port,
            policies={"folder": str(folder), "poll_s": 60, "settle_s": 1},
        )
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            port = configuration["gateway"]["port"]
            callers = [Caller(port), Caller(port), Caller(port, method="POST")]
            pids = await gateway.pids()
            closed = ""
            async with calling(*callers):
                for flip in range(FLIPS):
                    for verb in ("list", "create"):
                        file = folder / f"closed-{verb}.cedar"
                        if flip % 2:
                            file.unlink()
                        else:
                            file.write_text(CLOSED.format(verb=verb))
                        await asyncio.sleep(0.02)  # two files are never written at once
                    closed = closed or load_bundle(folder).version
                    await in_force(gateway, opened if flip % 2 else closed)
            assert [caller.lost for caller in callers] == [[]] * 3
            assert [caller.connections for caller in callers] == [1] * 3
            assert all(set(caller.statuses) == {200, 403} for caller in callers)
            assert await gateway.pids() == pids
            answer = await gateway.public.get("/orders", headers=token("Cashier"))
            assert answer.status_code == 200
            status = await gateway.status()
            assert (
                _claims(service.fields()["x-security-context"])["policy_version"] == status["policy_version"] == opened
            )
            assert (status["last_reload"]["what"], status["last_reload"]["installed"]) == (POLICIES, True)
            metrics = (await gateway.ops.get("/internal/metrics")).text
            assert metric(metrics, 'lychgate_reloads_total{result="installed",what="policies"}') == FLIPS
            assert "reload_refused" not in gateway.log
            assert await gateway.stop() == 0
    rows = postgres.sql(
        "SELECT DISTINCT body->'decision'->>'policy_version', decision FROM audit_events"
        " WHERE action LIKE 'order:%' AND phase <> 'completed'",
        database=migrated_database.owner.rpartition("/")[2],
    )
    assert sorted(rows.splitlines()) == sorted([f"{opened}|allow", f"{closed}|deny"])


async def test_what_is_revoked_stays_revoked_over_an_edit(tmp_path: Path, store: str) -> None:
    """In every worker, and at the operations port: a new set knows what the one before was told."""
    async with upstream() as service:
        folder = copied(tmp_path)
        policies = {"folder": str(folder), "poll_s": 0.1, "settle_s": 0.05}
        configuration = sections(tmp_path, store, service.port, policies=policies)
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            stolen, root = token("Cashier"), token("SuperAdmin", "platform", sub="root-1")
            assert (await gateway.public.get("/orders", headers=stolen)).status_code == 200
            told = {"user": {"issuer": "dev", "tenant": "acme", "sub": "u-17"}}
            assert (await gateway.ops.post("/revocations", json=told, headers=root)).status_code == 201
            (folder / "closed.cedar").write_text(CLOSED.format(verb="create"))
            await in_force(gateway, load_bundle(folder).version)
            for _ in range(20):  # whichever worker takes it
                async with httpx.AsyncClient(base_url=gateway.public.base_url, timeout=PATIENCE_S) as client:
                    answer = await client.get("/orders", headers=stolen)
                assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")
            assert (await gateway.ops.get("/internal/status", headers=stolen)).status_code == 401


async def test_a_bad_set_is_said_once_and_makes_the_gateway_stale(tmp_path: Path, store: str) -> None:
    """File, line and reason in log and status; the old decides; after a while not ready; and well again when mended.

    Roles and routes are followed too, also where nobody tells of a change.
    """
    async with upstream() as service:
        folder = copied(tmp_path)
        roles = tmp_path / "roles.toml"
        shutil.copy(plane.ROOT / "roles" / "roles.toml", roles)
        policies = {"folder": str(folder), "poll_s": 0.1, "stale_after_s": 0.3, "settle_s": 0.05}
        configuration = sections(tmp_path, store, service.port, policies=policies, gateway={"roles_file": str(roles)})
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            before = await gateway.status()
            assert before["last_reload"] is None
            good = (folder / "order.cedar").read_text()
            _replace(folder / "order.cedar", f"{good}\npermit (principal, action, resource);\n")

            async def unready() -> bool:
                return bool((await gateway.ops.get("/readyz")).json()["waiting_for"] == ["policies"])

            await gateway.until("stale", unready)
            status = await gateway.status()
            line = good.count("\n") + 2
            reason = f"order.cedar:{line}: a policy without an `@id`"
            assert {k: status["last_reload"][k] for k in ("what", "installed", "reason")} == {
                "what": POLICIES,
                "installed": False,
                "reason": reason,
            }
            assert status["stale"]
            assert status["sources_version"] == before["sources_version"]
            assert (await gateway.public.get("/orders", headers=token("Cashier"))).status_code == 200
            (folder / "order.cedar").touch()
            (folder / "product.cedar").touch()
            await asyncio.sleep(0.5)  # several looks
            metrics = (await gateway.ops.get("/internal/metrics")).text
            assert gateway.log.count("reload_refused") == 1
            assert metric(metrics, 'lychgate_reloads_total{result="refused",what="policies"}') == 1
            assert metric(metrics, "lychgate_policies_differ_seconds") > 0.3
            assert metric(metrics, "lychgate_ready") == 0

            _replace(folder / "order.cedar", good)
            await gateway.until_ready()
            assert metric((await gateway.ops.get("/internal/metrics")).text, "lychgate_policies_differ_seconds") == 0
            assert "sources_installed" not in gateway.log.partition("reload_refused")[2], (
                "what is the same was installed"
            )

            (folder / "schema.cedarschema").rename(tmp_path / "away")
            await logged(gateway, "schema.cedarschema: cannot be read: No such file or directory")
            (tmp_path / "away").rename(folder / "schema.cedarschema")
            await gateway.until_ready()

            routes = tmp_path / "routes.toml"
            _replace(routes, plane.ROUTES.replace('path = "/orders"', 'path = "/orders-moved"'))

            async def moved() -> bool:
                return (await gateway.public.get("/orders-moved", headers=token("Cashier"))).status_code == 200

            await gateway.until("the new route", moved)
            _replace(roles, roles.read_text().replace("Cashier", "Teller"))
            await logged(gateway, "`Cashier` is not a role of the catalogue")
            assert await moved()
            assert await gateway.stop() == 0
    assert POLICIES in RELOADS


async def test_a_bundle_is_followed_and_never_goes_back(tmp_path: Path, store: str) -> None:
    """Renamed into place it is in force; altered, of a stranger or older it is refused, and the last good decides."""
    key, stranger = tmp_path / "key.pem", tmp_path / "stranger.pem"
    public = make_key(key)
    make_key(stranger)
    file = tmp_path / "policies.lcb"
    folder = copied(tmp_path)

    def packed(serial: int, signer: Path = key, *, closed: bool = False) -> bytes:
        policies, schema = read_folder(folder)
        files = [*policies, schema]
        files += [("closed.cedar", CLOSED.format(verb="list"))] if closed else []
        return pack(files, serial, private_key(signer, read_private))

    file.write_bytes(packed(7))
    policies = {"bundle": str(file), "bundle_public_keys": [str(public)], "settle_s": 0.05}
    async with upstream() as service:
        configuration = sections(tmp_path, store, service.port, policies=policies)
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            assert (await gateway.status())["bundle_serial"] == 7

            async def answers(status: int) -> bool:
                return bool((await gateway.public.get("/orders", headers=token("Cashier"))).status_code == status)

            assert await answers(200)
            _replace(file, packed(8, closed=True))
            await gateway.until("the new bundle", lambda: answers(403))
            for content, words in (
                (packed(9)[:-1] + b"x", "is not what was signed"),
                (packed(9, stranger), "which is not trusted"),
                (packed(7), "the bundle's serial is 7; 8 is in force, and only a restart goes back"),
                (packed(8), "the bundle's serial is 8, as of the one in force, and its files are not the same"),
                (b"", "policies.lcb: not a bundle"),
            ):
                _replace(file, content)
                await logged(gateway, words)
            assert await answers(403)
            status = await gateway.status()
            assert (status["bundle_serial"], status["last_reload"]["installed"]) == (8, False)
            _replace(file, packed(10))
            await gateway.until("the newest bundle", lambda: answers(200))
            metrics = (await gateway.ops.get("/internal/metrics")).text
            assert metric(metrics, "lychgate_policy_bundle_serial") == 10
            assert await gateway.stop() == 0

        configuration["policies"]["bundle_min_serial"] = 11
        async with started(configuration, tmp_path) as gateway:
            assert await gateway.process.wait() == 2
            assert f"{file}: its serial is 10; the least that is taken is 11" in gateway.log


class Standing:
    """Stands for a supervisor whose workers do as the test says."""

    def __init__(self) -> None:
        self.sources = plane.sources(1)
        self.refuses: StartRefused | None = None
        self.asked = 0

    async def reload(self, read: Callable[[Sources], Sources], check: Callable[[Sources], object]) -> bool:
        """As the real one, without workers."""
        assert check is checked
        self.asked += 1
        new = read(self.sources)
        if new is self.sources:
            return False
        if self.refuses is not None:
            raise self.refuses
        self.sources = new
        return True


def following(standing: Standing, *found: Rules | StartRefused) -> tuple[Live, Freshness]:
    """What follows files that hold one of these after the other."""
    held = iter(found)

    def read() -> Rules:
        rules = next(held)
        if isinstance(rules, StartRefused):
            raise rules
        return rules

    registry = CollectorRegistry()
    freshness = Freshness(FreshnessMetrics(registry), SupervisorMetrics(registry), Clock(), 0)
    return Live(standing, read, lambda sources: sources, [], freshness, settle_s=0, poll_s=1), freshness  # type: ignore[arg-type]


def rules_of(sources: Sources, mark: str = "") -> Rules:
    """Its rules, with a mark in the routes."""
    routes = SourceFile("routes.toml", sources.routes.text + mark)
    return Rules(sources.policies, sources.schema, sources.roles, routes, None)


async def test_a_worker_in_the_way_is_tried_again(capsys: pytest.CaptureFixture[str]) -> None:
    """What failed for reasons of the moment is not done with; said once; what failed for its own is done with."""
    standing = Standing()
    edit = rules_of(standing.sources, "# edit")
    live, freshness = following(standing, edit, edit, edit, rules_of(standing.sources, "# other"))
    standing.refuses = NotTaken("worker 1: no memory")
    assert not await live.take()
    assert not await live.take()
    assert capsys.readouterr().out.count("reload_refused") == 1
    standing.refuses = None
    assert await live.take()
    assert freshness.last is not None
    assert freshness.last.installed
    standing.refuses = StartRefused("routes.toml:3: wrong")
    assert await live.take()
    assert freshness.last.reason == "routes.toml:3: wrong"


async def test_what_sighup_has_said_is_not_said_again(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever edits and then asks for a reload is told once; another bad edit is told of, with the same words too."""
    standing = Standing()
    bad = StartRefused("order.cedar: cannot be read: Permission denied")
    live, freshness = following(
        standing, bad, bad, rules_of(standing.sources, "# 1"), rules_of(standing.sources, "# 2")
    )
    freshness.refused("configuration", str(bad), "v1")
    assert await live.take()
    assert await live.take()
    assert capsys.readouterr().out.count("reload_refused") == 1
    standing.refuses = StartRefused("routes.toml:3: wrong")
    assert await live.take()
    assert await live.take()
    assert capsys.readouterr().out.count("reload_refused") == 2


async def test_whatever_breaks_the_old_stays(capsys: pytest.CaptureFixture[str]) -> None:
    """An error that nobody foresaw is named by its type alone: its text may hold anything."""
    standing = Standing()
    live, freshness = following(standing)  # nothing to read: an error of the test's own making
    assert await live.take()
    assert freshness.last is not None
    assert freshness.last.reason == "unforeseen RuntimeError"
    assert "unforeseen RuntimeError" in capsys.readouterr().out


async def test_watching_begins_anew_when_it_breaks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A filesystem that fails must not end the gateway, nor leave it deaf."""
    standing = Standing()
    live, freshness = following(standing, rules_of(standing.sources, "# edit"))
    live._poll_s = 0.01
    times = 0

    async def breaks_once(*_: object, **__: object) -> AsyncIterator[Seen]:
        nonlocal times
        times += 1
        if times == 1:
            raise ValueError("secret")
        yield ()
        await asyncio.sleep(60)

    monkeypatch.setattr("gateway.supervisor.live.looks", breaks_once)
    task = asyncio.ensure_future(live.run())
    async with asyncio.timeout(PATIENCE_S):
        while freshness.last is None:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    task.cancel()
    assert freshness.last.installed
    said = capsys.readouterr().out
    assert "watch_failed" in said
    assert "ValueError" in said
    assert "secret" not in said


def _replace(file: Path, content: str | bytes) -> None:
    """As production does: written under another name and renamed."""
    draft = file.with_name(f".{file.name}.draft")
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    draft.replace(file)


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims
