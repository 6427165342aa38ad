"""Where what is explained comes from: strictly read, and a token never shown."""

import http.server
import io
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lychgate.errors import ConfigurationError
from lychgate.explanation import source
from tests.builders.questions import real_bundle

TOKEN = "s3cret-token"


def options(**changes: Any) -> Any:
    """With nothing but an action."""
    plain = {"tenant": None, "user": None, "resource": None, "resource_tenant": None, "context": [], "roles": []}
    return source.from_options(real_bundle(), **{"action": "order:read", **plain, **changes})


def test_options_become_a_request() -> None:
    """Values as JSON, others as text; the id as it is or in quotes."""
    assert options(
        action="order:discount",
        roles=["Cashier"],
        tenant="acme",
        user="mia",
        resource='Order::"a::b"',
        resource_tenant="globex",
        context=["percent=7", "note=x=y", "code=007"],
    ) == {
        "action": "order:discount",
        "roles": ["Cashier"],
        "principal": {"tenant": "acme", "sub": "mia"},
        "resource": {"tenant": "globex", "type": "Order", "id": "a::b"},
        "context": {"percent": 7, "note": "x=y", "code": "007"},
    }
    assert options(resource="Order::o-1")["resource"] == {"type": "Order", "id": "o-1"}
    assert options()["resource"] == {}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"resource": "Payment::1"}, "--resource: `Payment::1` is none of Order::ID"),
        ({"resource": "o-1"}, "--resource: `o-1` is none of Order::ID"),
        ({"context": ["percent"]}, "--context: `percent` is not NAME=VALUE"),
        ({"context": ["=1"]}, "--context: `=1` is not NAME=VALUE"),
        ({"action": "order:fly", "resource": "Order::1"}, "the schema declares no action `order:fly`"),
    ],
)
def test_words_that_cannot_be_understood(changes: dict[str, Any], reason: str) -> None:
    """Which, and what there is instead."""
    with pytest.raises(ConfigurationError, match=reason):
        options(**changes)


def test_a_file_is_read_strictly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One JSON value, bounded, from a file or from standard input."""
    file = tmp_path / "request.json"
    file.write_text('{"action": "order:read"}')
    assert source.from_file(file) == {"action": "order:read"}
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"[1]")))
    assert source.from_file(Path("-")) == [1]
    for text, reason in (
        ('{"a": 1, "a": 2}', "a member twice"),
        ("{} {}", "not strict JSON"),
        ("[" * 100 + "]" * 100, "too deep"),
        (" " * (source.MAX_BYTES + 1), "more than 1048576 bytes"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigurationError, match=reason):
            source.from_file(file)
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        source.from_file(tmp_path / "nowhere")


class _Audit(http.server.BaseHTTPRequestHandler):
    """Answers as the audit does."""

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            self._answer(401, b'{"code": "token_invalid", "missing_role": null, "trace_id": "t"}')
        elif self.path == "/audit/events/e-1":
            self._answer(200, b'{"event_id": "e-1"}')
        elif self.path == "/audit/events/odd":
            self._answer(200, b"<html>")
        else:
            self._answer(404, json.dumps({"code": self.path}).encode())

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Nothing."""


@pytest.fixture
def audit() -> Iterator[str]:
    """A server on this machine; its URL."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Audit) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_an_event_is_fetched_with_a_token_from_a_file(audit: str, tmp_path: Path) -> None:
    """And nothing of it is told when that fails."""
    token = tmp_path / "token"
    token.write_text(f"{TOKEN}\n")
    assert source.from_audit("e-1", audit, token) == {"event_id": "e-1"}
    for event_id, reason in (
        ("e-2", "the audit does not show e-2: 404 $"),
        ("../../x?y", r"the audit does not show ../../x\?y: 404"),
        ("odd", "what the audit answered is no event: not strict JSON"),
    ):
        with pytest.raises(ConfigurationError, match=reason) as told:
            source.from_audit(event_id, audit, token)
        assert TOKEN not in str(told.value)
    token.write_text("other")
    with pytest.raises(ConfigurationError, match="the audit does not show e-1: 401 token_invalid"):
        source.from_audit("e-1", audit, token)


def test_an_audit_that_cannot_be_asked_says_so(tmp_path: Path) -> None:
    """No server, no URL, no token, a token that is none."""
    token = tmp_path / "token"
    with pytest.raises(ConfigurationError, match="token: cannot be read: FileNotFoundError"):
        source.from_audit("e-1", "http://127.0.0.1:1", token)
    token.write_text(TOKEN)
    for url in ("http://127.0.0.1:1", "nonsense", "http://[", "file:///etc/passwd"):
        with pytest.raises(ConfigurationError, match="the audit cannot be asked"):
            source.from_audit("e-1", url, token)
    token.write_text("two\nlines")
    with pytest.raises(ConfigurationError, match="the audit cannot be asked") as told:
        source.from_audit("e-1", "http://127.0.0.1:1", token)
    assert "lines" not in str(told.value)
