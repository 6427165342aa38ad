"""Keys fetched from a real server on loopback that rotates, lies, hangs, and goes away."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from gateway.identify.bearer import identify
from gateway.identify.keyring import Keyring
from gateway.identify.keys import MAX_JWKS_BYTES, KeyFetcher, KeyPlace
from gateway.identify.refusal import Reason, TokenRefused
from gateway.sources import IssuerKeys
from tests.builders.patience import PATIENCE_S
from tests.builders.tokens import ISSUER, NOW, bearer, catalogue, jwks, mint, signing_key, source
from tests.servers.ports import free_port

OLD, NEW = signing_key("ES256", "old"), signing_key("ES256", "new", 1)
DEADLINE_S = PATIENCE_S
HANG = b"hang"


def answer(body: bytes, status: str = "200 OK", *fields: str) -> bytes:
    """A whole HTTP response."""
    head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Publisher:
    """A server that sends whatever bytes it is told to, and counts who asks.

    Attributes:
        says: The bytes of every answer; `HANG` for none at all.
        drip_s: Pause between single bytes; 0 sends at once.
        asked: Requests so far, as they came.
    """

    def __init__(self) -> None:
        self.says = answer(jwks(OLD.public()).encode())
        self.drip_s = 0.0
        self.asked: list[bytes] = []
        self.url = ""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self, port: int = 0) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self.port}/.well-known/jwks.json"

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Go away, cutting what is open."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            self.asked.append(await reader.readuntil(b"\r\n\r\n"))
            if self.says is HANG:
                await reader.read()
            elif self.drip_s:
                for byte in self.says:
                    writer.write(bytes([byte]))
                    await asyncio.sleep(self.drip_s)
            else:
                writer.write(self.says)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the fetcher gave up first, which is what most of these tests are about
        finally:
            self._open.discard(writer)
            writer.close()


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    """A publisher that has the old key."""
    server = Publisher()
    await server.start(free_port())  # kept, for those that come back on it
    yield server
    await server.stop()


async def until(true: Callable[[], bool]) -> None:
    """Wait for a condition, not longer than the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not true():  # noqa: ASYNC110 - what is waited for happens in another task, on the other side of a socket
            await asyncio.sleep(0.005)


@asynccontextmanager
async def fetching(
    place: KeyPlace,
    on_change: Callable[[IssuerKeys], Awaitable[None]] | None = None,
    timeout_s: float = DEADLINE_S,
) -> AsyncIterator[tuple[KeyFetcher, list[IssuerKeys]]]:
    """A fetcher that runs, and every change it told of."""
    changes: list[IssuerKeys] = []

    async def note(keys: IssuerKeys) -> None:
        changes.append(keys)

    async with KeyFetcher([place], on_change or note, lambda: NOW, timeout_s) as fetcher, asyncio.TaskGroup() as group:
        running = group.create_task(fetcher.run())
        yield fetcher, changes
        running.cancel()


def _place(publisher: Publisher, refresh_s: float = 300.0, unknown_kid_interval_s: float = 0.05) -> KeyPlace:
    return KeyPlace(ISSUER, url=publisher.url, refresh_s=refresh_s, unknown_kid_interval_s=unknown_kid_interval_s)


async def test_keys_come_and_verify(publisher: Publisher) -> None:
    """What was fetched is told once and builds a keyring that identifies a caller."""
    async with fetching(_place(publisher)) as (fetcher, changes):
        assert list(fetcher.waiting_for) == [ISSUER]
        await until(lambda: bool(changes))
        assert list(fetcher.waiting_for) == []
        assert fetcher.keys == tuple(changes)
        ring = Keyring.build([source()], fetcher.keys)
        assert identify(bearer(mint(OLD)), ring, catalogue(), NOW).principal.sub == "u-17"
        (status,) = fetcher.status
        assert (status.key_count, status.confirmed_at, status.problem) == (1, NOW, "")


async def test_the_request_asks_for_plain_json(publisher: Publisher) -> None:
    """No coding is asked for, and nothing is sent that does not belong to it."""
    async with fetching(_place(publisher)) as (_, changes):
        await until(lambda: bool(changes))
    (request,) = publisher.asked
    assert request.startswith(b"GET /.well-known/jwks.json HTTP/1.1\r\n")
    assert b"accept-encoding: identity\r\n" in request.lower()
    assert b"authorization" not in request.lower()


async def test_rotation_is_noticed_when_a_token_has_the_new_key(publisher: Publisher) -> None:
    """An unknown key brings one fetch, the new key is told, and the old one is forgotten with its set."""
    async with fetching(_place(publisher)) as (fetcher, changes):
        await until(lambda: len(changes) == 1)
        publisher.says = answer(jwks(NEW.public()).encode())
        with pytest.raises(TokenRefused) as caught:
            identify(bearer(mint(NEW)), Keyring.build([source()], fetcher.keys), catalogue(), NOW)
        assert caught.value.unknown_key is not None
        fetcher.kid_unknown(caught.value.unknown_key.issuer)
        await until(lambda: len(changes) == 2)
        ring = Keyring.build([source()], fetcher.keys)
        assert identify(bearer(mint(NEW)), ring, catalogue(), NOW)
        with pytest.raises(TokenRefused) as caught:
            identify(bearer(mint(OLD)), ring, catalogue(), NOW)
        assert caught.value.reason == Reason.UNKNOWN_KEY


async def test_rotation_is_noticed_by_itself(publisher: Publisher) -> None:
    """Without any token the set is fetched again at its time."""
    async with fetching(_place(publisher, refresh_s=0.05)) as (_, changes):
        await until(lambda: len(publisher.asked) >= 3)
        assert len(changes) == 1
        publisher.says = answer(jwks(OLD.public(), NEW.public()).encode())
        await until(lambda: len(changes) == 2)


async def test_a_storm_of_unknown_keys_is_one_fetch(publisher: Publisher) -> None:
    """Forged key ids cannot make the gateway hammer an issuer."""
    now = asyncio.get_running_loop().time
    started = now()
    async with fetching(_place(publisher, unknown_kid_interval_s=0.2)) as (fetcher, changes):
        await until(lambda: len(changes) == 1)
        while len(publisher.asked) < 3 and now() - started < DEADLINE_S:
            fetcher.kid_unknown(ISSUER)
            fetcher.kid_unknown("somebody-else")
            await asyncio.sleep(0.001)
        assert len(publisher.asked) == 3
        assert now() - started > 0.35, "two intervals, from before the first"


_BAD: dict[str, tuple[bytes, str]] = {
    "garbage": (answer(b"<html>"), "not a JSON object"),
    "not utf-8": (answer(b'{"keys":"\xff"}'), "not UTF-8"),
    "no http": (b"garbage\r\n\r\n", "cannot be reached (RemoteProtocolError)"),
    "nothing": (b"", "cannot be reached (RemoteProtocolError)"),
    "cut short": (answer(jwks(NEW.public()).encode())[:-20], "cannot be reached (RemoteProtocolError)"),
    "error": (answer(jwks(NEW.public()).encode(), "503 Service Unavailable"), "answered with status 503"),
    "redirect": (answer(b"", "302 Found", "location: https://evil.example/keys"), "answered with status 302"),
    "symmetric": (answer(jwks({"kty": "oct", "k": "c2VjcmV0"}).encode()), "a symmetric key in a published set"),
    "private": (answer(jwks(NEW.private()).encode()), "a private key in a published set"),
    "huge": (answer(b" " * (MAX_JWKS_BYTES + 1)), f"larger than {MAX_JWKS_BYTES} bytes"),
    "endless": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"100000\r\n" + b" " * 0x100000 + b"\r\n",
        f"larger than {MAX_JWKS_BYTES} bytes",
    ),
    "compressed": (
        answer(gzip.compress(b" " * 100_000_000, 1), "200 OK", "content-encoding: gzip"),
        "answered with a content coding",
    ),
    "hang": (HANG, "no whole answer in time"),
}


@pytest.mark.parametrize("kind", _BAD)
async def test_what_is_bad_keeps_the_last_good(publisher: Publisher, kind: str) -> None:
    """However an answer is wrong, it is said in status, the good keys stay, and a good answer heals it."""
    says, problem = _BAD[kind]
    async with fetching(_place(publisher), timeout_s=0.5 if kind == "hang" else DEADLINE_S) as (fetcher, changes):
        await until(lambda: len(changes) == 1)
        publisher.says = says
        fetcher.kid_unknown(ISSUER)
        await until(lambda: fetcher.status[0].problem != "")
        assert fetcher.status[0].problem == problem
        assert fetcher.status[0].key_count == 1
        assert fetcher.keys == tuple(changes)
        publisher.says = answer(jwks(NEW.public()).encode())
        fetcher.kid_unknown(ISSUER)
        await until(lambda: len(changes) == 2)
        assert fetcher.status[0].problem == ""


async def test_a_failure_is_logged_once_and_not_each_time(publisher: Publisher) -> None:
    """An issuer that is down for a night fills no log; when it fails in another way, that is said."""
    publisher.says = answer(b"", "503 Service Unavailable")
    with capture_logs() as logs:
        async with fetching(_place(publisher, refresh_s=0.01)) as (fetcher, _):
            await until(lambda: len(publisher.asked) >= 5)
            publisher.says = answer(b"", "500 Internal Server Error")
            await until(lambda: fetcher.status[0].problem == "answered with status 500")
    told = [(entry["event"], entry["reason"]) for entry in logs]
    assert told == [
        ("issuer_keys_failed", "answered with status 503"),
        ("issuer_keys_failed", "answered with status 500"),
    ]


async def test_a_dripping_answer_is_cut(publisher: Publisher) -> None:
    """The limit is for the whole exchange: a byte now and then does not prolong it."""
    publisher.drip_s = 0.05
    async with fetching(_place(publisher), timeout_s=0.3) as (fetcher, changes):
        await until(lambda: fetcher.status[0].problem != "")
        assert fetcher.status[0].problem == "no whole answer in time"
        assert changes == []


async def test_an_issuer_that_starts_later_is_found(publisher: Publisher) -> None:
    """Gateway and issuer may start in any order; until then the gateway is waiting for it by name."""
    port = publisher.port
    await publisher.stop()
    async with fetching(_place(publisher)) as (fetcher, changes):
        await until(lambda: fetcher.status[0].problem != "")
        assert fetcher.status[0].problem == "cannot be reached (ConnectError)"
        assert fetcher.waiting_for == (ISSUER,)
        await publisher.start(port)
        await until(lambda: bool(changes))


async def test_keys_from_a_file(tmp_path: Path) -> None:
    """A set can lie in a file; what is wrong with it is said like anything else, and a new one is taken."""
    file = tmp_path / "keys.json"
    place = KeyPlace(ISSUER, file=file, refresh_s=0.02)
    async with fetching(place) as (fetcher, changes):
        await until(lambda: fetcher.status[0].problem == "cannot be read (No such file or directory)")
        await until(lambda: next(iter(fetcher.failing_s.values())) > 0)
        file.write_bytes(b" " * (MAX_JWKS_BYTES + 1))
        await until(lambda: fetcher.status[0].problem == f"larger than {MAX_JWKS_BYTES} bytes")
        file.write_text(jwks(OLD.public()))
        await until(lambda: len(changes) == 1)
        assert set(fetcher.failing_s.values()) == {0}
        file.write_text(jwks(NEW.public()))
        await until(lambda: len(changes) == 2)


async def test_a_place_that_is_nowhere() -> None:
    """Neither an address nor a file is a fault that status names; other issuers are not held up by it."""
    async with fetching(KeyPlace(ISSUER)) as (fetcher, _):
        await until(lambda: fetcher.status[0].problem == "no place is configured")


async def test_a_change_is_waited_for(publisher: Publisher) -> None:
    """The next fetch begins when the supervisor has acted on the last change, so changes never overtake each other."""
    release = asyncio.Event()

    async def slow(_: IssuerKeys) -> None:
        await release.wait()

    async with fetching(_place(publisher, refresh_s=0.01), slow) as (fetcher, _):
        await until(lambda: bool(fetcher.keys))
        await asyncio.sleep(0.1)
        assert len(publisher.asked) == 1
        release.set()
        await until(lambda: len(publisher.asked) >= 2)


async def test_a_fault_in_the_supervisor_is_not_swallowed(publisher: Publisher) -> None:
    """What `on_change` raises ends the run: a supervisor that cannot install keys must not look healthy."""

    async def broken(_: IssuerKeys) -> None:
        raise RuntimeError("cannot install")

    with pytest.raises(ExceptionGroup) as caught:
        async with KeyFetcher([_place(publisher)], broken, lambda: NOW) as fetcher:
            await fetcher.run()
    assert caught.group_contains(RuntimeError, match="cannot install")
