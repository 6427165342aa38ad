"""A real Chromium, headless, that reaches loopback and nothing else; spoken to in its own protocol."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
]
_ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
_WITHIN_S = 40.0


def chromium() -> str:
    """The program; the test is skipped without it, and fails where CI is set."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    return found


class Browser:
    """A tab.

    Attributes:
        asked: The URL of each request that it has made since the last `open`.
        complaints: What stood on its console as an error or a warning, was thrown, or failed to load, since then.
    """

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.asked: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._connection.recv(timeout=_WITHIN_S))
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        told = message.get("params", {})
        match message["method"]:
            case "Network.requestWillBeSent":
                self.asked.append(told["request"]["url"])
            case "Network.loadingFailed" if not told.get("canceled"):
                self.complaints.append(f"not loaded: {told.get('blockedReason') or told['errorText']}")
            case "Runtime.exceptionThrown":
                self.complaints.append(f"thrown: {told['exceptionDetails']}")
            case "Runtime.consoleAPICalled" if told["type"] in {"error", "warning"}:
                self.complaints.append(f"console: {told['args']}")
            case "Log.entryAdded" if told["entry"]["level"] in {"error", "warning"}:
                self.complaints.append(f"log: {told['entry']['text']} {told['entry'].get('url', '')}")

    def open(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self.asked.clear()
        self.complaints.clear()
        self.tell("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def value(self, expression: str) -> Any:
        """What an expression is in the page."""
        result = self.tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, expression: str) -> None:
        """Until an expression is true in the page."""
        self.until(lambda: bool(self.value(expression)), expression)

    def until(self, seen: Any, what: str) -> None:
        """Until a question put to the page is answered with yes."""
        deadline = time.monotonic() + _WITHIN_S
        while not seen():
            assert not self.complaints, f"{what} is not true: {self.complaints}"
            assert time.monotonic() < deadline, f"{what} is not true after {_WITHIN_S} s"
            time.sleep(0.05)

    def outlines(self) -> list[str]:
        """The names of all elements, those in closed shadow roots too, in the order of the document."""
        names: list[str] = []
        waiting = [self.tell("DOM.getDocument", depth=-1, pierce=True)["root"]]
        while waiting:
            node = waiting.pop()
            names.append(node["localName"])
            waiting += reversed([*node.get("shadowRoots", []), *node.get("children", [])])
        return names


@contextmanager
def browser() -> Iterator[Browser]:
    """A tab of a browser of its own, gone afterwards."""
    profile = Path(tempfile.mkdtemp(prefix="lychgate-browser-"))
    process = subprocess.Popen(
        [chromium(), *_FLAGS, _ALONE, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        port = _port(profile / "DevToolsActivePort", process)
        with connect(f"ws://127.0.0.1:{port[0]}{port[1]}", max_size=None, proxy=None) as whole:
            whole.send(json.dumps({"id": 1, "method": "Target.getTargets"}))
            while (message := json.loads(whole.recv(timeout=_WITHIN_S))).get("id") != 1:
                pass
            page = next(each for each in message["result"]["targetInfos"] if each["type"] == "page")["targetId"]
            with connect(f"ws://127.0.0.1:{port[0]}/devtools/page/{page}", max_size=None, proxy=None) as tab:
                yield Browser(tab)
    finally:
        process.terminate()
        process.wait(_WITHIN_S)
        shutil.rmtree(profile, ignore_errors=True)


def _port(file: Path, process: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """The port it chose and the path of its door, once it has written them."""
    deadline = time.monotonic() + _WITHIN_S
    while True:
        written = re.fullmatch(r"(\d+)\n(/\S+)", file.read_text()) if file.exists() else None
        if written:
            return int(written[1]), written[2]
        assert process.poll() is None, f"chromium ended with {process.returncode}"
        assert time.monotonic() < deadline, "chromium does not open its port"
        time.sleep(0.05)
