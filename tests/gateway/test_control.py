"""The language of supervisor and workers, and the channel: whole, in pieces, too large, and with nobody there."""

import asyncio
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.control import (
    MAX_FRAME_BYTES,
    AskMetrics,
    Channel,
    Configure,
    ControlBroken,
    Drain,
    Drained,
    Family,
    FromWorker,
    Hello,
    Install,
    Installed,
    KidUnknown,
    MetricsReply,
    Revoke,
    Revoked,
    Sample,
    ToWorker,
    WorkerConfig,
    supervisor_channel,
    worker_channel,
)
from gateway.revocations import Revocation
from tests.builders import plane
from tests.builders.patience import PATIENCE_S

CONFIG = WorkerConfig(slot=1, listen_fd=3, producer_id="w1", spool_folder="spool/w1")
FAMILY = Family("a", "what a is", "counter", (Sample("a_total", (("code", "forbidden"),), 2.0),))
ACME = Revocation(kind="tenant", tenant_id="acme", issued_before=7.5, version=2, lifted=True, made_by="a/b/c")
ORDERS: list[ToWorker] = [
    Configure(CONFIG),
    Install(7, plane.sources(1)),
    Revoke(8, (ACME,)),
    Revoke(9, (), stale=True),
    AskMetrics(8),
    Drain(2.5),
]
REPORTS: list[FromWorker] = [
    Hello(42),
    Installed(7, "v1"),
    Installed(8, "v1", "no"),
    Revoked(8),
    MetricsReply(9, (FAMILY,)),
    KidUnknown("dev", "k"),
    Drained(),
]


@asynccontextmanager
async def _pair() -> AsyncIterator[tuple[Channel[ToWorker, FromWorker], Channel[FromWorker, ToWorker], socket.socket]]:
    """Both ends, and the worker's raw socket."""
    ours, theirs = socket.socketpair()
    raw = theirs.dup()
    supervisor, worker = await supervisor_channel(ours), await worker_channel(theirs.detach())
    try:
        yield supervisor, worker, raw
    finally:
        raw.close()
        await supervisor.close()
        await worker.close()


async def test_every_message_arrives_as_it_was_sent() -> None:
    """All kinds, both ways, in order, sources of real size among them."""
    async with _pair() as (supervisor, worker, _):
        for order in ORDERS:
            supervisor.send(order)
        for report in REPORTS:
            worker.send(report)
        assert [message async for message in _take(worker, len(ORDERS))] == ORDERS
        assert [message async for message in _take(supervisor, len(REPORTS))] == REPORTS


def test_it_works_on_the_loop_of_the_data_plane() -> None:
    """Uvloop's transports carry the same frames."""
    uvloop.run(test_every_message_arrives_as_it_was_sent())


async def test_the_end_of_the_other_side_ends_the_iteration() -> None:
    """A process that is gone, even in the middle of a frame, is an end and no error."""
    async with _pair() as (supervisor, worker, raw):
        worker.send(Hello(1))
        await worker.close()
        raw.sendall(struct.pack(">I", 100) + b"half")
        raw.shutdown(socket.SHUT_RDWR)
        assert [message async for message in supervisor] == [Hello(1)]
        supervisor.send(Drain(1.0))  # to one who is gone: lost without a word


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">I", MAX_FRAME_BYTES + 1),
        struct.pack(">I", 3) + b"abc",
        struct.pack(">I", 0),
        struct.pack(">I", len(msgspec.msgpack.encode(Drain(1.0)))) + msgspec.msgpack.encode(Drain(1.0)),
    ],
)
async def test_what_is_no_message_breaks_the_channel(frame: bytes) -> None:
    """Too large, no msgpack, nothing, or the other side's language: said, not skipped."""
    async with _pair() as (supervisor, _, raw):
        raw.sendall(frame)
        with pytest.raises(ControlBroken):
            async for _ in supervisor:
                pass


async def test_one_who_does_not_read_is_noticed() -> None:
    """Frames do not pile up without bound before somebody who has stopped reading."""
    async with _pair() as (supervisor, _, _raw):
        big = KidUnknown("x" * (MAX_FRAME_BYTES // 3), "")
        refused = 0
        for _ in range(8):
            try:
                supervisor.send(big)  # type: ignore[arg-type]
            except ControlBroken:
                refused += 1
        assert refused >= 4
        supervisor._writer.transport.abort()


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(min_value=1, max_value=40), max_size=12))
def test_frames_survive_any_cutting(cuts: list[int]) -> None:
    """However the bytes are cut on the way, the same messages come out."""

    async def story() -> None:
        async with _pair() as (supervisor, _, raw):
            data = b"".join(
                struct.pack(">I", len(payload)) + payload for payload in map(msgspec.msgpack.encode, REPORTS)
            )
            for cut in cuts:
                raw.sendall(data[:cut])
                data = data[cut:]
                await asyncio.sleep(0)
            raw.sendall(data)
            assert [message async for message in _take(supervisor, len(REPORTS))] == REPORTS

    asyncio.run(story())


def test_a_worker_can_afford_this_module() -> None:
    """It brings nothing of the control side: a worker carries it."""
    heavy = "pydantic fastapi httpx typer rich asyncpg aiokafka"
    program = f"import sys, gateway.control; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=plane.ROOT)
    assert done.stdout.strip() == "[]"


def test_secrets_do_not_show() -> None:
    """An order that is logged by accident does not print the signing key."""
    key = plane.sources(1).context.private_jwk
    assert key not in repr(Install(1, msgspec.structs.replace(plane.sources(1))))
    assert '"d"' not in repr(ORDERS[1])


async def _take(
    channel: Channel[ToWorker, FromWorker] | Channel[FromWorker, ToWorker], count: int
) -> AsyncIterator[object]:
    """The first messages of a channel."""
    if not count:
        return
    async with asyncio.timeout(PATIENCE_S):
        async for message in channel:
            yield message
            count -= 1
            if not count:
                return
