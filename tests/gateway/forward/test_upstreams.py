"""Pools over real sockets: opened, kept, lent again, given up; and counted right whatever happens."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.errors import Code, GatewayError
from gateway.forward.upstream import UpstreamConnection
from gateway.forward.upstreams import Upstreams
from gateway.limits import Limits
from gateway.wire.head import ResponseHead
from tests.servers.upstream import OK, Upstream, Visit, upstream


class User:
    """Whoever waits for the answer."""

    def __init__(self) -> None:
        self.over = asyncio.get_running_loop().create_future()

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

    def on_upstream_error(self, error: GatewayError, *, stale: bool) -> None:
        """A failure."""
        self.over.set_result(error)

    def on_upstream_pause(self, *, paused: bool) -> None:
        """Nothing."""


@contextlib.asynccontextmanager
async def _upstreams(*addresses: str, limits: Limits | None = None) -> AsyncIterator[Upstreams]:
    """Upstreams with one service, `s`."""
    async with asyncio.TaskGroup() as tasks:
        found = Upstreams(limits or Limits(), tasks.create_task, asyncio.get_running_loop())
        found.configure({"s": addresses})
        yield found
        found.close()


async def _acquire(ups: Upstreams, service: str = "s", *, fresh: bool = False) -> UpstreamConnection | GatewayError:
    """A connection, or why there is none."""
    got: asyncio.Future[UpstreamConnection | GatewayError] = asyncio.get_running_loop().create_future()

    def ready(conn: UpstreamConnection | None, error: GatewayError | None) -> None:
        answer = conn or error
        assert answer is not None
        got.set_result(answer)

    ups.acquire(service, ready, fresh=fresh)
    async with asyncio.timeout(5):
        return await got


async def _conn(ups: Upstreams, *, fresh: bool = False) -> UpstreamConnection:
    found = await _acquire(ups, fresh=fresh)
    assert isinstance(found, UpstreamConnection)
    return found


async def _ask(conn: UpstreamConnection) -> None:
    """One exchange."""
    user = User()
    conn.send(user, b"GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(5):
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
        async with asyncio.timeout(5):
            while not first.closed:  # noqa: ASYNC110 - the loop tells the connection, not us
                await asyncio.sleep(0.005)
        second = await _conn(ups)
        assert second is not first
        await _ask(second)
        ups.release("s", second)
        assert ups.open == 1


async def test_a_fresh_connection_is_a_fresh_one() -> None:
    """Where a kept one has just proved stale, its fellows are not tried."""
    async with upstream() as service, _upstreams(_address(service)) as ups:
        kept = await _conn(ups)
        await _ask(kept)
        ups.release("s", kept)
        fresh = await _conn(ups, fresh=True)
        assert fresh is not kept
        assert (kept.closed, ups.open) == (True, 1)


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
        ups.configure({"s": (_address(one),), "other": (_address(two),)})
        lent = await _conn(ups)
        assert lent is kept
        ups.configure({"s": (_address(one), _address(two))})
        await _ask(lent)
        ups.release("s", lent)
        assert (lent.closed, ups.open) == (True, 0)
        assert "0 busy, 0 idle" in repr(ups)
        seen = {(await _conn(ups)).address for _ in range(2)}
        assert seen == {_address(one), _address(two)}
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


@pytest.mark.parametrize("service", ["s", "unknown"])
async def test_a_service_without_an_address_is_unavailable(service: str) -> None:
    """And so is one that nobody configured."""
    async with _upstreams() as ups:
        found = await _acquire(ups, service)
        assert isinstance(found, GatewayError)
        assert "no address" in found.reason
