"""A real Apache Kafka for the tests: one broker in KRaft mode, on loopback, in a folder of its own.

`KAFKA_BOOTSTRAP_SERVERS` names a broker that is there already; what kills or stops the broker needs one of our own.
Otherwise it is started from its Maven artifacts, which `.ci/programs` resolves with the pom beside this file: its class
path stands in `.lychgate/kafka.classpath`. Without them, or without Java, tests that need a broker are skipped, and
fail where CI is set.
"""

import asyncio
import base64
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

import pytest

from tests.servers.kafka.admin import delete_made
from tests.servers.ports import free_port

ADDRESS_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
POM = Path(__file__).with_name("pom.xml")
CLASSPATH = Path(__file__).resolve().parents[3] / ".lychgate" / "kafka.classpath"
_JAVA = (
    "-Xmx320m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)  # fmt: skip
_READY_WITHIN_S = 60.0
_CLUSTER = base64.urlsafe_b64encode(b"lychgate-tests-1").decode().rstrip("=")
"""One id does for all of them. A random one begins with `-` now and then, and is taken for an option."""
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",  # so that a test need not wait six seconds for a dead member
    "auto.create.topics.enable": "false",
}


def fingerprint() -> str:
    """Of the pom: the first line of the class path's file, so that an old one is not used."""
    return hashlib.sha256(POM.read_bytes()).hexdigest()


def _classpath() -> str | None:
    with suppress(FileNotFoundError):
        resolved, _, path = CLASSPATH.read_text(encoding="utf-8").partition("\n")
        if resolved == fingerprint():
            return path.strip()
    return None


def _listens(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), 1.0)):
        return True
    return False


class KafkaServer:
    """One broker.

    Args:
        java: The program.
        classpath: Kafka's own.
        folder: Its own; what it knows is there, so it survives a kill.
        settings: Properties on top of ours.
        listeners: Further listeners, by protocol (`SSL`, `SASL_PLAINTEXT`, ...), each on a free port.

    Attributes:
        folder: Where its data and its log are.
        ports: The port of each listener; `PLAINTEXT` is always there.
    """

    def __init__(
        self,
        java: str,
        classpath: str,
        folder: Path,
        *,
        settings: Mapping[str, str] | None = None,
        listeners: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.ports = {name: free_port() for name in ("PLAINTEXT", *listeners)}
        self._command = (java, *_JAVA, "-cp", classpath)
        self._process: subprocess.Popen[bytes] | None = None
        controller = free_port()
        addresses = [f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()]
        chosen = {
            **_SETTINGS,
            "listeners": ",".join([*addresses, f"CONTROLLER://127.0.0.1:{controller}"]),
            "advertised.listeners": ",".join(addresses),
            "listener.security.protocol.map": ",".join(["CONTROLLER:PLAINTEXT", *(f"{n}:{n}" for n in self.ports)]),
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "log.dirs": str(folder / "data"),
            **(settings or {}),
        }
        self._file = folder / "server.properties"
        self._file.write_text("".join(f"{name}={value}\n" for name, value in chosen.items()), encoding="utf-8")

    @property
    def bootstrap_servers(self) -> str:
        """Where a client begins."""
        return f"127.0.0.1:{self.ports['PLAINTEXT']}"

    @property
    def pid(self) -> int | None:
        """Of the process; None when it does not run."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process is not None else None

    def format(self, scram: Sequence[str] = ()) -> None:
        """Make the data folder.

        Args:
            scram: Users to begin with, as `kafka-storage format --add-scram` takes them.
        """
        done = subprocess.run(
            [
                *self._command,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                _CLUSTER,
                "-c",
                str(self._file),
                *(part for user in scram for part in ("--add-scram", user)),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=_READY_WITHIN_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Begin, with what was there before; returns once it answers."""
        log = self.folder / "kafka.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._command, "kafka.Kafka", str(self._file)], stdout=output, stderr=output
            )
        deadline = time.monotonic() + _READY_WITHIN_S
        for port in self.ports.values():  # they are opened one after the other
            while not _listens(port):
                assert self._process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8", errors="replace")
                time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal: SIGSTOP makes it silent, SIGCONT wakes it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        """End it, cleanly if it can."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self._process is not None:
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()


def topic() -> str:
    """A name nobody else uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


def unavailable(why: str) -> None:
    """Skip, or fail where CI is set."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def here() -> bool:
    """Whether a real broker can be had: an address is given, or Java and Kafka are here."""
    return bool(os.environ.get(ADDRESS_VARIABLE) or (shutil.which("java") and _classpath()))


def own_server(
    folder: Path,
    *,
    settings: Mapping[str, str] | None = None,
    listeners: Sequence[str] = (),
    scram: Sequence[str] = (),
) -> KafkaServer:
    """A broker that was formatted and not started, for tests that kill it; the caller stops it."""
    java, classpath = shutil.which("java"), _classpath()
    if java is None:
        unavailable("Java is not on this machine (Debian's openjdk-17-jre-headless): no broker to test durability with")
    if classpath is None:
        unavailable("Kafka's artifacts are not resolved: run .ci/programs, which needs Maven (Debian's maven)")
    server = KafkaServer(str(java), str(classpath), folder, settings=settings, listeners=listeners)
    server.format(scram)
    return server


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """The address of a real broker, for the whole session; every test takes topics and groups of its own."""
    if given := os.environ.get(ADDRESS_VARIABLE):
        yield given
        asyncio.run(delete_made(given))
        return
    folder = Path(tempfile.mkdtemp(prefix="lychgate-kafka-"))
    try:
        server = own_server(folder)
        server.start()
        try:
            yield server.bootstrap_servers
        finally:
            server.kill()  # nobody reads its folder again, and a clean end takes two seconds
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kafka_server(tmp_path: Path) -> Iterator[KafkaServer]:
    """A started broker of this test's own, to be killed and stopped."""
    server = own_server(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.kill()
