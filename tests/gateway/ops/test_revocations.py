"""`/revocations`: who may, what is taken, what is refused and why, what is recorded."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from prometheus_client import CollectorRegistry

from audit.event import AuditEvent
from gateway.clock import Clock
from gateway.errors import BadRequest
from gateway.fleet.errors import NotKept
from gateway.fleet.journal import Journal
from gateway.fleet.register import Register
from gateway.metrics import GatewayMetrics, SupervisorMetrics
from gateway.ops.app import create_app
from gateway.ops.door import Door
from gateway.ops.guard import Guard
from gateway.ops.revocations import AHEAD_S, LONGEST_S, add_revocations, entry_of
from gateway.revocations import Revocation
from gateway.snapshot import build_snapshot
from gateway.sources import MAX_LEEWAY_S
from tests.builders import plane
from tests.gateway.ops.port import PLATFORM, FullEmitter, Standing, bearer, claims

DIGEST = "ab" * 32
USER = {"issuer": "dev", "tenant": "acme", "sub": "mia"}
NOW = 1_000_000.0


class Desk(msgspec.Struct):
    """A port with revocations, and what stands behind it."""

    client: httpx.AsyncClient
    register: Register
    emitter: FullEmitter
    journal: Journal
    standing: Standing
    made: list[None] = []

    @property
    def events(self) -> list[AuditEvent]:
        """Every record."""
        self.emitter.emit_due(everything=True)
        return self.emitter.events

    async def post(self, body: Any, **more: Any) -> httpx.Response:
        """Revoke, as the platform's SuperAdmin unless told otherwise."""
        return await self.client.post("/revocations", **{"json": body, "headers": root(), **more})


def root() -> dict[str, str]:
    """Who may."""
    return bearer("SuperAdmin", PLATFORM, sub="root")


@asynccontextmanager
async def desk(folder: Path, *, limit: int = 100) -> AsyncIterator[Desk]:
    """One in this process."""
    snapshot = build_snapshot(plane.sources(9002))
    standing, own, emitter = Standing(snapshot), CollectorRegistry(), FullEmitter(folder / "spool")
    metrics, clock = SupervisorMetrics(own), Clock()
    door = Door(standing, emitter, clock, GatewayMetrics(own, snapshot.services))
    journal = Journal(folder / "revocations", "one")
    register = Register(journal, clock, limit)
    snapshot.revocations = register.index
    app = create_app(standing, door, own, metrics, metrics_open=True)
    made: list[None] = []
    add_revocations(app, Guard(door, metrics), register, lambda: {"dev"}, lambda: made.append(None))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://ops") as client:
        try:
            yield Desk(client, register, emitter, journal, standing, made)
        finally:
            await emitter.aclose()
            journal.close()


async def test_made_listed_and_lifted(tmp_path: Path) -> None:
    """Each is there until it is lifted, and leaves a durable record that names who and what."""
    async with desk(tmp_path) as ops:
        expires_at = int(time.time()) + 600
        made = await ops.post({"user": USER, "issued_before": 5})
        assert made.status_code == 201, made.text
        entry = made.json()
        assert entry == {
            "id": entry["id"],
            "kind": "user",
            "issuer": "dev",
            "tenant_id": "acme",
            "sub": "mia",
            "issued_before": 5,
            "made_at": entry["made_at"],
            "made_by": "dev/platform/root",
            "workers": 0,
        }
        assert (await ops.post({"user": USER, "issued_before": 5})).status_code == 200, "said again"
        assert (await ops.post({"tenant": "globex"})).status_code == 201
        token = await ops.post({"token_sha256": DIGEST.upper(), "expires_at": expires_at})
        assert (token.json()["token_sha256"], token.json()["expires_at"]) == (DIGEST, expires_at)
        assert (await ops.post({"jti": "j-9", "issuer": "dev", "expires_at": expires_at})).status_code == 201
        listed: list[str] = []
        cursor = ""
        while True:
            page = (await ops.client.get(f"/revocations?limit=3&cursor={cursor}", headers=root())).json()
            listed += [one["kind"] for one in page["data"]]
            if not page["has_more"]:
                break
            cursor = page["next_cursor"]
        assert page["next_cursor"] is None
        assert sorted(listed) == ["jti", "tenant", "token", "user"]
        lifted = await ops.client.delete(f"/revocations/{entry['id']}", headers=root())
        assert (lifted.status_code, lifted.json()["id"]) == (200, entry["id"])
        again = await ops.client.delete(f"/revocations/{entry['id']}", headers=root())
        assert (again.status_code, again.json()["code"]) == (404, "route_unknown")
        assert (await ops.client.delete("/revocations/nope", headers=root())).status_code == 404
        assert len(ops.made) == 6
        first, *_ = ops.events
        assert (first.action, first.tenant_id, first.actor.id) == ("ops:revoke", PLATFORM, "root")
        assert first.details is not None
        assert first.details["revocation"]["sub"] == "mia"
        recorded = [event.details for event in ops.events if event.details and "revocation" in event.details]
        digests = [details["revocation"].get("token_sha256") for details in recorded]
        assert DIGEST in digests, "the digest is no secret, and is what an auditor looks for"
        assert [event for event in ops.events if event.details and "lifted" in event.details]
        kept = ops.journal.read()
        assert sorted(one.kind for one in kept.values() if not one.lifted) == ["jti", "tenant", "token"]


@pytest.mark.parametrize(
    "caller",
    [
        bearer("Admin", "acme"),
        bearer("Auditor", PLATFORM),
        bearer("Service", PLATFORM),
        bearer("SuperAdmin", PLATFORM, aud="x"),
        {},
    ],
)
async def test_nobody_else_may(tmp_path: Path, caller: dict[str, str]) -> None:
    """Not even see whom: the list names users of all tenants."""
    async with desk(tmp_path) as ops:
        for answer in (
            await ops.post({"tenant": "acme"}, headers=caller),
            await ops.client.get("/revocations", headers=caller),
            await ops.client.delete(f"/revocations/{'0' * 32}", headers=caller),
        ):
            assert answer.status_code in {401, 403}
        assert ops.register.entries == {}
        assert all(event.decision is None or event.decision.effect == "deny" for event in ops.events)


async def test_who_is_revoked_is_out_here_too(tmp_path: Path) -> None:
    """At once, for the operator's own credential as well, and booked to the token's tenant."""
    async with desk(tmp_path) as ops:
        mine = root()
        assert (await ops.post({"user": {**USER, "tenant": PLATFORM, "sub": "root"}}, headers=mine)).status_code == 201
        refused = await ops.client.get("/revocations", headers=mine)
        assert (refused.status_code, refused.json()["code"]) == (401, "token_invalid")
        event = ops.events[-1]
        assert (event.tenant_id, event.actor.id) == (PLATFORM, "root")
        assert event.details is not None
        assert event.details["reason"] == "revoked"


async def test_an_exchange_for_a_revoked_caller_is_refused(tmp_path: Path) -> None:
    """What they were given before is good for nothing new, also where the token was issued after the time named."""
    async with desk(tmp_path) as ops:
        signer = ops.standing.snapshot.signer
        asked = {"method": "GET", "path": "/orders"}
        service = bearer("Service", PLATFORM, sub="integration")

        async def exchanged(**changes: Any) -> httpx.Response:
            body = {"context": signer.sign(claims(**changes)), **asked}
            return await ops.client.post("/context/exchange", json=body, headers=service)

        assert (await exchanged()).status_code == 200
        assert (await ops.post({"user": {**USER, "sub": "u-17"}, "issued_before": 5})).status_code == 201
        refused = await exchanged()
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert ops.events[-1].details is not None
        assert ops.events[-1].details["reason"] == "exchange: the caller is revoked"
        assert (await exchanged(sub="u-18")).status_code == 200
        assert (await exchanged(iat=int(time.time()) + 2)).status_code == 200, "signed since, for a token that holds"
        ops.register.index.stale = True
        assert (await exchanged(sub="u-18")).json()["code"] == "policy_unavailable"
        assert (await ops.client.get("/internal/status", headers=root())).status_code == 200, "the operator is let in"


async def test_what_cannot_be_kept_or_recorded_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that takes nothing is 503 and changes nothing; as many as may be is 503 too."""
    async with desk(tmp_path, limit=1) as ops:

        def full(*_: object) -> None:
            raise NotKept("revocations: cannot be kept: No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Journal, "append", full)
            answer = await ops.post({"tenant": "acme"})
        assert (answer.status_code, answer.json()["code"]) == (503, "policy_unavailable")
        assert ops.register.entries == {}
        assert ops.events[-1].details is not None
        assert ops.events[-1].details["reason"] == "revocations: cannot be kept: No space left on device"
        await ops.post({"tenant": "acme"})
        answer = await ops.post({"tenant": "globex"})
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
        ops.emitter.full = True
        answer = await ops.post({"tenant": "acme", "issued_before": time.time()})
        assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")


FORMS = "revocation: give token_sha256 and expires_at; jti, issuer and expires_at; user; or tenant"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{}", FORMS),
        (b"[]", "revocation: Expected `object`, got `array`"),
        (b'{"user": null}', FORMS),
        (b'{"tenant": "acme", "issued_before": null}', FORMS),
        (b'{"tenant": "acme", "expires_at": 2000000}', FORMS),
        (b'{"tenant": "acme", "user": {"issuer": "dev", "tenant": "acme", "sub": "m"}}', FORMS),
        (b'{"jti": "a", "expires_at": 2000000}', FORMS),
        (b'{"token_sha256": "ab"}', FORMS),
        (b'{"tenant": "acme", "why": "x"}', "revocation: Object contains unknown field `why`"),
        (
            b'{"user": {"issuer": "dev", "sub": "m"}}',
            "revocation: Object missing required field `tenant` - at `$.user`",
        ),
        (b'{"tenant": 5}', "revocation: Expected `str | null`, got `int` - at `$.tenant`"),
        (b'{"tenant": "No"}', "revocation: tenant is not a tenant's name"),
        (b'{"tenant": "-"}', "revocation: tenant is not a tenant's name"),
        (
            b'{"user": {"issuer": "dev", "tenant": "-", "sub": "m"}}',
            "revocation: user.tenant or user.sub cannot be in a token",
        ),
        (
            b'{"user": {"issuer": "dev", "tenant": "acme", "sub": "a\\u0000"}}',
            "revocation: user.tenant or user.sub cannot be in a token",
        ),
        (
            b'{"user": {"issuer": "http://dev", "tenant": "acme", "sub": "m"}}',
            "revocation: issuer is not the name of a configured issuer",
        ),
        (
            b'{"jti": "a", "issuer": "devv", "expires_at": 2000000}',
            "revocation: issuer is not the name of a configured issuer",
        ),
        (b'{"jti": "", "issuer": "dev", "expires_at": 2000000}', "revocation: jti cannot be in a token"),
        (b'{"token_sha256": "ab", "expires_at": 2000000}', "revocation: token_sha256 is not a SHA-256 in hex"),
        (b'{"jti": "a", "issuer": "dev", "expires_at": 999700}', "revocation: the token has expired"),
        (b'{"jti": "a", "issuer": "dev", "expires_at": 1e300}', "revocation: expires_at lies too far ahead"),
        (
            b'{"tenant": "acme", "issued_before": 1000061}',
            "revocation: issued_before lies over 60 s ahead, or is no time",
        ),
        (b'{"tenant": "acme", "issued_before": 0}', "revocation: issued_before lies over 60 s ahead, or is no time"),
    ],
)
def test_a_body_that_is_not_one_of_the_forms(body: bytes, reason: str) -> None:
    """Is refused with the reason, which the record gets."""
    with pytest.raises(BadRequest) as caught:
        entry_of(body, NOW, {"dev"})
    assert caught.value.reason == reason


def test_the_bounds_of_times() -> None:
    """A token may be named for as long as it may be believed, and a time may lie as far ahead as clocks differ."""
    entry = entry_of(b'{"jti": "a", "issuer": "dev", "expires_at": 999701}', NOW, {"dev"})
    assert entry == Revocation(kind="jti", issuer="dev", jti="a", expires_at=999_701 + MAX_LEEWAY_S)
    assert not entry.over(NOW)
    assert entry_of(b'{"tenant": "acme"}', NOW, {}).issued_before == NOW
    ahead = f'{{"tenant": "acme", "issued_before": {NOW + AHEAD_S}}}'
    assert entry_of(ahead.encode(), NOW, {}).issued_before == NOW + AHEAD_S
    far = f'{{"token_sha256": "{DIGEST}", "expires_at": {NOW + LONGEST_S - 1}}}'
    assert entry_of(far.encode(), NOW, {}).kind == "token"


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("limit=0", "revocations: limit is not from 1 to 1000"),
        ("limit=1001", "revocations: limit is not from 1 to 1000"),
        ("limit=-1", "revocations: limit is not a number"),
        ("limit=" + "9" * 5000, "revocations: limit is not a number"),
        ("limit=1&limit=2", "revocations: knows only cursor and limit, once each"),
        ("tenant=acme", "revocations: knows only cursor and limit, once each"),
    ],
)
async def test_a_list_knows_two_parameters(tmp_path: Path, query: str, reason: str) -> None:
    """Once each, within bounds."""
    async with desk(tmp_path) as ops:
        answer = await ops.client.get(f"/revocations?{query}", headers=root())
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        assert ops.events[-1].details is not None
        assert ops.events[-1].details["reason"] == reason


async def test_only_json_is_read(tmp_path: Path) -> None:
    """As everywhere at this port."""
    async with desk(tmp_path) as ops:
        answer = await ops.client.post("/revocations", content=b"x", headers=root())
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
        double = b'{"tenant": "acme", "tenant": "globex"}'
        headers = {**root(), "content-type": "application/json"}
        assert (await ops.client.post("/revocations", content=double, headers=headers)).status_code == 400
