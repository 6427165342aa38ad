"""TLS to services, against real ones: who is believed, who we are, and what is told when it fails.

On uvloop (see `conftest.py`), as in production.
"""

import asyncio
import contextlib
import os
import pty
import select
import shutil
import signal
import socket
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from audit.event import Outcome
from gateway.forward.tls import client_context, tls_error
from gateway.limits import Limits
from gateway.sources import ServiceLimits, TlsSource
from tests.builders.authority import Authority, Signed
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request
from tests.builders.services import service
from tests.servers.nginx import nginx
from tests.servers.ports import free_port
from tests.servers.upstream import Visit

AUTHORITY = Authority()
OURS = AUTHORITY.sign("127.0.0.1", "orders.internal")
CLIENT = AUTHORITY.sign("gateway.internal")
STRANGERS = Authority("Nobody")


def _server_context(signed: Signed, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*signed.files(folder, "server"))
    return context


@contextlib.asynccontextmanager
async def _tls_plane(
    folder: Path, tls: TlsSource, server: ssl.SSLContext, *, limits: Limits | None = None
) -> AsyncIterator[Plane]:
    """A data plane whose scripted service speaks TLS."""
    async with plane(folder, limits=limits) as gate:
        listener = await asyncio.start_server(gate.service.serve, "127.0.0.1", 0, ssl=server)
        port = listener.sockets[0].getsockname()[1]
        gate.server.upstreams.configure(service(f"127.0.0.1:{port}", tls=tls))
        try:
            yield gate
        finally:
            listener.close()


def status_of(answer: bytes) -> int:
    """The status of the first answer."""
    return int(answer.split(b" ", 2)[1])


async def _reason(gate: Plane) -> str:
    """Why the only request was refused, from its record."""
    event = await gate.record()
    assert (event.status, event.outcome) == (502, Outcome.FAILURE)
    assert event.details is not None
    return str(event.details["reason"])


async def test_a_service_over_tls_is_served_on_one_connection(tmp_path: Path) -> None:
    """Verified by the given authority and the host of its url; the connection is kept; HTTP/1.1 is agreed on."""
    server = _server_context(OURS, tmp_path)
    server.set_alpn_protocols(["h2", "http/1.1"])
    async with _tls_plane(tmp_path, TlsSource(ca=AUTHORITY.cert), server) as gate:
        for _ in range(3):
            assert status_of(await gate.raw(request())) == 200
        assert gate.service.connections == 1
        tls = gate.service.writers[0].get_extra_info("ssl_object")
        assert tls.selected_alpn_protocol() == "http/1.1"
        assert tls.version() == "TLSv1.3"


async def test_both_directions_stream_over_tls(tmp_path: Path) -> None:
    """Megabytes each way, whole."""
    async with _tls_plane(tmp_path, TlsSource(ca=AUTHORITY.cert), _server_context(OURS, tmp_path)) as gate:
        size = 3_000_000
        gate.service.reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size)
        answer = await gate.raw(request("POST", "/orders", body=b"x" * size), timeout_s=30)
        assert len(answer.partition(b"\r\n\r\n")[2]) == size
        assert gate.service.bodies == [b"x" * size]


@pytest.mark.parametrize(
    ("tls", "signed", "reason"),
    [
        (TlsSource(ca=STRANGERS.cert), OURS, "tls: certificate refused: "),
        (TlsSource(), OURS, "tls: certificate refused: "),
        (TlsSource(ca=AUTHORITY.cert, server_name="payments.internal"), OURS, "tls: certificate refused: Hostname"),
        (TlsSource(ca=AUTHORITY.cert), AUTHORITY.sign("orders.internal"), "tls: certificate refused: IP address"),
        (TlsSource(ca=AUTHORITY.cert), AUTHORITY.sign("127.0.0.1", days=-1), "tls: certificate refused: certificate"),
    ],
    ids=["another authority", "the system's authorities", "another name", "not its address", "expired"],
)
async def test_who_is_not_the_service_gets_nothing(tmp_path: Path, tls: TlsSource, signed: Signed, reason: str) -> None:
    """502 without a word of why; the record has it; nothing of the request was sent."""
    async with _tls_plane(tmp_path, tls, _server_context(signed, tmp_path)) as gate:
        answer = await gate.raw(request("POST", "/orders", body=b"{}"))
        assert status_of(answer) == 502
        assert b'"upstream_unavailable"' in answer
        assert b"tls" not in answer
        assert b"certificate" not in answer
        assert gate.service.heads == []
        assert gate.events[-1].details is not None
        assert str(gate.events[-1].details["reason"]).startswith(reason)
        labels = {"service": "order", "kind": "tls"}
        assert gate.registry.get_sample_value("lychgate_upstream_errors_total", labels) == 1


@pytest.mark.parametrize("tls", [TlsSource(ca=AUTHORITY.cert, server_name="orders.internal"), TlsSource(verify=False)])
async def test_the_name_can_be_another_and_the_check_can_be_off(tmp_path: Path, tls: TlsSource) -> None:
    """A name that the certificate has; or, said in as many words, no check at all."""
    async with _tls_plane(tmp_path, tls, _server_context(AUTHORITY.sign("orders.internal"), tmp_path)) as gate:
        assert status_of(await gate.raw(request())) == 200


async def test_a_service_that_asks_who_we_are_is_shown_our_certificate(tmp_path: Path) -> None:
    """Real nginx with `ssl_verify_client`, connections kept, and what it read out of the certificate."""
    cert, key = OURS.files(tmp_path, "nginx")
    (tmp_path / "ca.pem").write_text(AUTHORITY.cert, encoding="ascii")
    block = f"""
    ssl_certificate {cert}; ssl_certificate_key {key};
    ssl_client_certificate {tmp_path}/ca.pem; ssl_verify_client on; ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ return 200 "$ssl_client_s_dn $ssl_protocol $connection_requests\\n"; }}
    """
    tls = TlsSource(ca=AUTHORITY.cert, cert=CLIENT.cert, key=CLIENT.key)
    both_in_one = TlsSource(ca=AUTHORITY.cert, cert=CLIENT.cert + CLIENT.key)
    async with nginx(tmp_path, block, listen="ssl") as port, plane(tmp_path) as gate:
        for source in (tls, both_in_one):
            gate.server.upstreams.configure(service(f"127.0.0.1:{port}", tls=source))
            for turn in (1, 2):
                answer = await gate.raw(request())
                assert answer.endswith(b"CN=gateway.internal TLSv1.3 %d\n" % turn)


@contextlib.asynccontextmanager
async def _openssl(folder: Path, *options: str) -> AsyncIterator[str]:
    """Real `openssl s_server`, which answers `GET` with a page; yields its address once it accepts."""
    openssl = shutil.which("openssl")
    if openssl is None:
        assert not os.environ.get("CI"), "no openssl"
        pytest.skip("no openssl on this machine")
    cert, key = OURS.files(folder, "openssl")
    address = f"127.0.0.1:{free_port()}"
    quiet = asyncio.subprocess.DEVNULL
    command = [
        openssl,
        "s_server",
        "-accept",
        address,
        "-cert",
        str(cert),
        "-key",
        str(key),
        "-www",
        "-quiet",
        *options,
    ]
    process = await asyncio.create_subprocess_exec(*command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection(*address.split(":"))
                    writer.close()
                    break
                assert process.returncode is None
                await asyncio.sleep(0.02)
        yield address
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.mark.parametrize(
    ("options", "reasons"),
    [
        (("-Verify", "1", "-verify_return_error", "-tls1_3"), {"tls: tlsv13 alert certificate required"}),
        (
            ("-Verify", "1", "-verify_return_error", "-tls1_2"),
            {"tls: sslv3 alert handshake failure", "tls: ssl/tls alert handshake failure"},
        ),
        (
            ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
            {"tls: tlsv1 alert protocol version", "tls: unsupported protocol", "tls: wrong ssl version"},
        ),
    ],
    ids=["asks for a certificate in 1.3", "asks for one in 1.2", "speaks 1.1 only"],
)
async def test_a_service_that_we_cannot_agree_with_is_unavailable(
    tmp_path: Path, options: tuple[str, ...], reasons: set[str]
) -> None:
    """Real openssl, which says why, in TLS 1.3 only after the handshake; the record tells it, not the answer."""
    async with _openssl(tmp_path, *options) as address, plane(tmp_path) as gate:
        gate.server.upstreams.configure(service(address, tls=TlsSource(ca=AUTHORITY.cert)))
        answer = await gate.raw(request())
        assert status_of(answer) == 502
        assert b"tls" not in answer
        assert await _reason(gate) in reasons


async def test_a_service_that_speaks_no_tls_or_says_nothing_is_unavailable(tmp_path: Path) -> None:
    """A plain service behind an https url; and one that lets the handshake hang, until `connect_s`."""
    async with plane(tmp_path) as gate:
        plain = f"127.0.0.1:{gate.service.port}"
        gate.server.upstreams.configure(service(plain, tls=TlsSource(ca=AUTHORITY.cert)))

        async def answers(visit: Visit) -> None:
            await visit.reader.read(1)
            await visit.answer(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        gate.service.script = answers
        assert status_of(await gate.raw(request())) == 502

        async def hangs(visit: Visit) -> None:
            await visit.reader.read()

        gate.service.script = hangs
        limits = ServiceLimits(connect_s=0.1)
        gate.server.upstreams.configure(service(plain, tls=TlsSource(ca=AUTHORITY.cert), limits=limits))
        assert status_of(await gate.raw(request())) == 502
        reasons = [str(event.details["reason"]) for event in gate.events if event.details]
        assert reasons == ["tls: wrong version number", "connecting took too long"]


@pytest.mark.parametrize("says_so", [True, False])
async def test_an_answer_that_is_cut_off_is_not_taken_for_whole(tmp_path: Path, says_so: bool) -> None:
    """A body that ends with the connection ends with TLS's own word for it; without, somebody has cut it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = _server_context(OURS, tmp_path)

        def serve() -> None:
            plain, _ = listener.accept()
            tls = context.wrap_socket(plain, server_side=True)
            tls.recv(65536)
            tls.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
            if says_so:
                with contextlib.suppress(OSError):
                    tls.unwrap()
            with socket.socket(fileno=tls.detach()) as bare:
                bare.shutdown(socket.SHUT_WR)
                bare.settimeout(5)
                with contextlib.suppress(OSError):
                    bare.recv(1)

        async with plane(tmp_path) as gate:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            gate.server.upstreams.configure(service(address, tls=TlsSource(ca=AUTHORITY.cert)))
            serving = asyncio.get_running_loop().run_in_executor(None, serve)
            answer = await gate.raw(request())
            event = await gate.record()
            await serving
            assert answer.endswith(b"5\r\nhello\r\n0\r\n\r\n") is says_so
            cut = None if says_so else {"cut": "upstream_invalid"}
            assert (event.outcome, event.details) == (Outcome.SUCCESS if says_so else Outcome.FAILURE, cut)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (TlsSource(ca="no certificate"), "ca_file holds no certificate"),
        (TlsSource(ca="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "ca_file holds no"),
        (TlsSource(cert="x", key="y"), "cert_file and key_file"),
        (TlsSource(cert=CLIENT.cert), "cert_file and key_file"),
        (TlsSource(cert=CLIENT.cert, key=OURS.key), "cert_file and key_file"),
        (TlsSource(cert=CLIENT.cert, key=CLIENT.locked_key()), "cert_file and key_file"),
    ],
    ids=["no ca", "broken ca", "no pem", "no key", "another's key", "a key with a passphrase"],
)
def test_what_cannot_be_used_is_said_and_not_asked_for(source: TlsSource, says: str) -> None:
    """A passphrase would otherwise be asked for on the terminal; no word of a key is in the message."""
    with pytest.raises(ValueError, match=says) as found:
        client_context(source)
    assert "BEGIN" not in str(found.value)


_LOCKED = """
import sys
from gateway.forward.tls import client_context
from gateway.sources import TlsSource
cert, key = sys.argv[1:]
try:
    client_context(TlsSource(cert=open(cert).read(), key=open(key).read()))
except ValueError as exc:
    print("refused:", exc)
"""


def test_nobody_is_asked_for_a_passphrase(tmp_path: Path) -> None:
    """On a real terminal, where OpenSSL would ask and wait for ever."""
    cert, key = CLIENT.files(tmp_path, "locked")
    key.write_text(CLIENT.locked_key(), encoding="ascii")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", _LOCKED, str(cert), str(key)])  # noqa: S606 - ours
    try:
        said = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while b"\n" not in said and select.select([terminal], [], [], 20)[0]:
                said += os.read(terminal, 4096)
        assert said.startswith(b"refused: cert_file and key_file cannot be used together")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def test_a_context_is_strict() -> None:
    """Verified by default, at least 1.2, no renegotiation; and the key is in no repr."""
    context = client_context(TlsSource())
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_RENEGOTIATION
    source = TlsSource(cert=CLIENT.cert, key=CLIENT.key)
    assert "PRIVATE" not in repr(source) + repr(service("a:1", tls=source))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(source), type=TlsSource) == source


def test_an_error_without_a_reason_has_words_all_the_same() -> None:
    """The name of its class."""
    assert tls_error(ssl.SSLEOFError()).reason == "tls: SSLEOFError"
