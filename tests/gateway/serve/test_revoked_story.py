"""Whatever is remembered, begun or open: nothing goes on for who is revoked, and everything for others."""

import asyncio
import base64
import functools
import hashlib
import itertools
import time
from pathlib import Path
from typing import Any, Final

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.limits import Limits
from gateway.revocations import Revocation
from gateway.snapshot import Snapshot, build_snapshot
from tests.builders import plane
from tests.builders.house import End, House, serve, snapshot
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import request
from tests.builders.tunnels import asking, client, closing, opened, switching, tunnels, until, with_forbid
from tests.gateway.fleet.fleets import serve as tunnel_stream_or_answer
from tests.gateway.serve.test_exchange import body_of, status_of
from tests.servers.upstream import OK, Visit

FAR: Final = 4_000_000_000
BEFORE: Final = 1_500.0
STREAM: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def credential(**changes: Any) -> str:
    """A token; the same text for the same claims, but for its signature."""
    return plane.token(**{"exp": FAR, "jti": None, **changes})


def digest(token: str) -> str:
    """How it is named."""
    return hashlib.sha256(token.rpartition(".")[0].encode()).hexdigest()


CALLERS: Final = tuple(
    (claims, credential(**claims))
    for claims in (
        {"sub": "mia", "iat": 1_000, "jti": "a"},
        {"sub": "mia", "iat": 2_000, "jti": "b"},
        {"sub": "mia", "iat": 1_000, "tenant_id": "globex"},
        {"sub": "tom", "iat": 1_000, "role": "Manager"},
        {"sub": "tom", "iat": None, "role": "Auditor"},
    )
)
ENTRIES: Final = (
    Revocation(kind="user", issuer="dev", tenant_id="acme", sub="mia", issued_before=BEFORE),
    Revocation(kind="user", issuer="dev", tenant_id="acme", sub="tom", issued_before=BEFORE),
    Revocation(kind="tenant", tenant_id="globex", issued_before=BEFORE),
    Revocation(kind="tenant", tenant_id="acme", issued_before=BEFORE),
    Revocation(kind="jti", issuer="dev", jti="b", expires_at=FAR),
    Revocation(kind="jti", issuer="other", jti="a", expires_at=FAR),
    Revocation(kind="token", token_sha256=digest(CALLERS[3][1]), expires_at=FAR),
)
PATHS: Final = (("GET", "/orders", b""), ("GET", "/orders/o-1", b""), ("POST", "/orders", b""))


def refuses(entry: Revocation, claims: dict[str, Any], token: str) -> bool:
    """A second opinion, from the claims."""
    iat = claims["iat"] or 0
    tenant = claims.get("tenant_id", "acme")
    match entry.kind:
        case "token":
            return entry.token_sha256 == digest(token)
        case "jti":
            return (entry.issuer, entry.jti) == ("dev", claims.get("jti"))
        case "user":
            return (entry.tenant_id, entry.sub) == (tenant, claims["sub"]) and iat < entry.issued_before
        case _:
            return entry.tenant_id == tenant and iat < entry.issued_before


@functools.cache
def variants() -> tuple[Snapshot, Snapshot]:
    """Two sets of policies: in the second nobody lists orders."""
    return snapshot(), build_snapshot(with_forbid(plane.sources(9)))


class Gate:
    """A data plane that remembers, and one that never does.

    Attributes:
        house: The one that is asked.
    """

    def __init__(self) -> None:
        self.house = House()
        self.house.loop.answers = self._service
        self.house.server.install(variants()[0])

    def _service(self, end: End) -> None:
        serve(end, OK)

    def ask(self, token: str, method: str, path: str, body: bytes) -> int:
        """What a caller is answered on a connection of their own."""
        end = self.house.client()
        end.send(request(method, path, auth=token, body=body))
        self.house.settle()
        assert not self.house.faults
        return int(bytes(end.got).split(b" ", 2)[1])


@functools.cache
def fresh(variant: int, which: int, path: int) -> int:
    """What a caller is answered where nobody is revoked and nothing was remembered."""
    gate = Gate()
    gate.house.server.install(variants()[variant])
    return gate.ask(CALLERS[which][1], *PATHS[path])


@functools.cache
def everything_fresh() -> dict[tuple[int, int, int], int]:
    """`fresh` for everything that may be asked."""
    asked = itertools.product(range(2), range(len(CALLERS)), range(len(PATHS)))
    return {(variant, which, path): fresh(variant, which, path) for variant, which, path in asked}


steps = st.one_of(
    st.tuples(st.just("ask"), st.integers(0, len(CALLERS) - 1), st.integers(0, len(PATHS) - 1)),
    st.tuples(st.just("ask"), st.integers(0, len(CALLERS) - 1), st.integers(0, len(PATHS) - 1)),
    st.tuples(st.just("revoke"), st.integers(0, len(ENTRIES) - 1), st.just(0)),
    st.tuples(st.just("lift"), st.integers(0, len(ENTRIES) - 1), st.just(0)),
    st.tuples(st.just("reload"), st.integers(0, 1), st.just(0)),
)


@given(st.lists(steps, min_size=5, max_size=40))
@settings(max_examples=60)
def test_a_reload_or_a_revocation_leaves_no_old_answer(sequence: list[tuple[str, int, int]]) -> None:
    """In any order of requests, revocations, lifts and reloads, each answer is the one of a gateway without memory."""
    expected = everything_fresh()  # first: a data plane makes a snapshot that it is given its own
    gate, variant = Gate(), 0
    standing: dict[str, Revocation] = {}
    for what, one, other in sequence:
        match what:
            case "revoke":
                standing[ENTRIES[one].id] = ENTRIES[one]
                gate.house.server.revoke([ENTRIES[one]], stale=False)
            case "lift":
                standing.pop(ENTRIES[one].id, None)
                gate.house.server.revoke([msgspec.structs.replace(ENTRIES[one], lifted=True)], stale=False)
            case "reload":
                variant = one
                gate.house.server.install(variants()[variant])
            case _:
                claims, token = CALLERS[one]
                revoked = any(refuses(entry, claims, token) for entry in standing.values())
                wanted = 401 if revoked else expected[variant, one, other]
                for _ in range(2):  # the second time from memory, where there is any
                    assert gate.ask(token, *PATHS[other]) == wanted
    gate.house.server.revoke([msgspec.structs.replace(entry, lifted=True) for entry in ENTRIES], stale=False)
    assert not gate.house.server.revocations.active, "nothing is left behind"


def test_the_property_sees_both_answers() -> None:
    """Some of its requests are allowed, some refused by policy, and memory is used: else it would prove nothing."""
    answers = {fresh(0, which, path) for which in range(len(CALLERS)) for path in range(len(PATHS))}
    assert answers == {200, 403}
    assert fresh(0, 0, 0) == 200
    assert fresh(1, 0, 0) == 403
    gate = Gate()
    for _ in range(2):
        gate.ask(CALLERS[0][1], *PATHS[0])
    assert gate.house.server.recall.hits == 1


MIA: Final = ENTRIES[0]


async def streaming(visit: Visit) -> None:
    """A service whose streams do not end."""
    await visit.head()
    await visit.answer(STREAM)
    await visit.reader.read()


async def test_what_is_open_is_cut_for_whom_it_concerns(tmp_path: Path) -> None:
    """A tunnel and a stream of the user, whose records say why; another's goes on, and is cut when their turn comes."""
    mia, tom = credential(sub="mia"), credential(sub="tom")
    now = time.time() + 1
    async with tunnels(tmp_path) as gate, asyncio.timeout(PATIENCE_S):
        gate.service.script = switching(lambda visit: visit.reader.read())  # type: ignore[arg-type, return-value]
        async with opened(gate, auth=mia) as (mine, _), opened(gate, auth=tom) as (other, _):
            gate.events.clear()
            gate.server.revoke([msgspec.structs.replace(MIA, issued_before=now)], stale=False)
            frame = await mine.read()
            assert frame[:4] == b"\x88" + frame[1:2] + (1008).to_bytes(2, "big")
            event = await closing(gate)
            assert event.details is not None
            assert (event.details["why"], event.details["reason"]) == ("refused", "revoked")
            await asyncio.sleep(0.1)
            assert not other.at_eof()
            assert gate.server.lasting.tunnels == 1
            gate.server.revoke([Revocation(kind="tenant", tenant_id="acme", issued_before=now)], stale=False)
            assert (await other.read())[:1] == b"\x88"
        gate.service.script = streaming
        gate.events.clear()
        lifted = [msgspec.structs.replace(MIA, lifted=True)]
        lifted.append(Revocation(kind="tenant", tenant_id="acme", lifted=True))
        gate.server.revoke(lifted, stale=False)
        async with client(gate) as (reader, writer):
            writer.write(request(auth=mia, close=False))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            gate.server.revoke([msgspec.structs.replace(MIA, issued_before=now)], stale=False)
            assert b"0\r\n\r\n" not in await reader.read()
        event = await closing(gate, "authz.stream.closed")
        assert event.details is not None
        assert (event.details["why"], event.details["reason"]) == ("refused", "revoked")
        assert not gate.faults


async def test_an_answer_that_begins_to_last_after_its_caller_was_revoked(tmp_path: Path) -> None:
    """It was not watched yet when that was said; it is looked at when it is."""
    mia = credential(sub="mia")

    async def slow(visit: Visit) -> None:
        await visit.head()
        await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nx")
        await visit.reader.read()

    async with tunnels(tmp_path, limits=Limits(lasting_s=0.3)) as gate, asyncio.timeout(PATIENCE_S):
        gate.service.script = slow
        async with client(gate) as (reader, writer):
            writer.write(request(auth=mia, close=False))
            await reader.readuntil(b"\r\n\r\nx")
            gate.server.revoke([msgspec.structs.replace(MIA, issued_before=time.time() + 1)], stale=False)
            assert await reader.read() == b""


async def test_a_body_that_takes_its_time_buys_none(tmp_path: Path) -> None:
    """Who was admitted, and is revoked while the body is on its way, is not decided on."""
    mia = credential(sub="mia", role="Manager")
    async with plane.plane(tmp_path) as gate, asyncio.timeout(PATIENCE_S):
        data = request(
            "POST", "/payments/p-1/refund", auth=mia, headers="Content-Type: application/json", body=b'{"amount": 1}'
        )
        async with client(gate) as (reader, writer):
            writer.write(data[:-5])
            await until(lambda: gate.server.inflight)
            gate.server.revoke([msgspec.structs.replace(MIA, issued_before=time.time() + 1)], stale=False)
            writer.write(data[-5:])
            answer = await reader.read()
        assert (status_of(answer), body_of(answer)["code"]) == (401, "token_invalid")
        assert gate.service.connections == 0
        [event] = gate.events
        assert (event.tenant_id, event.details) == ("acme", {"reason": "revoked"})
        assert await _again(gate, data) == 401


async def _again(gate: plane.Plane, data: bytes) -> int:
    return status_of(await gate.raw(data))


async def test_while_the_fleet_is_out_of_reach_callers_wait_and_strangers_do_not(tmp_path: Path) -> None:
    """`revocation.on_loss: refuse`: 503 for whoever shows a credential, cut for what is open, as before afterwards."""
    async with tunnels(tmp_path) as gate, asyncio.timeout(PATIENCE_S):
        mia = credential(sub="mia")
        gate.service.script = tunnel_stream_or_answer
        assert status_of(await gate.raw(request(auth=mia))) == 200
        async with opened(gate, auth=mia) as (mine, _):
            gate.server.revoke([], stale=True)
            assert (await mine.read())[:1] == b"\x88"
        refused = await gate.raw(request(auth=mia))
        assert (status_of(refused), body_of(refused)["code"]) == (503, "policy_unavailable")
        assert status_of(await gate.raw(request(target="/catalog/acme/products", auth=None))) == 200
        async with client(gate) as (reader, writer):
            writer.write(asking(auth=mia))
            assert status_of(await reader.readuntil(b"\r\n\r\n")) == 503
        gate.server.revoke([], stale=False)
        assert status_of(await gate.raw(request(auth=mia))) == 200


async def test_another_signature_under_the_same_token_is_revoked_too(tmp_path: Path) -> None:
    """ECDSA lets anybody who has a token write a second valid text of it; a revocation by digest names both."""
    mia = credential(sub="mia")
    signed, _, signature = mia.rpartition(".")
    twin = f"{signed}.{_twin(signature)}"
    assert twin != mia
    async with plane.plane(tmp_path) as gate:
        assert status_of(await gate.raw(request(auth=twin))) == 200, "it is valid"
        gate.server.revoke([Revocation(kind="token", token_sha256=digest(mia), expires_at=FAR)], stale=False)
        for text in (mia, twin):
            assert status_of(await gate.raw(request(auth=text))) == 401


def _twin(signature: str) -> str:
    """(r, n - s): as valid as (r, s), FIPS 186-5 s6.4."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256
    raw = base64.urlsafe_b64decode(signature + "==")
    other = (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    return base64.urlsafe_b64encode(raw[:32] + other).rstrip(b"=").decode()
