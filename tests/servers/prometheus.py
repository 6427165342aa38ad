"""A real Prometheus on a free port of loopback, from Debian's package (`.ci/programs`)."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.builders.deployed import answers, await_true
from tests.builders.patience import PATIENCE_S
from tests.servers.ports import free_port


def program() -> str:
    """The binary; the test is skipped without it, and fails where CI is set."""
    found = shutil.which("prometheus")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("prometheus is not installed")
        pytest.skip("prometheus is not installed")
    return found


class Prometheus:
    """One that runs.

    Args:
        url: Where.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def series(self, expr: str) -> int:
        """How many series an expression gives now; fails where it is none."""
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expr}, timeout=PATIENCE_S, trust_env=False)
        body = answer.json()
        assert body["status"] == "success", f"{expr}: {body.get('error')}"
        return len(body["data"]["result"])


@contextmanager
def running(folder: Path, config: str) -> Iterator[Prometheus]:
    """Run one with a configuration; its data is in the folder."""
    port = free_port()
    file = folder / "prometheus.yml"
    file.write_text(config)
    log = folder / "prometheus.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [
                program(),
                f"--config.file={file}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=said,
            stderr=said,
        )
    try:
        await_true(lambda: answers(f"http://127.0.0.1:{port}/-/ready"), log.read_text)
        yield Prometheus(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(20)
