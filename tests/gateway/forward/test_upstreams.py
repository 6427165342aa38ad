"""Pools over real sockets: opened, kept, lent again, given up; and counted right whatever happens."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from gateway.errors import Code, GatewayError, UpstreamError
from gateway.forward.upstream import UpstreamConnection
from gateway.forward.upstreams import Upstreams
from gateway.limits import Limits
from gateway.metrics import GatewayMetrics
from gateway.sources import BreakerSource, ServiceLimits, ServiceSource, TlsSource
from gateway.wire.head import ResponseHead
from tests.builders.patience import PATIENCE_S
from tests.builders.services import service as service_of
from tests.servers.ports import free_port
from tests.servers.upstream import OK, Upstream, Visit, upstream

FAULT = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class User:
    """Whoever waits for the answer."""

    def __init__(self) -> None:
        self.over: asyncio.Future[UpstreamError | None] = asyncio.get_running_loop().create_future()

    def on_interim(self, head: ResponseHead) -> None:
        """Nothing."""

    def on_head(self, head: ResponseHead) -> None:
        """Nothing."""

    def on_body(self, data: bytes) -> None:
        """Nothing."""

    def on_end(self) -> None:
        """The end."""
        self.over.set_result(None)

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        """All of it at once."""
        self.over.set_result(None)

    def on_upstream_error(self, error: UpstreamError) -> None:
        """A failure."""
        self.over.set_result(error)

    def on_upstream_pause(self, *, paused: bool) -> None:
        """Nothing."""


class Counted(Upstreams):
    """Upstreams, and the registry they count in."""

    def __init__(self, limits: Limits, tasks: asyncio.TaskGroup) -> None:
        self.registry = CollectorRegistry()
        metrics = GatewayMetrics(self.registry, ["s"])
        super().__init__(limits, tasks.create_task, asyncio.get_running_loop(), metrics)

    def count(self, name: str, **labels: str) -> float:
        """A counter or gauge of the service."""
        return self.registry.get_sample_value(f"lychgate_upstream_{name}", {"service": "s", **labels}) or 0.0


def _service(*addresses: str, limits: ServiceLimits | None = None, **breaker: float) -> dict[str, ServiceSource]:
    return service_of(*addresses, name="s", limits=limits, **breaker)


@contextlib.asynccontextmanager
async def _upstreams(
    *addresses: str, limits: Limits | None = None, own: ServiceLimits | None = None, **breaker: float
) -> AsyncIterator[Counted]:
    """Upstreams with one service, `s`."""
    async with asyncio.TaskGroup() as tasks:
        found = Counted(limits or Limits(), tasks)
        found.configure(_service(*addresses, limits=own, **breaker))
        yield found
        found.close()


async def _acquire(
    ups: Upstreams, service: str = "s", *, guard: bool = False, instead_of: UpstreamConnection | None = None
) -> UpstreamConnection | GatewayError:
    """A connection, or why there is none."""
    got: asyncio.Future[UpstreamConnection | GatewayError] = asyncio.get_running_loop().create_future()

    def ready(conn: UpstreamConnection | None, error: GatewayError | None) -> None:
        answer = conn or error
        assert answer is not None
        got.set_result(answer)

    ups.acquire(service, ready, guard=guard, instead_of=instead_of)
    async with asyncio.timeout(PATIENCE_S):
        return await got


async def _conn(
    ups: Upstreams, *, guard: bool = False, instead_of: UpstreamConnection | None = None
) -> UpstreamConnection:
    found = await _acquire(ups, guard=guard, instead_of=instead_of)
    assert isinstance(found, UpstreamConnection), found
    return found


async def _error(ups: Upstreams) -> UpstreamError:
    found = await _acquire(ups)
    assert isinstance(found, UpstreamError), found
    return found


async def _once(ups: Upstreams) -> UpstreamError | None:
    """One exchange on any connection."""
    conn, user = await _conn(ups), User()
    conn.send(user, b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        error = await user.over
    ups.release("s", conn)
    return error


def _has_ended(conn: UpstreamConnection) -> bool:
    """Wait until the end is in our socket, without giving the loop a turn in which it would be told."""
    until = time.monotonic() + PATIENCE_S
    while conn.quiet():
        assert time.monotonic() < until
    return not conn.closed


def _time_passes(ups: Upstreams) -> None:
    """Have every circuit's time be over; a busy machine lets no short one be waited for reliably."""
    for service in ups._services.values():
        for place in service.pool.places:
            place.circuit.until = 0.0


def _refusing() -> str:
    """An address nobody listens at."""
    return f"127.0.0.1:{free_port()}"


async def _ask(conn: UpstreamConnection) -> None:
    """One exchange."""
    user = User()
    conn.send(user, b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        assert await user.over is None


def _address(service: Upstream) -> str:
    return f"127.0.0.1:{service.port}"


async def test_a_connection_is_kept_and_lent_again() -> None:
    """One socket for exchange after exchange, counted as one."""
    async with upstream() as service, _upstreams(_address(service)) as ups:
        for turn in range(3):
            conn = await _conn(ups)
            await _ask(conn)
            ups.release("s", conn)
            assert (ups.open, service.connections, conn.used) == (1, 1, turn + 1)
        assert repr(ups) == f"<Upstreams {{'s': <Pool {_address(service)}: 0 busy, 1 idle>}}>"
        ups.close()
        assert ups.open == 0


async def test_exchanges_at_once_have_connections_of_their_own() -> None:
    """And no more than the limit are kept afterwards."""
    async with upstream() as service, _upstreams(_address(service), limits=Limits(upstream_idle_connections=2)) as ups:
        conns = [await _conn(ups) for _ in range(4)]
        assert len({id(conn) for conn in conns}) == ups.open == 4
        for conn in conns:
            await _ask(conn)
            ups.release("s", conn)
        assert ups.open == 2
        assert "0 busy, 2 idle" in repr(ups)


async def test_a_connection_that_closed_while_nobody_used_it_is_not_lent() -> None:
    """A new one is opened instead, and the count is right."""

    async def once(visit: Visit) -> None:
        await visit.head()
        await visit.answer(OK)

    async with upstream() as service, _upstreams(_address(service)) as ups:
        service.script = once
        first = await _conn(ups)
        await _ask(first)
        ups.release("s", first)
        async with asyncio.timeout(PATIENCE_S):
            while not first.closed:  # noqa: ASYNC110 - the loop tells the connection, not us
                await asyncio.sleep(0.005)
        second = await _conn(ups)
        assert second is not first
        await _ask(second)
        ups.release("s", second)
        assert ups.open == 1


async def test_in_the_stead_of_a_stale_connection_a_new_one_is_opened_elsewhere_where_there_is_an_elsewhere() -> None:
    """The fellows of the stale one are older and no better: they are closed."""
    async with upstream() as one, upstream() as two, _upstreams(_address(one)) as ups:
        conns = [await _conn(ups) for _ in range(2)]
        for conn in conns:
            await _ask(conn)
        fellow, stale = conns
        ups.release("s", fellow)
        stale.abort()
        ups.release("s", stale)
        again = await _conn(ups, instead_of=stale)
        assert again not in conns
        assert (fellow.closed, ups.open, again.address) == (True, 1, _address(one))
        again.failure = "closed"
        ups.configure(_service(_address(one), _address(two)))
        for _ in range(4):
            assert (await _conn(ups, instead_of=again)).address == _address(two)
        assert ups.count("retries_total", kind="closed") == 4


async def test_a_kept_connection_that_has_just_ended_is_seen_when_it_matters() -> None:
    """The end is in the socket and the loop has not told of it yet: a request that changes something goes elsewhere."""
    async with upstream() as service, _upstreams(_address(service)) as ups:
        for says in (b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"):
            service.connections = 0
            kept = await _conn(ups)
            await _ask(kept)
            ups.release("s", kept)
            assert await _conn(ups, guard=True) is kept
            await _ask(kept)
            ups.release("s", kept)
            writer = service.writers[-1]
            if says:
                writer.write(says)
            else:
                with socket.socket(fileno=os.dup(writer.get_extra_info("socket").fileno())) as theirs:
                    theirs.shutdown(socket.SHUT_WR)
            assert _has_ended(kept)
            fresh = await _conn(ups, guard=True)
            assert fresh is not kept
            assert kept.closed
            await _ask(fresh)
            ups.release("s", fresh)
            ups.close()


async def test_what_is_given_back_unused_or_broken_is_closed() -> None:
    """Only a connection that has just answered well is kept."""
    async with upstream() as service, _upstreams(_address(service)) as ups:
        unused, broken = await _conn(ups), await _conn(ups)
        ups.release("s", unused)
        broken.abort()
        ups.release("s", broken)
        assert (ups.open, unused.closed) == (0, True)
        assert "0 busy, 0 idle" in repr(ups)


async def test_what_is_unused_for_too_long_is_swept() -> None:
    """Closed at its time, by the sweep."""
    async with upstream() as service, _upstreams(_address(service), limits=Limits(upstream_idle_s=0.05)) as ups:
        conn = await _conn(ups)
        await _ask(conn)
        ups.release("s", conn)
        ups.sweep()
        assert ups.open == 1
        await asyncio.sleep(0.06)
        ups.sweep()
        assert (ups.open, conn.closed) == (0, True)


async def test_several_addresses_share_the_load() -> None:
    """Each of two has one of two."""
    async with upstream() as one, upstream() as two, _upstreams(_address(one), _address(two)) as ups:
        conns = [await _conn(ups) for _ in range(2)]
        assert {conn.address for conn in conns} == {_address(one), _address(two)}
        for conn in conns:
            ups.release("s", conn)


async def test_a_new_snapshot_keeps_what_has_not_changed_and_closes_the_rest() -> None:
    """Nothing is lent from a pool that has gone, and a loan from it does not unbalance the new one."""
    async with upstream() as one, upstream() as two, _upstreams(_address(one)) as ups:
        kept = await _conn(ups)
        await _ask(kept)
        ups.release("s", kept)
        ups.configure(_service(_address(one)) | service_of(_address(two), name="other"))
        lent = await _conn(ups)
        assert lent is kept
        ups.configure(_service(_address(one), _address(two)))
        await _ask(lent)
        ups.release("s", lent)
        assert (lent.closed, ups.open) == (False, 1), "its address has stayed"
        assert "0 busy, 1 idle" in repr(ups)
        seen = [await _conn(ups) for _ in range(2)]
        assert {conn.address for conn in seen} == {_address(one), _address(two)}
        assert lent in seen
        await _ask(lent)
        ups.configure(_service(_address(two)))
        ups.release("s", lent)
        assert lent.closed
        ups.configure(_service(_address(two), limits=ServiceLimits(stall_s=1.5)))
        assert (await _conn(ups)).limits.stall_s == 1.5
        ups.configure({})
        assert isinstance(await _acquire(ups), GatewayError)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.0.0.1:99999", "x" * 70 + ".example:80", "no-port", "[::1:80", "a..b:80"]
)
async def test_an_address_that_cannot_be_reached_is_told_of(address: str) -> None:
    """Whatever is wrong with it: somebody waits, and nothing is left counted as busy."""
    async with _upstreams(address) as ups:
        found = await _acquire(ups)
        assert isinstance(found, GatewayError)
        assert found.code is Code.UPSTREAM_UNAVAILABLE
        assert ups.open == 0
        assert "0 busy" in repr(ups)


async def test_connecting_takes_no_longer_than_it_may() -> None:
    """A service that accepts nothing, because its queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        held = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            held.append(filler)
        async with _upstreams(f"127.0.0.1:{listener.getsockname()[1]}", limits=Limits(connect_s=0.1)) as ups:
            found = await _acquire(ups)
            assert isinstance(found, GatewayError)
            assert "too long" in found.reason
            assert "0 busy" in repr(ups)
        for filler in held:
            filler.close()


class Late:
    """The loop, as it is when much happens at once: who waits for a connection hears of it after its first bytes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """Connect, and come back when the service has spoken."""
        transport, conn = await self._loop.create_connection(*args, **options)
        while not conn.closed:  # noqa: ASYNC110 - the loop tells the connection, not us
            await asyncio.sleep(0.001)
        return transport, conn


async def test_a_service_that_speaks_before_it_is_asked_is_not_asked() -> None:
    """What it says belongs to no request, and nobody may wait for an answer on that connection."""

    async def banner(visit: Visit) -> None:
        await visit.answer(b"220 mail.example ESMTP\r\n")
        await visit.head()

    async with upstream() as service, _upstreams(_address(service), failures=1, open_s=60) as ups:
        service.script = banner
        ups._loop = Late()  # type: ignore[assignment] # as far as it is used
        async with asyncio.timeout(PATIENCE_S):
            found = await _error(ups)
        assert (found.kind, found.reason) == ("connect", "upstream spoke or closed before it was asked")
        assert ups.open == 0
        assert "0 busy, 0 idle, 1 shut" in repr(ups)


@pytest.mark.parametrize("service", ["s", "unknown"])
async def test_a_service_without_an_address_is_unavailable(service: str) -> None:
    """And so is one that nobody configured."""
    async with _upstreams() as ups:
        found = await _acquire(ups, service)
        assert isinstance(found, GatewayError)
        assert "no address" in found.reason


async def test_a_connection_that_ends_while_unused_is_forgotten_at_once() -> None:
    """It is not counted as open until somebody happens to look."""
    async with upstream() as service, _upstreams(_address(service)) as ups:
        assert await _once(ups) is None
        assert ups.open == 1
        service.writers[-1].close()
        async with asyncio.timeout(PATIENCE_S):
            while ups.open:  # noqa: ASYNC110 - the loop tells the connection, not us
                await asyncio.sleep(0.005)
        assert "0 idle" in repr(ups)


async def test_an_address_that_cannot_be_reached_costs_no_request_where_there_is_another() -> None:
    """Nothing was sent, so another is tried, once; after its failures in a row the dead one is not tried any more."""
    dead = _refusing()
    async with upstream() as live, _upstreams(dead, _address(live), failures=3, open_s=60) as ups:
        for _ in range(20):
            conn = await _conn(ups)
            assert conn.address == _address(live)
            ups.release("s", conn)
        assert ups.count("retries_total", kind="connect") == 3
        assert ups.count("circuits_opened_total", kind="connect") == 1
        ups.sweep()
        states = {state: ups.count("circuits", state=state) for state in ("closed", "open", "half_open")}
        assert states == {"closed": 1, "open": 1, "half_open": 0}
        assert "0 busy" in repr(ups)


async def test_two_addresses_are_tried_and_no_more() -> None:
    """A third would be waited for as long again."""
    async with upstream() as live, _upstreams(_refusing(), _refusing(), _address(live), failures=0) as ups:
        found = [await _acquire(ups) for _ in range(9)]
        errors = [each for each in found if isinstance(each, UpstreamError)]
        assert {error.kind for error in errors} == {"connect"}
        assert 0 < len(errors) < 9
        assert ups.count("retries_total", kind="connect") >= len(errors)


async def test_a_service_that_cannot_be_reached_is_given_up_at_once_until_a_probe_finds_it_again() -> None:
    """502 without a wait while all circuits are open; one request in the half-open state, then all of them."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))  # bound and not listening: refused
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        async with _upstreams(address, failures=2, open_s=60, open_max_s=500) as ups:
            assert [(await _error(ups)).kind for _ in range(4)] == ["connect", "connect", "open", "open"]
            assert (await _error(ups)).reason == "no address is tried for now: connect"
            _time_passes(ups)
            assert [(await _error(ups)).kind for _ in range(2)] == ["connect", "open"], "a probe that fails"
            listener.listen()
            assert (await _error(ups)).kind == "open"
            _time_passes(ups)
            probe = asyncio.ensure_future(_once(ups))
            peer, _ = await asyncio.to_thread(listener.accept)
            assert (await _error(ups)).kind == "open", "one probe and no more"
            assert await asyncio.to_thread(peer.recv, 1000)
            peer.sendall(OK)
            assert await probe is None
            assert ups.count("circuits_opened_total", kind="connect") == 2
            conn = await _conn(ups)
            assert conn.place.circuit.failures == 0
            ups.release("s", conn)
            peer.close()


async def test_faults_are_answers_and_the_address_is_left_alone_only_for_another() -> None:
    """503 in a row: the other address gets the requests; an only address is asked on, and a good answer ends it."""
    async with upstream() as sick, upstream() as well:
        sick.reply = FAULT
        async with _upstreams(_address(sick), _address(well), failures=2, open_s=60) as ups:
            for _ in range(10):
                assert await _once(ups) is None
            assert len(sick.heads) == 2
            assert len(well.heads) == 8
            assert ups.count("circuits_opened_total", kind="status") == 1
        async with _upstreams(_address(sick), failures=2, open_s=60) as ups:
            for _ in range(5):
                assert await _once(ups) is None
            sick.reply = OK
            assert await _once(ups) is None
            assert "shut" not in repr(ups)


async def test_which_statuses_are_faults_is_configured() -> None:
    """None, and a fault status is an answer like any other."""
    async with upstream() as sick:
        sick.reply = FAULT
        found = ServiceSource(
            name="s", addresses=(_address(sick),), breaker=BreakerSource(failures=1, fault_statuses=(500,))
        )
        async with _upstreams() as ups:
            ups.configure({"s": found})
            assert await _once(ups) is None
            assert "shut" not in repr(ups)
            sick.reply = FAULT.replace(b"503", b"500")
            assert await _once(ups) is None
            assert "1 shut" in repr(ups)


async def test_an_address_that_closes_without_an_answer_is_left_alone() -> None:
    """On new connections; that a kept one is closed is the service's right."""

    async def close(visit: Visit) -> None:
        await visit.head()

    async with upstream() as service, _upstreams(_address(service), failures=2, open_s=60) as ups:
        service.script = close
        found = [await _once(ups) for _ in range(2)]
        assert [error.kind for error in found if error] == ["closed", "closed"]
        assert (await _error(ups)).kind == "open"

    async def keep_then_close(visit: Visit) -> None:
        await visit.head()
        await visit.answer(OK)
        await visit.head()

    async with upstream() as service, _upstreams(_address(service), failures=1, open_s=60) as ups:
        service.script = keep_then_close
        assert await _once(ups) is None
        stale = await _once(ups)
        assert stale is not None
        assert stale.kind == "stale"
        assert "shut" not in repr(ups)


async def test_a_probe_whose_client_leaves_is_not_the_last() -> None:
    """The next request is the probe then."""
    async with upstream() as service, _upstreams(_address(service), failures=1, open_s=60) as ups:
        conn = await _conn(ups)
        ups.on_failed(conn, "timeout")
        conn.abort()
        ups.release("s", conn)
        _time_passes(ups)
        left = await _conn(ups)
        assert (await _error(ups)).kind == "open"
        ups.release("s", left)
        assert await _once(ups) is None
        assert "shut" not in repr(ups)


async def test_what_opens_a_circuit_takes_the_kept_connections_with_it() -> None:
    """The probe shall not wait for the answer of a host that has gone away in silence."""
    async with upstream() as service, _upstreams(_address(service), failures=1, open_s=60) as ups:
        conns = [await _conn(ups) for _ in range(2)]
        for conn in conns:
            await _ask(conn)
        for conn in conns:
            ups.release("s", conn)
        kept, late = conns[0], await _conn(ups)
        assert late is conns[1]
        late.late()
        late.abort()
        ups.release("s", late)
        assert (kept.closed, ups.open) == (True, 0)
        _time_passes(ups)
        assert (await _conn(ups)) not in {kept, late}


async def test_bounds_of_a_service_are_its_own() -> None:
    """What it does not say is the gateway's."""
    own = ServiceLimits(first_byte_s=2.5, upstream_idle_connections=0, total_s=0.0)
    limits = Limits(first_byte_s=9.0, total_s=7.0)
    async with upstream() as service, _upstreams(_address(service), limits=limits, own=own) as ups:
        conn = await _conn(ups)
        assert (conn.limits.first_byte_s, conn.limits.total_s, conn.limits.stall_s) == (2.5, 0.0, limits.stall_s)
        await _ask(conn)
        ups.release("s", conn)
        assert (conn.closed, ups.open) == (True, 0), "none is kept"


async def test_what_cannot_be_used_changes_nothing() -> None:
    """A configuration with a broken certificate leaves the one before in force."""
    async with upstream() as service, _upstreams(_address(service)) as ups:
        broken = service_of("127.0.0.1:1", name="s", tls=TlsSource(ca="not a certificate"))
        with pytest.raises(ValueError, match=r"services\.s\.tls: ca_file holds no certificate"):
            ups.configure(broken)
        assert await _once(ups) is None
