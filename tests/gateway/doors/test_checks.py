"""One question, whichever door: who may ask, what only the gateway can do, and the record of it."""

import asyncio
import random
from pathlib import Path

import msgspec
import pytest
import structlog

from gateway.control import HopsConfig
from gateway.doors.checks import peer_at
from gateway.serve.hops import TrustedHops
from gateway.snapshot import build_snapshot
from gateway.wire.target import normal_path
from tests.builders import plane, tokens
from tests.gateway.doors.house import ROUTES, bearer, house


@pytest.mark.parametrize(
    ("peers", "proxy"), [((), "127.0.0.1"), (("10.1.0.0/16",), "10.2.0.1"), (("127.0.0.1/32",), "unknown")]
)
async def test_a_peer_that_is_not_configured_is_not_listened_to(
    tmp_path: Path, peers: tuple[str, ...], proxy: str
) -> None:
    """403, whatever it shows: its fields are not read, its record says why and who, and the log does once."""
    async with house(tmp_path, peers=peers, proxy=proxy) as doors:
        with structlog.testing.capture_logs() as logs:
            answers = [await doors.forward(), await doors.envoy(), await doors.envoy(role="Admin")]
        assert [(told.status, told.code) for told in answers] == [(403, "forbidden")] * 3
        assert all("x-security-context" not in told.headers for told in answers)
        assert [(log["event"], log["peer"], log["setting"]) for log in logs] == [
            ("door_peer_unknown", proxy, "doors.peers")
        ]
        events = doors.events
        details = [event.details or {} for event in events]
        assert [(it["reason"], it["door"], it["proxy"]) for it in details] == [
            ("door: the peer is not in doors.peers", door, proxy) for door in ("forward", "ext_authz_http")
        ]
        assert [event.aggregate.count if event.aggregate else 1 for event in events] == [1, 2]
        assert {event.tenant_id for event in events} == {"-"}
        assert all(event.request is None for event in events)


@pytest.mark.parametrize(
    ("uri", "code", "reason"),
    [
        ("/orders/feed", "forbidden", "door: tunnels are opened by the gateway only"),
        ("/orders/cards", "forbidden", "door: fields of the answer must be withheld, which only the gateway does"),
        ("/orders/%6F-1", "bad_request", "door: the target is not in its canonical form"),
        ("/orders/a%2fb", "bad_request", "target: encoded slash"),
    ],
)
async def test_what_only_the_gateway_can_do_is_refused(tmp_path: Path, uri: str, code: str, reason: str) -> None:
    """A door cannot watch a tunnel, take fields out of an answer, or change the bytes that are forwarded."""
    async with house(tmp_path) as doors:
        told = await doors.forward("GET", uri, role="Support")
        assert (told.status, told.code) == (403, code)
        assert doors.event.details is not None
        assert doors.event.details["reason"] == reason
        assert doors.event.tenant_id == ("-" if reason.startswith("target") else "acme")


async def test_fields_that_the_caller_may_see_need_not_be_withheld(tmp_path: Path) -> None:
    """On the same route somebody who may see everything passes."""
    async with house(tmp_path) as doors:
        assert (await doors.forward("GET", "/orders/cards", role="Admin")).status == 200


@pytest.mark.parametrize("offer", ["websocket", "h2c"])
async def test_an_upgrade_is_refused_where_it_is_seen(tmp_path: Path, offer: str) -> None:
    """The gateway takes an upgrade out; a door can only say no."""
    async with house(tmp_path) as doors:
        told = await doors.forward("GET", "/orders", ("Upgrade", offer))
        assert (told.status, told.code) == (403, "forbidden")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([("Authorization", "Bearer x"), ("Authorization", "Bearer y")], "bad_request"),
        ([("Authorization", "Bearer x,Bearer y")], "bad_request"),
        ([("Authorization", "Basic eDp5")], "token_invalid"),
        ([("X-Tenant-Id", "beta"), *bearer("Cashier")], "tenant_mismatch"),
        ([("X-Tenant-Id", "acme"), ("X-Tenant-Id", "beta"), *bearer("Cashier")], "tenant_mismatch"),
        ([*bearer("Cashier", exp=1)], "token_expired"),
        ([(f"x-{number}", "1") for number in range(200)], "header_too_large"),
        ([("x-long", "1" * 70_000)], "header_too_large"),
    ],
)
async def test_the_checks_of_the_public_port_hold(tmp_path: Path, fields: list[tuple[str, str]], code: str) -> None:
    """Two credentials, another tenant, too much of anything."""
    async with house(tmp_path) as doors:
        told = await doors.forward("GET", "/orders", *fields, role=None)
        assert told.code == code


async def test_an_unknown_key_is_asked_for_and_an_expired_token_booked(tmp_path: Path) -> None:
    """What a refused token tells reaches the key fetcher, and its tenant's records, as on the public port."""
    other = tokens.signing_key(kid="k9", which=1)
    forged = tokens.bearer(tokens.mint(other)).decode()
    async with house(tmp_path) as doors:
        assert (await doors.forward("GET", "/orders", ("Authorization", forged), role=None)).code == "token_invalid"
        assert doors.standing.kids == [("dev", "k9")]
        assert (await doors.forward("GET", "/orders", *bearer("Cashier", exp=1), role=None)).code == "token_expired"
        assert [event.tenant_id for event in doors.events] == ["-", "acme"]


async def test_no_record_no_passage(tmp_path: Path) -> None:
    """A change whose record cannot be written is refused; so is a denial that cannot be."""
    async with house(tmp_path) as doors:
        doors.emitter.full = True
        told = await doors.forward("POST", "/orders")
        assert (told.status, told.code) == (403, "audit_unavailable")
        assert "x-security-context" not in told.headers
        assert (await doors.envoy("GET", "/orders", role="Auditor")).status == 503


async def test_one_too_many_is_overloaded_and_recorded(tmp_path: Path) -> None:
    """Beyond `doors.inflight` the answer is 503, at once, and the count of what is in hand goes back to nothing."""
    async with house(tmp_path, inflight=2) as doors:
        answers = await asyncio.gather(*(doors.envoy("POST", "/orders") for _ in range(5)))
        assert sorted(told.status for told in answers) == [200, 200, 503, 503, 503]
        shed = next(told for told in answers if told.status == 503)
        assert (shed.code, shed.headers["retry-after"]) == ("overloaded", "1")
        assert doors.counted("ext_authz_http", "overloaded") == 3
        assert doors.registry.get_sample_value("lychgate_door_inflight") == 0
        assert sum(event.aggregate.count if event.aggregate else 1 for event in doors.events) == 5
        assert (await doors.envoy("POST", "/orders")).status == 200


async def test_what_nobody_foresaw_is_refused_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is 500 here and 403 at forward-auth, without its text, and the log has it."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("gateway.doors.checks.judge", broken)
    async with house(tmp_path) as doors:
        with structlog.testing.capture_logs() as logs:
            told, other = await doors.envoy(), await doors.forward()
        assert (told.status, told.code, other.status, other.code) == (500, "internal", 403, "internal")
        assert b"secret" not in told.body
        assert [log["event"] for log in logs] == ["door_failed"] * 2


async def test_decisions_are_remembered_and_counted_with_all_others(tmp_path: Path) -> None:
    """The second of two equal questions is a hit of the memo, in the record and in the numbers."""
    async with house(tmp_path) as doors:
        await doors.forward()
        await doors.envoy()
        assert [event.decision.memo_hit for event in doors.events if event.decision] == [False, True]
        for source in ("evaluated", "memo"):
            labels = {"effect": "allow", "source": source}
            assert doors.registry.get_sample_value("lychgate_decisions_total", labels) == 1


async def test_a_new_snapshot_is_in_force_for_the_next_question(tmp_path: Path) -> None:
    """Nothing that was remembered outlives what it was decided by."""
    async with house(tmp_path) as doors:
        assert (await doors.forward()).status == 200
        without_keys = msgspec.structs.replace(plane.sources(9002, routes=ROUTES), keys=())
        doors.standing._snapshot = build_snapshot(without_keys)
        told = await doors.forward()
        assert (told.status, told.code) == (401, "token_invalid")


async def test_whatever_is_told_is_answered_and_recorded_once(tmp_path: Path) -> None:
    """Odd methods, targets and fields: never a fault, never a pass for a target that is not canonical."""
    dice = random.Random(7)
    plain = ["/", "orders", "o-1", "?", "a=b", "http:", "//"]
    bits = [*plain, "..", ".", "%2e", "%2F", "%41", "#", ";", "\\", "%", "\0", "é", " "]
    async with house(tmp_path) as doors:
        for asked in range(400):
            target = "".join(dice.choice(bits) for _ in range(dice.randint(0, 6)))
            target = f"/orders/{target}" if dice.random() < 0.5 else f"/{target}" if asked % 2 == 0 else target
            method = dice.choice(["GET", "POST", "get", "", "GET /", "TRACE", "PURGE", "\t"])
            role = dice.choice(["Cashier", "Auditor", None])
            told = await (doors.forward if asked % 2 else doors.envoy)(method, target, role=role)
            assert told.code != "internal", (method, target)
            if told.status == 200:
                assert normal_path(target.encode("latin-1")).target == target.encode("latin-1")
            assert told.status in ({200, 401, 403} if asked % 2 else {200, 400, 401, 403, 404, 405}), (method, target)
        assert sum(event.aggregate.count if event.aggregate else 1 for event in doors.events) == 400


async def test_strangers_are_let_in_where_the_route_does(tmp_path: Path) -> None:
    """A caller without a credential gets a context without a name."""
    async with house(tmp_path) as doors:
        told = await doors.forward("GET", "/catalog/acme/products", role=None)
        assert (told.status, told.headers["x-user-id"], told.headers["x-tenant-id"]) == (200, "", "acme")
        assert doors.believed(told).sub == ""


async def test_the_client_is_read_from_the_right_as_far_as_hops_are_ours(tmp_path: Path) -> None:
    """The proxy names the balancer, the balancer the client; what stands left of that is the client's own."""
    hops = {"trusted_hops": {"networks": ["198.51.100.0/24"]}}
    async with house(tmp_path, gateway=hops) as doors:
        for chain in ("203.0.113.66, 192.0.2.9, 198.51.100.4", "203.0.113.66, 192.0.2.9", "rubbish", ""):
            await doors.forward("GET", "/orders", *([("X-Forwarded-For", chain)] if chain else []))
        ips = [event.client.ip for event in doors.events if event.client]
        assert ips == ["192.0.2.9", "192.0.2.9", "127.0.0.1", "127.0.0.1"]


def test_nobody_at_no_address_is_believed() -> None:
    """A socket of the file system has no address, and a zone is not part of one."""
    hops = TrustedHops(HopsConfig(networks=("fe80::/64", "127.0.0.1/32")))
    assert not peer_at(hops, ("", 0)).hop
    assert not peer_at(hops, ("unknown", 0)).hop
    assert peer_at(hops, ("fe80::1%eth0", 1)).hop
    assert peer_at(hops, ("::ffff:127.0.0.1", 1)).hop
