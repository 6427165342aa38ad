"""One gateway's line to a real Redis: what differs is healed, what is lost is put back, what is bad is told once."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from gateway.clock import Clock
from gateway.fleet.journal import Journal
from gateway.fleet.link import Link
from gateway.fleet.metrics import FleetMetrics
from gateway.fleet.register import Register
from gateway.fleet.seal import Seal
from gateway.fleet.store import BLOCK_S, FleetStore, connect
from gateway.fleet_settings import RedisSettings
from gateway.revocations import Revocation
from tests.builders.patience import PATIENCE_S
from tests.servers.redis import PASSWORD, RedisServer, redis_server

SEAL = Seal(b"k" * 32)
ROOT = "dev/platform/root"
AWAY = "lychgate_revocation_redis_away_seconds"


def user(sub: str, **changes: Any) -> Revocation:
    """An entry."""
    return Revocation(kind="user", issuer="dev", tenant_id="acme", sub=sub, issued_before=5.0, **changes)


class Member:
    """A register with its line."""

    def __init__(
        self, folder: Path, node: str, server: RedisServer, on_loss: Literal["keep", "refuse"], full_read_s: float
    ) -> None:
        self.journal = Journal(folder, node)
        self.register = Register(self.journal, Clock(), 1_000)
        self.registry = CollectorRegistry()
        self.redis: Redis = connect(RedisSettings(**{**server.section, "timeout_s": 0.3}), PASSWORD)
        self.store = FleetStore(self.redis, "lychgate", SEAL, 1_000)
        self.link = Link(
            self.register,
            self.store,
            FleetMetrics(self.registry),
            Clock(),
            node=node,
            on_loss=on_loss,
            grace_s=0.5,
            full_read_s=full_read_s,
        )

    def metric(self, name: str) -> float | None:
        """What is counted."""
        return self.registry.get_sample_value(name)


@asynccontextmanager
async def member(
    folder: Path,
    node: str,
    server: RedisServer,
    on_loss: Literal["keep", "refuse"] = "keep",
    full_read_s: float = 1.0,
) -> AsyncIterator[Member]:
    """One that runs until the block ends."""
    found = Member(folder, node, server, on_loss, full_read_s)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(found.link.run(lambda: f"policies-of-{node}"))
        try:
            yield found
        finally:
            running.cancel()
    found.journal.close()


async def until(condition: Callable[[], object], what: str, within_s: float = PATIENCE_S) -> None:
    """Poll until it holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)
    assert condition(), what


async def test_two_gateways_come_to_know_the_same(tmp_path: Path) -> None:
    """What each made before they met, what is made and lifted since, and which policies the other has."""
    async with redis_server(tmp_path) as server, member(tmp_path, "one", server) as one:
        await one.register.revoke(user("early"), ROOT)
        async with member(tmp_path, "two", server) as two:
            await until(lambda: user("early").id in two.register.entries, "told who came later")
            await two.register.revoke(user("mia"), ROOT)
            await until(lambda: len(one.register.index) == 2, "told at once")
            await one.register.lift(user("early").id, ROOT)
            await until(lambda: len(two.register.index) == 1, "lifted")
            await until(lambda: len(one.link.status()["gateways"]) == 2, "announced")
            assert one.link.status()["same_policies"] is False
            await until(lambda: one.metric("lychgate_fleet_policy_versions") == 2, "counted")
            assert one.metric("lychgate_revocation_redis_up") == 1
            assert one.register.entries == two.register.entries


@pytest.mark.parametrize(("what", "full_read_s"), [("replayed", 1.0), ("taken", 3600.0), ("gone", 3600.0)])
async def test_what_redis_loses_is_put_back(tmp_path: Path, what: str, full_read_s: float) -> None:
    """Old states brought back, entries taken away, everything gone: nobody is let back in, and Redis is healed.

    What is missing is seen at once, by the count; what is older when everything is compared.
    """
    async with redis_server(tmp_path) as server, member(tmp_path, "one", server, full_read_s=full_read_s) as one:
        made = (await one.register.revoke(user("mia"), ROOT)).entry
        lifted = await one.register.lift(made.id, ROOT)
        again = (await one.register.revoke(user("mia"), ROOT)).entry
        assert lifted is not None
        await until(lambda: one.link.reached and not one.link.status()["redis"]["unpublished"], "published")
        await asyncio.sleep(BLOCK_S)  # the link has seen the count
        match what:
            case "replayed":
                await one.store.write([lifted.entry, made])
            case "taken":
                await one.store.remove([made.id])
            case _:
                await one.redis.flushall()
        async with asyncio.timeout(PATIENCE_S):
            while (await one.store.read()).entries != {again.id: again}:  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.02)
        assert one.register.entries == {again.id: again}
        assert len(one.register.index) == 1


async def test_over_and_unsealed_values(tmp_path: Path) -> None:
    """What is over is taken out of Redis; what is not sealed is counted, changes nothing, and ends nothing."""
    async with redis_server(tmp_path) as server, member(tmp_path, "one", server) as one:
        await one.store.write([Revocation(kind="jti", issuer="dev", jti="old", expires_at=5.0)])
        evil = msgspec.json.encode(user("tom"))
        await one.redis.hset("lychgate:revocations", user("tom").id, evil)  # type: ignore[misc, arg-type]
        await one.redis.xadd("lychgate:changes", {"entry": evil})
        await until(lambda: (one.metric("lychgate_revocation_redis_unsealed_total") or 0) >= 2, "counted")

        async with asyncio.timeout(PATIENCE_S):
            while (await one.store.read()).ids != {user("tom").id.encode()}:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.02)
        assert one.register.entries == {}
        await one.redis.delete("lychgate:changes")
        await one.redis.set("lychgate:changes", "not a stream")
        await until(lambda: one.link.status()["redis"]["problem"] == "ResponseError", "told")
        await one.redis.delete("lychgate:changes")
        await until(lambda: one.link.status()["redis"]["up"], "and back")


async def test_a_silent_redis_is_lost_and_refuse_refuses(tmp_path: Path) -> None:
    """One that is stopped answers nothing and closes nothing; from the first moment on for who never heard of it."""
    async with redis_server(tmp_path) as server:
        async with member(tmp_path, "one", server, "refuse") as one, member(tmp_path, "two", server) as two:
            await until(lambda: one.link.reached and not one.register.index.stale, "reached")
            await one.link.first_contact(0.1)
            server.signal(signal.SIGSTOP)
            await until(lambda: one.register.index.stale, "lost")
            assert one.metric("lychgate_revocation_stale") == 1
            await until(lambda: (one.metric(AWAY) or 0) > 0.5, "for how long")
            assert not two.register.index.stale, "keep keeps"
            await until(lambda: not two.link.status()["redis"]["up"], "and says so")
            made = await one.register.revoke(user("mia"), ROOT)
            assert made.changed, "revoking goes on"
            server.signal(signal.SIGCONT)
            await until(lambda: not one.register.index.stale, "back")
            await until(lambda: len(two.register.index) == 1, "and told")
            assert one.metric(AWAY) == 0
        await server.kill()
        async with member(tmp_path, "three", server, "refuse") as three:
            await until(lambda: three.register.index.stale, "nothing was ever heard")
            await three.link.first_contact(0.05)
            assert not three.link.reached
            assert three.link.status()["redis"]["contact_at"] is None
            await until(lambda: (three.metric(AWAY) or 0) > 0.5, "from its start on")
