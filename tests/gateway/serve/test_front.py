"""TLS on the public port, with real handshakes: OpenSSL's own client, curl, and Python's."""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.limits import Limits
from gateway.serve.front import TlsFront
from gateway.serve.tls import server_context
from tests.builders import certificates, tunnels
from tests.builders.certificates import Authority, Pair
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request, token
from tests.servers.upstream import OK, Visit

ROOT = Authority()
SERVER = ROOT.server()


def trusting(root: Authority = ROOT, shown: Pair | None = None, folder: Path | None = None) -> ssl.SSLContext:
    """A client that believes this root, and shows this certificate."""
    context = ssl.create_default_context(cadata=root.pem)
    if shown is not None and folder is not None:
        context.load_cert_chain(*shown.write(folder, "client"))
    return context


@contextlib.asynccontextmanager
async def dialled(
    gate: Plane, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection after its handshake; gone at the end, however that goes."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", gate.port, ssl=context or trusting(), server_hostname="localhost"
        )
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()


async def ask(gate: Plane, context: ssl.SSLContext | None = None, data: bytes | None = None) -> bytes:
    """One request on a connection of its own; the whole answer."""
    async with dialled(gate, context) as (reader, writer):
        writer.write(data or request())
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()


async def refused(gate: Plane, context: ssl.SSLContext) -> bool:
    """Whether nothing is answered. In TLS 1.3 a client learns that its certificate will not do from its first read."""
    try:
        return await ask(gate, context) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def front(gate: Plane) -> TlsFront:
    """The plane's listener."""
    assert isinstance(gate.listener, TlsFront)
    return gate.listener


def counted(gate: Plane, name: str, **labels: str) -> float:
    """A counter's value."""
    return gate.registry.get_sample_value(name, labels) or 0.0


def descriptors() -> int:
    """How many this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def until(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
    """Poll until it holds."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_a_request_comes_through_and_the_service_is_told_https(tmp_path: Path) -> None:
    """Decided, forwarded and recorded as on a plain connection; kept alive, and pipelined."""
    async with plane(tmp_path, tls=certificates.source(SERVER)) as gate:
        key = token()
        assert (await ask(gate)).startswith(b"HTTP/1.1 200 ")
        assert gate.service.fields()["x-forwarded-proto"] == "https"
        assert gate.service.fields()["x-forwarded-for"] == "127.0.0.1"
        stream = request(target="/orders/1", auth=key, close=False) + request(target="/orders/2", auth=key)
        assert (await ask(gate, data=stream)).count(b"HTTP/1.1 200 ") == 2
        assert [event.status for event in gate.events] == [200, 200, 200]
        assert gate.events[0].details is None


async def test_large_bodies_stream_both_ways(tmp_path: Path) -> None:
    """More than any buffer, and whole on the other side."""
    size = 8 << 20
    async with plane(tmp_path, tls=certificates.source(SERVER)) as gate:

        async def script(visit: Visit) -> None:
            await visit.head()
            body = await visit.reader.readexactly(size)
            await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body[::-1])

        gate.service.script = script
        body = os.urandom(size)
        answer = await ask(gate, data=request("POST", body=body))
        assert answer.partition(b"\r\n\r\n")[2] == body[::-1]


def _there(program: str) -> bool:
    """Whether a program is here; where CI is set it has to be, and its tests run into its absence."""
    return bool(os.environ.get("CI")) or shutil.which(program) is not None


@pytest.mark.skipif(not _there("openssl"), reason="no openssl on this machine")
@pytest.mark.parametrize(
    ("arguments", "shaken"),
    [
        (["-tls1_3"], True),
        (["-tls1_2"], True),
        (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"], False),
        (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], False),
        (["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], False),
    ],
)
async def test_what_is_shaken_hands_with(tmp_path: Path, arguments: list[str], shaken: bool) -> None:
    """TLS 1.2 and 1.3, with forward secrecy and authenticated encryption; nothing older or weaker."""
    async with plane(tmp_path, tls=certificates.source(SERVER)) as gate:
        said = await _s_client(gate, *arguments)
        assert ("Verification: OK" in said and "Cipher is (NONE)" not in said) is shaken, said
        if not shaken:
            await until(lambda: counted(gate, "lychgate_tls_handshake_failures_total", why="protocol") == 1)


@pytest.mark.skipif(not _there("openssl"), reason="no openssl on this machine")
async def test_only_http_1_is_offered(tmp_path: Path) -> None:
    """Of HTTP/2 and HTTP/1.1 a client gets HTTP/1.1; TLS 1.2 is refused where 1.3 is the least."""
    async with plane(tmp_path, tls=certificates.source(SERVER, min_version="1.3")) as gate:
        assert "ALPN protocol: http/1.1" in await _s_client(gate, "-alpn", "h2,http/1.1")
        assert "Cipher is (NONE)" in await _s_client(gate, "-tls1_2")


@pytest.mark.skipif(not _there("curl"), reason="no curl on this machine")
async def test_curl_is_served(tmp_path: Path) -> None:
    """What people try first."""
    (tmp_path / "root.pem").write_text(ROOT.pem)
    async with plane(tmp_path, tls=certificates.source(SERVER)) as gate:
        process = await asyncio.create_subprocess_exec(
            "curl",
            "-sS",
            "--noproxy",
            "*",
            "--cacert",
            str(tmp_path / "root.pem"),
            "-H",
            f"Authorization: Bearer {token()}",
            "-w",
            "%{http_code} %{http_version}",
            f"https://127.0.0.1:{gate.port}/orders",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await process.communicate()
        assert out == b"{}200 1.1"


async def test_a_client_certificate_stands_in_the_record(tmp_path: Path) -> None:
    """Subject and fingerprint; who shows none is refused where one is required, before any request."""
    till = ROOT.client("till-7")
    tls = certificates.source(SERVER, client_ca=ROOT.pem, client_certificates="required")
    async with plane(tmp_path, tls=tls) as gate:
        assert (await ask(gate, trusting(shown=till, folder=tmp_path))).startswith(b"HTTP/1.1 200 ")
        details = (await gate.record()).details
        assert details == {"client_certificate": till.sha256, "client_certificate_subject": "CN=till-7"}
        for context in (
            trusting(),
            trusting(shown=Authority().client(), folder=tmp_path),
            trusting(shown=ROOT.client(days=-1), folder=tmp_path),
        ):
            assert await refused(gate, context)
        await until(lambda: counted(gate, "lychgate_tls_handshake_failures_total", why="certificate") == 3)
        assert len(gate.events) == 1


async def test_a_certificate_is_its_connections_own(tmp_path: Path) -> None:
    """The same head from another client, or from one that shows none, is recalled; who has shown what is not."""
    tls = certificates.source(SERVER, client_ca=ROOT.pem, client_certificates="optional")
    shown = [None, ROOT.client("till-1"), ROOT.client("till-2"), None]
    async with plane(tmp_path, tls=tls) as gate:
        data = request(auth=token())
        for certificate in shown:
            for _ in range(3):
                answer = await ask(gate, trusting(shown=certificate, folder=tmp_path), data)
                assert answer.startswith(b"HTTP/1.1 200 ")
        assert len(gate.server.recall._callers) == 1
        await gate.sink.aclose()
        records = b"".join(path.read_bytes() for path in sorted((tmp_path / "spool").iterdir()) if path.is_file())
        for certificate in shown[1:3]:
            assert certificate is not None
            assert records.count(certificate.sha256.encode()) == 3
        assert records.count(b"client_certificate_subject") == 6


async def test_a_client_certificate_may_be_optional(tmp_path: Path) -> None:
    """Who shows none is let in; who shows a bad one is not."""
    tls = certificates.source(SERVER, client_ca=ROOT.pem, client_certificates="optional")
    async with plane(tmp_path, tls=tls) as gate:
        assert (await ask(gate)).startswith(b"HTTP/1.1 200 ")
        assert gate.events[0].details is None
        assert await refused(gate, trusting(shown=Authority().client(), folder=tmp_path))


async def test_a_new_certificate_costs_no_connection(tmp_path: Path) -> None:
    """The connection that is there goes on, in the middle of a request, too; the next gets the new certificate."""
    renewed = ROOT.server("renewed")
    async with plane(tmp_path, tls=certificates.source(SERVER)) as gate, dialled(gate) as (reader, writer):
        key = token()
        data = request("POST", auth=key, body=b"hello", close=False)
        writer.write(data[:-3])
        await writer.drain()
        front(gate).context = server_context(certificates.source(renewed))
        async with dialled(gate) as (_, other):
            subject = other.get_extra_info("peercert")["subject"]
            assert subject == ((("commonName", "renewed"),),)
        writer.write(data[-3:] + request(auth=key))
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.read()).count(b"HTTP/1.1 200 ") == 2


async def test_plain_http_and_noise_are_refused_and_counted(tmp_path: Path) -> None:
    """On a port that speaks TLS nothing is answered in the clear, and no descriptor is left behind."""
    async with plane(tmp_path, tls=certificates.source(SERVER)) as gate:
        before = descriptors()
        for data in (request(), b"\x00" * 100, os.urandom(200)):
            assert b"HTTP" not in await gate.raw(data)
        failures = "lychgate_tls_handshake_failures_total"
        await until(lambda: counted(gate, failures, why="protocol") + counted(gate, failures, why="gone") == 3)
        await until(lambda: gate.server.clients.total == 0)
        await until(lambda: descriptors() <= before)
        assert gate.events == []
        assert gate.faults == []


async def test_who_does_not_shake_hands_is_cut(tmp_path: Path) -> None:
    """A connection that says nothing, or half a hello, ends in time; one that goes is forgotten at once."""
    limits = Limits(tls_handshake_s=0.3)
    async with plane(tmp_path, tls=certificates.source(SERVER), limits=limits) as gate:
        assert await gate.raw(b"\x16\x03\x01\x02\x00\x01") == b""
        await until(lambda: counted(gate, "lychgate_tls_handshake_failures_total", why="timeout") == 1)
        await until(lambda: gate.server.clients.total == 0)


async def test_connections_are_counted_before_the_handshake(tmp_path: Path) -> None:
    """Who opens too many is closed unread, whether or not anybody shakes hands; who leaves makes room."""
    limits = Limits(connections_per_client=2)
    async with plane(tmp_path, tls=certificates.source(SERVER), limits=limits) as gate:
        silent = socket.create_connection(("127.0.0.1", gate.port))
        async with dialled(gate) as (reader, writer):
            writer.write(request(close=False))
            await reader.readuntil(b"{}")
            assert await gate.raw(b"") == b""
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await ask(gate)
            assert counted(gate, "lychgate_connections_refused_total", why="per_client") == 2
        silent.close()
        await until(lambda: gate.server.clients.total == 0)
        assert (await ask(gate)).startswith(b"HTTP/1.1 200 ")


async def test_an_end_comes_in_two_steps(tmp_path: Path) -> None:
    """First nobody new is accepted, then handshakes are given up; a connection after its handshake stays."""
    async with plane(tmp_path, tls=certificates.source(SERVER)) as gate:
        silent, silent_writer = await asyncio.open_connection("127.0.0.1", gate.port)
        late, late_writer = await asyncio.open_connection("127.0.0.1", gate.port)
        await until(lambda: gate.server.clients.total == 2)
        front(gate).close()
        await late_writer.start_tls(trusting(), server_hostname="localhost")
        await until(lambda: len(gate.server.connections) == 1)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", gate.port)
        front(gate).give_up()
        async with asyncio.timeout(PATIENCE_S):
            assert await silent.read() == b""
        late_writer.write(request())
        async with asyncio.timeout(PATIENCE_S):
            assert (await late.read()).startswith(b"HTTP/1.1 200 ")
        silent_writer.close()
        late_writer.close()


async def test_a_tunnel_goes_through_and_ends_from_either_side(tmp_path: Path) -> None:
    """WebSocket within TLS, by a client that is not ours; the close of each side reaches the other."""

    async def echo(visit: Visit) -> None:
        while data := await visit.reader.read(65536):
            frame = data[6:] if data[1] & 0x80 else data
            await visit.answer(
                tunnels.said(bytes(byte ^ data[2 + at % 4] for at, byte in enumerate(frame)), first=data[0])
            )

    async with tunnels.tunnels(tmp_path, tls=certificates.source(SERVER)) as gate:
        gate.service.script = tunnels.switching(echo)
        async with tunnels.live(gate.port, scheme="wss", ssl=trusting(), server_hostname="localhost") as socket_:
            await socket_.send("till")
            assert await asyncio.wait_for(socket_.recv(), PATIENCE_S) == "till"
            assert gate.service.connections == 1
        assert (await tunnels.closing(gate)).outcome == "success"
        assert gate.faults == []


async def test_who_waits_in_the_backlog_is_taken_in(tmp_path: Path) -> None:
    """The system has told it that it is connected; closing without looking would reset it."""
    async with plane(tmp_path, tls=certificates.source(SERVER)) as gate:
        sock = socket.create_connection(("127.0.0.1", gate.port))  # the loop does not run meanwhile
        front(gate).close()
        reader, writer = await asyncio.open_connection(sock=sock, ssl=trusting(), server_hostname="localhost")
        writer.write(request())
        async with asyncio.timeout(PATIENCE_S):
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        writer.close()


async def test_a_refusal_in_the_middle_of_a_body_arrives(tmp_path: Path) -> None:
    """A client that goes on sending gets its answer all the same, not a reset."""
    async with plane(tmp_path, tls=certificates.source(SERVER), limits=Limits(body_bytes=10)) as gate:

        def client() -> bytes:
            with (
                socket.create_connection(("127.0.0.1", gate.port)) as plain,
                trusting().wrap_socket(plain, server_hostname="localhost") as sock,
            ):
                sock.settimeout(20)
                sock.sendall(request("POST", headers="Content-Length: 20000000", close=False))
                with contextlib.suppress(OSError):
                    for _ in range(20):
                        sock.sendall(b"x" * 1_000_000)
                return sock.recv(4096)

        assert (await asyncio.to_thread(client)).startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_says_goodbye_takes_its_request_with_it(tmp_path: Path) -> None:
    """There is no half close within TLS: the service's work is stopped, and the record says why."""
    async with plane(tmp_path, tls=certificates.source(SERVER)) as gate:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def script(visit: Visit) -> None:
            await visit.head()
            begun.set()
            await visit.reader.read()
            ended.set()
            await visit.answer(OK)

        gate.service.script = script
        async with dialled(gate) as (_, writer):
            writer.write(request(close=False))
            await begun.wait()
        async with asyncio.timeout(PATIENCE_S):
            await ended.wait()
        assert ((await gate.record()).details or {})["cut"] == "client_gone"


async def _s_client(gate: Plane, *arguments: str) -> str:
    """What `openssl s_client` says of a handshake."""
    folder = Path(os.environ.get("TMPDIR", "/tmp")) / f"lychgate-root-{os.getpid()}.pem"  # noqa: S108 - a certificate
    folder.write_text(ROOT.pem)
    try:
        process = await asyncio.create_subprocess_exec(
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{gate.port}",
            "-CAfile",
            str(folder),
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(PATIENCE_S):
            out, _ = await process.communicate()
    finally:
        folder.unlink()
    return out.decode("utf-8", "replace")
