"""A real OpenSearch for the tests: one node on loopback, in a folder of its own, from its Maven artifacts.

`.ci/programs` resolves them with the pom beside this file and compiles `Engine.java`. Without them, or without Java,
tests that need an engine are skipped, and fail where CI is set. It is the server's own code as a library: without the
start script, its security manager and its checks at boot, which judge the machine and not what is asked of it.
"""

import hashlib
import os
import selectors
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

VERSION = "2.19.3"
_HERE = Path(__file__).parent
_BUILT = Path(__file__).resolve().parents[3] / ".lychgate"
CLASSPATH, CLASSES = _BUILT / "opensearch.classpath", _BUILT / "opensearch.classes"
_QUICK = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# Collected early: its breaker counts what is garbage already, and refuses searches because of it.
_LONG = ("-XX:+UseG1GC", "-XX:G1ReservePercent=25", "-XX:InitiatingHeapOccupancyPercent=30")
_JAVA = ("-XX:-UsePerfData", f"-Dlog4j2.configurationFile={_HERE / 'log4j2.properties'}")
_READY_WITHIN_S = 60.0
_STOP_S = 20.0


def fingerprint() -> str:
    """Of the pom and the program: the first line of the class path's file, so that an old one is not used."""
    return hashlib.sha256((_HERE / "pom.xml").read_bytes() + (_HERE / "Engine.java").read_bytes()).hexdigest()


def classpath() -> str | None:
    """The server's class path; None where it was not resolved."""
    with suppress(FileNotFoundError):
        resolved, _, path = CLASSPATH.read_text(encoding="utf-8").partition("\n")
        if resolved == fingerprint() and (CLASSES / "Engine.class").exists():
            return f"{CLASSES}{os.pathsep}{path.strip()}"
    return None


class OpenSearchServer:
    """One node.

    Args:
        folder: Its own.
        heap_mb: MiB, all of it taken at once.
        quick: For a start in two seconds; slower afterwards, so not for a measurement.

    Attributes:
        port: Where it answers, once started.

    Raises:
        FileNotFoundError: The artifacts or Java are not there.
    """

    def __init__(self, folder: Path, *, heap_mb: int = 256, quick: bool = True) -> None:
        java, path = shutil.which("java"), classpath()
        if java is None or path is None:
            raise FileNotFoundError("there is no OpenSearch here; run `.ci/programs`")
        self.folder = folder
        self.port = 0
        memory = (f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m")
        self._command = [java, *memory, *(_QUICK if quick else _LONG), *_JAVA, "-cp", path, "Engine", str(folder)]
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Of the process; None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop it."""
        self.stop()

    def start(self) -> None:
        """Begin, with what was there before; returns once it answers."""
        log = self.folder / "opensearch.log"
        with log.open("ab") as output:
            self._process = process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True
            )
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(_READY_WITHIN_S) else ""
        if not line.startswith("port "):
            self.stop()
            raise AssertionError(f"OpenSearch does not start: {log.read_text(encoding='utf-8', errors='replace')}")
        self.port = int(line.removeprefix("port "))

    def stop(self) -> None:
        """End it in order: its input ends. Safe to call twice."""
        process, self._process = self._process, None
        if process is None:
            return
        with process:
            try:
                process.communicate(timeout=_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="session")
def opensearch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSearchServer]:
    """A node for the whole session. Skipped where it cannot be had; a failure where CI is set."""
    try:
        server = OpenSearchServer(tmp_path_factory.mktemp("opensearch"))
    except FileNotFoundError as exc:
        if os.environ.get("CI"):
            pytest.fail(str(exc))
        pytest.skip(str(exc))
    with server:
        yield server
