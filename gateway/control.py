"""What the supervisor and a worker say to each other, and the channel they say it on.

One `socketpair` a worker. A frame is four bytes of length, big-endian, and that many bytes of msgpack: one of the
tagged values below. The first frame to a worker is `Configure`; then comes what is revoked, and only then the first
`Install`, so that no worker serves before it knows. The worker says `Hello` at once and `Installed` after each
`Install`, whether it worked or not. The end of the stream means that the other process is
gone: a worker then finishes nothing and exits, so that a killed supervisor leaves nobody behind.

A worker is started as `python -m gateway.worker FD`, where FD is the number of its end of the pair. Nothing here
imports more than msgspec: a worker carries this module.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any, Final, Generic, Self, TypeAlias, TypeVar

import msgspec

from audit.limits import SpoolLimits
from audit.redact import Rules
from gateway.limits import Limits
from gateway.revocations import Revocation
from gateway.sources import Sources
from gateway.spans import Sampling, Traced

MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
"""A frame larger than this is a broken stream, not a message: 2,000 policies are about 2 MiB of sources."""

REVOCATIONS_A_FRAME: Final = 500
"""A frame of these holds a worker's loop for about a millisecond; a larger number goes in several."""

_READ_BYTES: Final = 1024 * 1024
_LENGTH = struct.Struct(">I")


class ControlBroken(Exception):
    """The other side sent something that is not a frame of ours, or does not read what it is sent."""


# --- supervisor to worker


class HopsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Who in front of the gateway is believed about the client; see `gateway.serve.hops`.

    Attributes:
        networks: Addresses of hops, CIDR.
        count: How many hops there are; 0 for as many as stand in `networks`.
        field: Which field they write: `x-forwarded-for` or `forwarded`. The other one is never read.
    """

    networks: tuple[str, ...] = ()
    count: int = 0
    field: str = "x-forwarded-for"


class WorkerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker is told once, before anything else.

    Attributes:
        slot: Which of the workers it is, from 0; a restarted worker takes its predecessor's slot.
        listen_fd: The public socket, already bound and listening, inherited.
        producer_id: Its name in the audit; belongs to the slot, so that a successor adopts the predecessor's spool.
        spool_folder: Its own spool folder.
        limits: What it bounds on the wire.
        hops: Whom it believes about the client.
        spool: The bounds of that folder.
        redaction: What is taken out of a record before it is written.
        log_format: `json` or `console`.
        kid_interval_s: The same unknown key is reported at most once in this time.
        sampling: Which requests it tells of; None for none, and then it does not carry what would.
    """

    slot: int
    listen_fd: int
    producer_id: str
    spool_folder: str
    limits: Limits = Limits()
    hops: HopsConfig = HopsConfig()
    spool: SpoolLimits = SpoolLimits()
    redaction: Rules = Rules()
    log_format: str = "json"
    kid_interval_s: float = 1.0
    sampling: Sampling | None = None


class Configure(msgspec.Struct, frozen=True, tag="configure"):
    """The first frame."""

    config: WorkerConfig


class Install(msgspec.Struct, frozen=True, tag="install"):
    """Build a snapshot of these sources and decide by it from now on. Answered by `Installed` with the same `seq`.

    Attributes:
        hold: Whether it is only built, and decides when `Commit` says so: no worker takes what another could not build.
    """

    seq: int
    sources: Sources
    hold: bool = False


class Commit(msgspec.Struct, frozen=True, tag="commit"):
    """Decide by what was built for an `Install` with `hold`. Answered by `Installed` with the same `seq`.

    Attributes:
        prepared: The `seq` of that `Install`.
    """

    seq: int
    prepared: int


class Revoke(msgspec.Struct, frozen=True, tag="revoke"):
    """Hold credentials against these entries too. Answered by `Revoked` with the same `seq` when they are in force.

    Attributes:
        seq: Rises with each order.
        entries: What has changed, at most `REVOCATIONS_A_FRAME`.
        stale: See `gateway.revocations.Revocations`.
    """

    seq: int
    entries: tuple[Revocation, ...]
    stale: bool = False


class AskMetrics(msgspec.Struct, frozen=True, tag="ask_metrics"):
    """Say what you have counted. Answered by `MetricsReply` with the same `seq`."""

    seq: int


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Accept no more, finish what is running, close the emitter, say `Drained`, exit; all `within_s`."""

    within_s: float


ToWorker: TypeAlias = Configure | Install | Commit | Revoke | AskMetrics | Drain


# --- worker to supervisor


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The worker's first frame."""

    pid: int


class Installed(msgspec.Struct, frozen=True, tag="installed"):
    """The answer to `Install`.

    Attributes:
        seq: Of the `Install` it answers.
        version: Of the snapshot that decides now: the new one, unless it is held or there was a problem.
        problem: Why the new one could not be built; None when it was.
    """

    seq: int
    version: str
    problem: str | None = None


class Revoked(msgspec.Struct, frozen=True, tag="revoked"):
    """The answer to `Revoke`: from now on no request that begins gets by."""

    seq: int


class Sample(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One number of a family: its full name, its labels as sorted pairs, its value."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float


class Family(msgspec.Struct, frozen=True, array_like=True):
    """One metric with all its samples, as Prometheus' exposition has it. `kind` is counter, gauge or histogram."""

    name: str
    documentation: str
    kind: str
    samples: tuple[Sample, ...]


class MetricsReply(msgspec.Struct, frozen=True, tag="metrics"):
    """What a worker has counted since it started."""

    seq: int
    families: tuple[Family, ...]


class KidUnknown(msgspec.Struct, frozen=True, tag="kid_unknown"):
    """A token names a key that its issuer's set does not have; the supervisor may want to fetch the set again."""

    issuer: str
    kid: str


class Told(msgspec.Struct, frozen=True, tag="told"):
    """Requests that are over and whose traces are sampled.

    Attributes:
        requests: At most `gateway.spans.WAITING_MAX`.
        dropped: How many more there were.
    """

    requests: tuple[Traced, ...]
    dropped: int


class Drained(msgspec.Struct, frozen=True, tag="drained"):
    """Nothing runs here any more, and everything is in the spool."""


FromWorker: TypeAlias = Hello | Installed | Revoked | MetricsReply | KidUnknown | Told | Drained


# --- the channel

_Sent = TypeVar("_Sent")
_Received = TypeVar("_Received")


class Channel(Generic[_Sent, _Received]):
    """One end of the pair. `send` never waits; receiving is `async for`, which ends when the other side is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, receives: Any) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder: msgspec.msgpack.Decoder[_Received] = msgspec.msgpack.Decoder(receives)

    @classmethod
    async def over(cls, sock: socket.socket, receives: Any) -> Self:
        """Take one end of a socketpair over.

        Args:
            sock: The end; the channel closes it.
            receives: What comes from the other side: `ToWorker` in a worker, `FromWorker` in the supervisor.
        """
        sock.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=sock, limit=_READ_BYTES)
        return cls(reader, writer, receives)

    def send(self, message: _Sent) -> None:
        """Queue a message. To one who is gone it is lost without a word: the receiving side tells of that.

        Raises:
            ControlBroken: The other side has left more than a largest frame unread.
        """
        if self._writer.is_closing():
            return
        payload = self._encoder.encode(message)
        if self._writer.transport.get_write_buffer_size() + len(payload) > MAX_FRAME_BYTES:
            raise ControlBroken("the other side does not read")
        self._writer.write(_LENGTH.pack(len(payload)) + payload)

    @property
    def unread_bytes(self) -> int:
        """What was sent and not taken yet; what can do without goes no further while there is much."""
        size: int = self._writer.transport.get_write_buffer_size()
        return size

    def __aiter__(self) -> AsyncIterator[_Received]:
        return self._receive()

    async def _receive(self) -> AsyncIterator[_Received]:
        while True:
            try:
                (length,) = _LENGTH.unpack(await self._reader.readexactly(_LENGTH.size))
                if length > MAX_FRAME_BYTES:
                    raise ControlBroken(f"a frame of {length} bytes")
                payload = await self._reader.readexactly(length)
            except (asyncio.IncompleteReadError, ConnectionError):
                return  # the other side is gone; half a frame means it was killed in the middle of one
            try:
                message = self._decoder.decode(payload)
            except msgspec.MsgspecError as exc:
                raise ControlBroken(f"not a message: {exc}") from exc
            yield message

    async def close(self) -> None:
        """Send what is queued, then close."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return  # it was gone before us


async def worker_channel(fd: int) -> Channel[FromWorker, ToWorker]:
    """Open the worker's end, given by its number as the first argument of the process."""
    return await Channel.over(socket.socket(fileno=fd), ToWorker)


async def supervisor_channel(sock: socket.socket) -> Channel[ToWorker, FromWorker]:
    """Open the supervisor's end."""
    return await Channel.over(sock, FromWorker)
