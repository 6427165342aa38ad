"""Tests of `audit.kafka.hang_up`: a connection ends, whatever its other end does."""

import asyncio
import select
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from audit.errors import SinkUnavailable
from audit.kafka.abandon import Throwaway
from audit.kafka.connection import Connection
from audit.kafka.hang_up import hang_up
from audit.kafka.trouble import ask
from audit.settings import KafkaSettings
from tests.audit.kafka.test_bootstrap import API_VERSIONS
from tests.builders.authority import Authority

_GONE = select.POLLHUP | select.POLLERR
_WITHIN_S = 15.0
"""Politely it takes thirty."""


def drain(peer: socket.socket) -> None:
    """Read to the end."""
    while peer.recv(1 << 16):
        pass


async def test_what_the_kernel_has_not_sent_is_dropped() -> None:
    """A connection is reset, not closed: whoever wakes up on its other end finds an error, and not all of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        _, writer = await asyncio.open_connection(*listener.getsockname())
        peer, _ = listener.accept()
        with peer:
            writer.write(b"x" * (1 << 20))
            await asyncio.sleep(0)
            held = SimpleNamespace(_transport=writer.transport)
            hang_up(SimpleNamespace(_protocol=held, close=writer.close))
            hang_up(SimpleNamespace(_protocol=held, close=writer.close))
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(drain, peer)


class Mute:
    """Speaks TLS, says which requests it knows, and then nothing: no answer, and no goodbye.

    Attributes:
        port: Where it listens.
        gone: Whether the other end has closed its socket.
    """

    def __init__(self, folder: Path) -> None:
        authority = Authority()
        self.ca = folder / "ca.pem"
        self.ca.write_text(authority.cert, encoding="ascii")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(*authority.sign("127.0.0.1").files(folder, "mute"))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked = threading.Event()
        self.gone = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        accepted, _ = self._listener.accept()
        accepted.settimeout(_WITHIN_S)
        with self._context.wrap_socket(accepted, server_side=True) as peer:
            head = peer.recv(1000)
            peer.sendall(struct.pack(">i", 4 + len(API_VERSIONS)) + head[8:12] + API_VERSIONS)
            peer.recv(1000)
            self.asked.set()
            watch = select.poll()
            watch.register(peer.fileno(), 0)  # what it sends is not read: only whether it is there
            if any(event & _GONE for _, event in watch.poll(_WITHIN_S * 1000)):
                self.gone.set()

    @contextmanager
    def running(self) -> Iterator["Mute"]:
        """For one connection."""
        self._thread.start()
        try:
            yield self
        finally:
            self._thread.join()
            self._listener.close()

    @property
    def connection(self) -> Connection:
        """To it."""
        return Connection.of(
            KafkaSettings.model_validate(
                {
                    "bootstrap_servers": f"127.0.0.1:{self.port}",
                    "security_protocol": "SSL",
                    "tls": {"ca_file": self.ca},
                }
            )
        )


async def test_nobody_waits_for_the_goodbye_of_a_broker_that_was_asked(tmp_path: Path) -> None:
    """Neither for the answer."""
    with Mute(tmp_path).running() as mute:
        with pytest.raises(SinkUnavailable, match="does not answer"):
            await ask(mute.connection, "t", 2.0)
        assert await asyncio.to_thread(mute.gone.wait, _WITHIN_S)


async def test_nor_does_a_start_that_is_given_up(tmp_path: Path) -> None:
    """A stop, while it starts."""
    with Mute(tmp_path).running() as mute:
        producer = Throwaway(**mute.connection.arguments())
        start = asyncio.ensure_future(producer.start())
        assert await asyncio.to_thread(mute.asked.wait, _WITHIN_S)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        await producer.abandon()
        assert await asyncio.to_thread(mute.gone.wait, _WITHIN_S)
