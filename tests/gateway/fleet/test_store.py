"""What stands in a real Redis: what is written is read and followed, and what others put there is not believed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError

from gateway.fleet.seal import Seal
from gateway.fleet.store import FleetStore, connect
from gateway.fleet_settings import RedisSettings
from gateway.revocations import Revocation
from tests.builders.certificates import Authority
from tests.servers.redis import PASSWORD, redis_server

SEAL = Seal(b"k" * 32)
MIA = Revocation(kind="user", issuer="dev", tenant_id="acme", sub="mia", issued_before=5.0)
ACME = Revocation(kind="tenant", tenant_id="acme", issued_before=7.0)


@asynccontextmanager
async def store(folder: Path, limit: int = 1_000) -> AsyncIterator[tuple[FleetStore, Redis]]:
    """A fleet's part of a Redis, and a hand that can write anything."""
    async with redis_server(folder) as server:
        redis = connect(RedisSettings(**server.section), PASSWORD)
        assert PASSWORD not in repr(RedisSettings(**server.section))
        try:
            yield FleetStore(redis, "lychgate", SEAL, limit), redis
        finally:
            await redis.aclose()


async def test_written_read_followed_and_removed(tmp_path: Path) -> None:
    """The state by id, the changes in their order, each once."""
    async with store(tmp_path) as (fleet, redis):
        assert (await fleet.read()).entries == {}
        assert await fleet.last_change() == b"0-0"
        read, place = await fleet.follow(b"0-0")
        assert (read.entries, place) == ({}, b"0-0")
        await fleet.write([MIA, ACME])
        later = msgspec.structs.replace(MIA, version=2, lifted=True)
        await fleet.write([later])
        assert (await fleet.read()).entries == {MIA.id: later, ACME.id: ACME}
        assert await fleet.count() == 2
        read, place = await fleet.follow(place)
        assert read.entries == {MIA.id: later, ACME.id: ACME}
        assert place == await fleet.last_change()
        assert (await fleet.follow(place))[0].entries == {}
        await fleet.remove([ACME.id])
        await fleet.remove([])
        assert await fleet.count() == 1
        assert {name.decode() for name in await redis.keys()} == {"lychgate:revocations", "lychgate:changes"}


async def test_what_others_put_there_is_counted_and_not_taken(tmp_path: Path) -> None:
    """Without the key, under another id, of another kind, or nothing of ours at all."""
    text = msgspec.json.encode(MIA)
    async with store(tmp_path) as (fleet, redis):
        values = [
            text,
            b"",
            b"\xff" * 100,
            Seal(b"x" * 32).put("revocation", text),
            SEAL.put("gateway", text),
            SEAL.put("revocation", b"{}"),
            SEAL.put("revocation", msgspec.json.encode(msgspec.structs.replace(MIA, sub=""))),
        ]
        for number, value in enumerate(values):
            await redis.hset("lychgate:revocations", f"{number}", value)  # type: ignore[misc, arg-type]
            await redis.xadd("lychgate:changes", {"entry": value})
        await redis.hset("lychgate:revocations", ACME.id, SEAL.put("revocation", text))  # type: ignore[misc, arg-type]
        await redis.xadd("lychgate:changes", {"else": "x"})
        read = await fleet.read()
        assert (read.entries, read.unsealed) == ({}, len(values) + 1)
        read, _ = await fleet.follow(b"0-0")
        assert (read.entries, read.unsealed) == ({}, len(values) + 1)
        await redis.hset("lychgate:gateways", "evil", b"x")  # type: ignore[misc, arg-type]
        stolen = SEAL.put("gateway", b'{"node": "two", "policy_version": "v", "at": 99999999999}')
        await redis.hset("lychgate:gateways", "three", stolen)  # type: ignore[misc, arg-type]
        assert [told.node for told in await fleet.announce("one", "v1")] == ["one"]
        assert [told.policy_version for told in await fleet.announce("one", "v2")] == ["v2"]
        assert [told.node for told in await fleet.announce("two", "v2")] == ["one", "two"]


async def test_more_than_a_fleet_can_have_is_not_read(tmp_path: Path) -> None:
    """A reader's memory is bounded, whoever fills Redis."""
    async with store(tmp_path, limit=10) as (fleet, redis):
        await redis.hset("lychgate:revocations", mapping={f"{n}": "x" for n in range(2_000)})  # type: ignore[misc]
        with pytest.raises(ValueError, match=r"^more entries than a fleet may have$"):
            await fleet.read()


async def test_over_tls_with_certificates_of_both_sides(tmp_path: Path) -> None:
    """A Redis whose certificate somebody else signed, or that ours does not satisfy, is not spoken to."""
    async with redis_server(tmp_path, Authority()) as server:
        good = RedisSettings(**server.section)
        async with connect(good, PASSWORD) as redis:
            assert await FleetStore(redis, "lychgate", SEAL, 10).count() == 0
        (tmp_path / "other.pem").write_text(Authority().pem)
        for wrong in ({"ca_file": tmp_path / "other.pem"}, {"cert_file": None, "cert_key_file": None}):
            with pytest.raises(RedisError):
                async with connect(good.model_copy(update=wrong), PASSWORD) as redis:
                    await FleetStore(redis, "lychgate", SEAL, 10).count()
        with pytest.raises(AuthenticationError):
            async with connect(good, "wrong") as redis:
                await FleetStore(redis, "lychgate", SEAL, 10).count()


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"ca_file": "none.pem"}, r"none\.pem: cannot be used: No such file or directory$"),
        ({"ca_file": "junk.pem"}, r"junk\.pem: cannot be used: NO_CERTIFICATE_OR_CRL_FOUND$"),
        (
            {"cert_file": "one.crt", "cert_key_file": "two.key"},
            r"two\.key: cannot be used: KEY_VALUES_MISMATCH$",
        ),
    ],
)
def test_certificates_that_cannot_be_used(tmp_path: Path, files: dict[str, str], why: str) -> None:
    """Are named at the start, and not at the first connection."""
    (tmp_path / "junk.pem").write_text("x")
    signer = Authority()
    for name in ("one", "two"):
        cert, key = signer.client().write(tmp_path, name)
        cert.rename(tmp_path / f"{name}.crt")
        key.rename(tmp_path / f"{name}.key")
    given = {name: tmp_path / file for name, file in files.items()}
    with pytest.raises(ValueError, match=why):
        connect(RedisSettings(url="rediss://a", fleet_key_file=tmp_path / "k", **given), None)
