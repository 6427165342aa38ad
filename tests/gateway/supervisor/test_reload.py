"""Reloads of a running gateway, as processes: nothing that clients send is lost, and a bad set changes nothing."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.builders import plane
from tests.builders.certificates import Authority, Pair
from tests.builders.patience import PATIENCE_S
from tests.builders.private import private
from tests.gateway.supervisor.process import Gateway, gone, sections, started, token
from tests.servers.postgres import Logins, Postgres
from tests.servers.upstream import OK, Visit, upstream

ROOT = Authority()
NEW_ROUTE = """
[[route]]
id = "order.list-again"
method = "GET"
path = "/orders-again"
service = "order"
action = "order:list"
resource = { type = "Order" }
"""


@pytest.fixture
def store(migrated_database: Logins) -> Iterator[str]:
    """The writer's DSN of a fresh store."""
    return migrated_database.writer


class Caller:
    """A client that asks again and again, on one connection or on a fresh one each time; it never tries twice.

    Attributes:
        statuses: Of its answers.
        lost: Requests that got none, with the reason.
    """

    def __init__(self, port: int, method: str = "GET", *, fresh: bool = False, tls: bool = False) -> None:
        self.statuses: list[int] = []
        self.lost: list[str] = []
        self.connections = 0
        self._port = port
        self._tls = tls
        fields = token("Cashier")["authorization"]
        last = "Connection: close\r\n" if fresh else ""
        self._request = f"{method} /orders HTTP/1.1\r\nHost: a\r\n{last}Authorization: {fields}\r\n\r\n".encode()

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop. A connection that was announced to end is replaced, and no other."""
        while not stop.is_set():
            try:
                reader, writer = await _dial(self._port, tls=self._tls)
            except ConnectionRefusedError as exc:
                self.lost.append(f"connect: {exc}")
                await asyncio.sleep(0.01)
                continue
            except (ConnectionError, ssl.SSLError) as exc:
                self.lost.append(f"handshake: {exc}")
                continue
            self.connections += 1
            with contextlib.closing(writer):
                await self._ask(reader, writer, stop)

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                writer.write(self._request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                await reader.readexactly(length)
            except (ConnectionError, ssl.SSLError, asyncio.IncompleteReadError) as exc:
                self.lost.append(f"{type(exc).__name__} after {len(self.statuses)} answers")
                return
            self.statuses.append(int(head[9:12]))
            if b"connection: close" in head.lower():
                return


@contextlib.asynccontextmanager
async def calling(*callers: Caller) -> AsyncIterator[None]:
    """Keep them calling; at the end let each finish what it has begun."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for caller in callers:
            tasks.create_task(caller.run(stop))
        try:
            yield
        finally:
            stop.set()


def policies(folder: Path) -> Path:
    """A copy of the repository's policies."""
    target = folder / "policies"
    shutil.copytree(plane.ROOT / "policies", target, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    return target


async def logged(gateway: Gateway, words: str, times: int = 1) -> None:
    """Wait until its log says so, so often."""

    async def said() -> bool:
        return gateway.log.count(words) >= times

    await gateway.until(f"{words!r} in the log", said)


async def test_hup_reloads_everything_without_losing_a_request(tmp_path: Path, store: str) -> None:
    """Under clients that never stop asking: no request fails, no connection ends, and the new route is served."""
    async with upstream() as service:
        configuration = sections(tmp_path, store, service.port)
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            port = configuration["gateway"]["port"]
            pids = await gateway.pids()
            callers = [Caller(port) for _ in range(4)]
            assert (await gateway.public.get("/orders-again", headers=token("Cashier"))).status_code == 404
            async with calling(*callers):
                for n in range(3):
                    routes = plane.ROUTES + NEW_ROUTE + f"# {n}\n"
                    (tmp_path / "routes.toml").write_text(routes)
                    gateway.process.send_signal(signal.SIGHUP)
                    await logged(gateway, "sources_installed", times=2 + n)
                answered = [len(caller.statuses) for caller in callers]
                await gateway.until(
                    "all served on",
                    lambda: _now(lambda: all(len(c.statuses) > n for c, n in zip(callers, answered, strict=True))),
                )
            assert (await gateway.public.get("/orders-again", headers=token("Cashier"))).status_code == 200
            assert [caller.lost for caller in callers] == [[]] * 4
            assert {status for caller in callers for status in caller.statuses} == {200}
            assert [caller.connections for caller in callers] == [1] * 4
            assert await gateway.pids() == pids
            metrics = (await gateway.ops.get("/internal/metrics")).text
            installed = re.findall(
                r'lychgate_reloads_total{result="installed",what="(?:configuration|policies)"} (\d+)', metrics
            )
            assert sum(map(int, installed)) >= 3  # who looks at the files may have been quicker than the signal
            assert await gateway.stop() == 0


async def test_a_bad_set_is_refused_whole(tmp_path: Path, store: str) -> None:
    """A route that is good does not come with a policy that is not; the log has file, line and reason; and again."""
    async with upstream() as service:
        folder = policies(tmp_path)
        configuration = sections(tmp_path, store, service.port, policies={"folder": str(folder)})
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            before = (await gateway.status())["sources_version"]
            good = (folder / "order.cedar").read_text()
            line = good.count("\n") + 4
            broken = '\n@id("broken")\n@reason("x")\npermit (principal, action, resource) when { context.nonsense };\n'
            (folder / "order.cedar").write_text(good + broken)
            (tmp_path / "routes.toml").write_text(plane.ROUTES + NEW_ROUTE)
            caller = Caller(configuration["gateway"]["port"])
            async with calling(caller):
                gateway.process.send_signal(signal.SIGHUP)
                await logged(gateway, "reload_refused")
                answered = len(caller.statuses)
                await gateway.until("served on", lambda: _now(lambda: len(caller.statuses) > answered))
            said = next(entry for entry in gateway.log.splitlines() if "reload_refused" in entry)
            assert any(f"order.cedar:{n}:" in said for n in range(line - 3, line + 1)), said
            assert "nonsense" in said
            assert (await gateway.status())["sources_version"] == before
            assert (await gateway.public.get("/orders-again", headers=token("Cashier"))).status_code == 404
            assert (caller.lost, set(caller.statuses), caller.connections) == ([], {200}, 1)
            assert (await gateway.ops.get("/readyz")).status_code == 200
            (tmp_path / "routes.toml").unlink()
            gateway.process.send_signal(signal.SIGHUP)
            await logged(gateway, "routes.toml: cannot be read")
            (folder / "order.cedar").write_text(good)
            (tmp_path / "routes.toml").write_text(plane.ROUTES + NEW_ROUTE)
            gateway.process.send_signal(signal.SIGHUP)
            await gateway.until("the mended set is in force", lambda: _serves(gateway, "/orders-again"))
            metrics = (await gateway.ops.get("/internal/metrics")).text
            assert 'lychgate_reloads_total{result="refused",what="configuration"} 2.0' in metrics
            assert await gateway.stop() == 0


async def test_a_policy_that_forbids_is_in_force_after_hup(tmp_path: Path, store: str) -> None:
    """Whoever was allowed a moment ago, on the same connection, is not any more; without `watch`, not before."""
    async with upstream() as service:
        folder = policies(tmp_path)
        followed = {"folder": str(folder), "watch": False, "settle_s": 0.05, "poll_s": 0.1}
        configuration = sections(tmp_path, store, service.port, policies=followed)
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            caller = Caller(configuration["gateway"]["port"])
            async with calling(caller):
                await gateway.until("served", lambda: _now(lambda: 200 in caller.statuses))
                (folder / "closed.cedar").write_text(
                    '@id("closed")\n@reason("the shop is closed")\nforbid (principal, action, resource);\n'
                )
                await asyncio.sleep(0.6)
                assert 403 not in caller.statuses
                gateway.process.send_signal(signal.SIGHUP)
                await gateway.until("refused", lambda: _now(lambda: 403 in caller.statuses))
            assert (caller.lost, caller.connections) == ([], 1)
            assert caller.statuses == sorted(caller.statuses), "a remembered decision outlived its policies"
            assert await gateway.stop() == 0


async def test_certificates_are_renewed_while_connections_stay(tmp_path: Path, store: str) -> None:
    """When the files change, and on SIGHUP; a bad pair is refused, and a worker that is replaced has the last good."""
    async with upstream() as service:
        cert, key = ROOT.server("first").write(tmp_path)
        tls = {"cert_file": str(cert), "key_file": str(key), "poll_s": 0.1}
        configuration = sections(tmp_path, store, service.port, gateway={"tls": tls})
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            port = configuration["gateway"]["port"]
            assert await _subject(port) == "first"
            reader, writer = await _dial(port)
            _replace(tmp_path, ROOT.server("second"))
            await gateway.until("the second pair", lambda: _shows(port, "second"))
            assert await _get(reader, writer) == 200

            before = await _refused(gateway)  # a look between the two files of the second pair counts
            third = tmp_path / "third.key"  # renamed: half a key would be refused, too, and for another reason
            private(third, ROOT.server("third").key_pem)
            third.replace(key)

            async def once_more() -> bool:
                return await _refused(gateway) == before + 1

            await gateway.until("refused", once_more)
            assert "server.key: certificate and key: key values mismatch" in gateway.log
            assert await _shows(port, "second")
            pids = await gateway.pids()
            for pid in pids:
                if pid is not None:
                    os.kill(pid, signal.SIGKILL)
            await gateway.until("both replaced", lambda: _replaced(gateway, pids))
            assert await _shows(port, "second"), "a new worker read the bad files"
            gateway.process.send_signal(signal.SIGHUP)
            await logged(gateway, "what=configuration")
            assert await _shows(port, "second")

            assert await once_more(), "it is refused at each look"
            _replace(tmp_path, ROOT.server("fourth"))
            gateway.process.send_signal(signal.SIGHUP)
            await gateway.until("the fourth pair", lambda: _shows(port, "fourth"))
            metrics = (await gateway.ops.get("/internal/metrics")).text
            ends = float(metrics.partition("\nlychgate_certificate_expires_timestamp_seconds ")[2].split("\n")[0])
            assert 29 < (ends - time.time()) / 86400 < 31
            assert "PRIVATE KEY" not in gateway.log
            writer.close()
            assert await gateway.stop() == 0


async def test_a_bad_pair_stops_the_start(tmp_path: Path, store: str) -> None:
    """With the files named, and exit code 2."""
    cert, key = ROOT.server().write(tmp_path)
    key.write_text(ROOT.server().key_pem)
    configuration = sections(tmp_path, store, 1, gateway={"tls": {"cert_file": str(cert), "key_file": str(key)}})
    async with started(configuration, tmp_path) as gateway:
        assert await gateway.process.wait() == 2
        assert f"{cert}, {key}: certificate and key: key values mismatch" in gateway.log
        assert "Traceback" not in gateway.log


async def test_a_stop_loses_no_request_and_writes_everything_down(
    tmp_path: Path, migrated_database: Logins, postgres: Postgres
) -> None:
    """Not ready first while it still serves; then every answer says that it is the last; the store has each of them."""
    async with upstream() as service:
        configuration = sections(
            tmp_path, migrated_database.writer, service.port, gateway={"unready_s": 0.6, "drain_s": 10}
        )
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            pids = await gateway.pids()
            port = configuration["gateway"]["port"]
            callers = [Caller(port), Caller(port), Caller(port, method="POST"), Caller(port, method="POST")]
            async with calling(*callers):
                await gateway.until("calling", lambda: _now(lambda: all(len(c.statuses) > 5 for c in callers)))
                gateway.process.send_signal(signal.SIGTERM)
                assert await _unready_while_serving(gateway, port)
                await gateway.until("no more accepted", lambda: _now(lambda: all(c.lost for c in callers)))
            async with asyncio.timeout(PATIENCE_S):
                assert await gateway.process.wait() == 0
            assert await gone(pids)
        lost = [reason for caller in callers for reason in caller.lost if not reason.startswith("connect: ")]
        assert len(lost) <= 1, lost  # between the last look into the backlog and the close one can still come
        assert {status for caller in callers for status in caller.statuses} == {200}
        answered = sum(len(caller.statuses) for caller in callers)
        database = migrated_database.owner.rpartition("/")[2]
        statement = (
            "SELECT count(DISTINCT event_id) FROM audit_events WHERE decision = 'allow' AND producer_id LIKE 'test-w%'"
        )
        assert int(postgres.sql(statement, database=database)) == answered + 1  # and the probe's
        assert "worker_killed" not in gateway.log
        assert gateway.log.rindex("gateway_stopped") > gateway.log.rindex("gateway_stopping")


@pytest.mark.parametrize("tls", [False, True])
async def test_a_stop_answers_who_is_connected_already(tmp_path: Path, store: str, tls: bool) -> None:
    """The system connects clients before a worker accepts them: the last worker takes in who waits, then closes."""
    async with upstream() as service:
        cert, key = ROOT.server().write(tmp_path)
        served = {"tls": {"cert_file": str(cert), "key_file": str(key)}} if tls else {}
        configuration = sections(tmp_path, store, service.port, gateway={"workers": 1, **served})
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            callers = [Caller(configuration["gateway"]["port"], fresh=True, tls=tls) for _ in range(8)]
            async with calling(*callers):
                await gateway.until("calling", lambda: _now(lambda: all(len(c.statuses) > 5 for c in callers)))
                gateway.process.send_signal(signal.SIGTERM)
                await gateway.until("no more accepted", lambda: _now(lambda: all(c.lost for c in callers)))
            assert await gateway.process.wait() == 0
        lost = [reason for caller in callers for reason in caller.lost if not reason.startswith("connect: ")]
        # Between the look that finds nobody and the close one can still come. Without the look all eight wait.
        assert len(lost) <= 1, lost
        assert {status for caller in callers for status in caller.statuses} == {200}


async def test_a_stop_ends_inside_its_deadline(tmp_path: Path, store: str) -> None:
    """A service that never answers, and a client that never sends the rest, hold nothing up for longer than allowed."""
    async with upstream() as service:

        async def never(visit: Visit) -> None:
            await visit.head()
            await asyncio.sleep(60)

        service.script = never
        configuration = sections(tmp_path, store, service.port, gateway={"drain_s": 1})
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            pids = await gateway.pids()
            port = configuration["gateway"]["port"]
            opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
            ask = f"GET /orders HTTP/1.1\r\nHost: a\r\nAuthorization: {token('Cashier')['authorization']}\r\n"
            opened[0][1].write(ask.encode() + b"\r\n")
            opened[1][1].write(ask.encode())
            await gateway.until("held", lambda: _now(lambda: service.connections == 1))
            began = time.monotonic()
            assert await gateway.stop() == 0
            assert time.monotonic() - began < 1 + 2 + 5 + 5, "drain, grace, delivery, and a busy machine"
            assert await gone(pids)
            for _, writer in opened:
                writer.close()


async def test_a_worker_that_hangs_does_not_hold_a_stop_up(tmp_path: Path, store: str) -> None:
    """It is killed when the time is over; the other one drains."""
    async with upstream() as service:
        configuration = sections(tmp_path, store, service.port, gateway={"drain_s": 1})
        async with started(configuration, tmp_path) as gateway:
            await gateway.until_ready()
            pids = await gateway.pids()
            os.kill(pids[0], signal.SIGSTOP)
            began = time.monotonic()
            assert await gateway.stop() == 0
            assert time.monotonic() - began < 1 + 2 + 5 + 5
            assert await gone(pids)
            assert gateway.log.count("worker_killed") == 1
            assert "killed=1" in gateway.log


async def _now(condition: Callable[[], bool]) -> bool:
    return condition()


async def _serves(gateway: Gateway, path: str) -> bool:
    return (await gateway.public.get(path, headers=token("Cashier"))).status_code == 200


async def _unready_while_serving(gateway: Gateway, port: int) -> bool:
    """Whether, after a stop was asked for, readiness says no and a new connection is served all the same."""

    async def draining() -> bool:
        return (await gateway.ops.get("/readyz")).status_code == 503

    await gateway.until("not ready", draining)
    probe = Caller(port)
    stop = asyncio.Event()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        writer.write(probe._request)
        stop.set()
        return (await reader.readuntil(OK[-2:])).startswith(b"HTTP/1.1 200 ")


async def _dial(port: int, *, tls: bool = True) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if not tls:
        return await asyncio.open_connection("127.0.0.1", port)
    context = ssl.create_default_context(cadata=ROOT.pem)
    return await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")


async def _subject(port: int) -> str:
    """The name on the certificate a new connection is shown, after a request on it."""
    reader, writer = await _dial(port)
    with contextlib.closing(writer):
        assert await _get(reader, writer) == 200
        (((_, name),),) = writer.get_extra_info("peercert")["subject"]
        return str(name)


async def _shows(port: int, name: str) -> bool:
    """Whether every worker shows it; each new connection may be any one's."""
    return all([await _subject(port) == name for _ in range(6)])


async def _get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    ask = f"GET /orders HTTP/1.1\r\nHost: a\r\nAuthorization: {token('Cashier')['authorization']}\r\n\r\n"
    writer.write(ask.encode())
    return int((await reader.readuntil(OK[-2:]))[9:12])


async def _replaced(gateway: Gateway, pids: list[int]) -> bool:
    now = await gateway.pids()
    ready = (await gateway.ops.get("/readyz")).status_code == 200
    versions = {worker["version"] for worker in (await gateway.status())["workers"]}
    return ready and None not in now and not set(now) & set(pids) and None not in versions


async def _refused(gateway: Gateway) -> float:
    """How many pairs of certificate and key were refused so far."""
    name = '\nlychgate_reloads_total{result="refused",what="certificates"} '
    return float((await gateway.ops.get("/internal/metrics")).text.partition(name)[2].split("\n")[0] or 0)


def _replace(folder: Path, pair: Pair) -> None:
    """Both files at once, as well as that goes: written beside and renamed."""
    fresh = folder / "fresh"
    fresh.mkdir(exist_ok=True)
    for path in pair.write(fresh):
        path.replace(folder / path.name)
