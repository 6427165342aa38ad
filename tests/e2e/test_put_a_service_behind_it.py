"""The guide, done: its blocks are taken from the page and run, on real processes, from unprotected to protected."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest

from audit.codec import decode
from audit.event import Outcome
from audit.outbox.install import outbox_sql
from audit.spool.folder import peek
from audit.spool.segment import contents, segments
from roles.security_context import on_behalf_of
from roles.security_context.claims import target_hash
from roles.security_context.context import RequestContext
from tests.builders.contexts import make_context, real_signer
from tests.builders.patience import PATIENCE_S
from tests.servers.ports import free_port
from tests.servers.stack import ROOT, Stack, start, stop

PAGE = ROOT / "docs" / "guides" / "put-a-service-behind-it.md"
BLOCK = re.compile(r'^```\w+ title="([^"]+)"\n(.*?)^```$', re.DOTALL | re.MULTILINE)
BIN = Path(sys.executable).parent
WITHIN_S = PATIENCE_S


def blocks() -> dict[str, str]:
    """What the page has the reader write or run, by title."""
    return dict(BLOCK.findall(PAGE.read_text(encoding="utf-8")))


BLOCKS = blocks()


def until(found: Callable[[], Any]) -> Any:
    """Wait for something."""
    deadline = time.monotonic() + WITHIN_S
    while not (answer := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


class Reader:
    """Who follows the page, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.variables = {"SERVICE": f"http://127.0.0.1:{self.port}", "PYTHONPATH": str(ROOT)}

    def write(self, name: str, title: str, *, to: str = "w") -> None:
        """Write a block into a file."""
        with (self.folder / name).open(to, encoding="utf-8") as file:
            file.write(("\n" if to == "a" else "") + self._here(BLOCKS[title]))

    def run(self, title: str, more: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a block, with more words at its end."""
        return subprocess.run(
            ["bash", "-c", self._here(BLOCKS[title]).rstrip() + more],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def environment(self) -> dict[str, str]:
        """Ours, with the programs of this environment first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LYCHGATE_")}
        return {**kept, **self.variables, "PATH": f"{BIN}:{os.environ['PATH']}"}

    @contextmanager
    def serving(self) -> Iterator[None]:
        """The service, as the page starts it."""
        words = shlex.split(self._here(BLOCKS["run it"]))
        with (self.folder / "service.log").open("ab") as log:
            child = subprocess.Popen(words, cwd=self.folder, env=self.environment, stderr=log, stdout=log)
        try:
            until(lambda: self._up(child))
            yield
        except AssertionError:
            sys.stderr.write((self.folder / "service.log").read_text()[-3000:])
            raise
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(PATIENCE_S)

    def _up(self, child: "subprocess.Popen[bytes]") -> bool:
        assert child.poll() is None, (self.folder / "service.log").read_text()
        try:
            return httpx.get(f"{self.variables['SERVICE']}/healthz", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def _here(self, text: str) -> str:
        return text.replace("9010", str(self.port))


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """In a folder with Lychgate's configuration."""
    # Not pytest's tmp_path: that is 0700, and under root PostgreSQL runs as a user who could not enter it.
    home = Path(tempfile.mkdtemp(prefix="lychgate-guide-"))
    home.chmod(0o711)
    for name in ("lychgate.yaml", "routes.toml"):
        shutil.copy(ROOT / name, home / name)
    for name in ("roles", "policies"):
        (home / name).mkdir()
        for file in (ROOT / name).glob("*"):
            if file.suffix in {".toml", ".cedar", ".cedarschema"}:
                shutil.copy(file, home / name / file.name)
    allowed = ROOT / "tests" / "cases" / "mutants_allowed.yaml"
    (home / "tests" / "cases").mkdir(parents=True)
    shutil.copy(allowed, home / "tests" / "cases" / allowed.name)
    try:
        yield Reader(home)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def configured(reader: Reader) -> None:
    """Steps 2 and 3, decided."""
    for name in ("routes.toml", "policies/schema.cedarschema"):
        shutil.copy(ROOT / name, reader.folder / name)
    reader.write("routes.toml", "routes.toml (added)", to="a")
    reader.write("policies/schema.cedarschema", "policies/schema.cedarschema (added)", to="a")
    reader.write("policies/shipping.cedar", "policies/shipping.cedar")
    whole = (ROOT / "lychgate.yaml").read_text(encoding="utf-8")
    added = BLOCKS["lychgate.yaml (under services)"].replace("9010", str(reader.port))
    (reader.folder / "lychgate.yaml").write_text(whole.replace("\nservices:\n", "\nservices:\n" + added))


@contextmanager
def everything(reader: Reader) -> Iterator[Stack]:
    """`lychgate up` with the reader's configuration."""
    config = str(reader.folder / "lychgate.yaml")
    running = start(reader.folder / "state", "--config", config, cwd=reader.folder)
    reader.variables |= {
        "GATEWAY": running.gateway,
        "GATEWAY_OPS": running.ops,
        "SPOOL": str(reader.folder / "state" / "spool"),
        **{role.upper(): running.tokens[role] for role in ("Cashier", "Manager", "Admin")},
    }
    try:
        yield running
    finally:
        assert stop(running) == 0


def coverage(reader: Reader, title: str) -> float:
    """What the page's command says of one of the page's applications, from 0 to 1."""
    reader.write("app.py", title)
    printed = reader.run("coverage")
    told = json.loads(reader.run("coverage", " --json").stdout)
    [service] = told["services"]
    ratio = float(service["ratio"])
    assert (printed.returncode, f"{ratio:.1%}" in printed.stdout) == (0 if ratio == 1 else 1, True), printed.stderr
    return ratio


def unheard(port: int) -> list[bytes]:
    """What the service says around the gateway to a body that is broken, one without an end, and one that is late."""
    lines = []
    for length, sent in ((1, b"{"), (10**12, b"[" * 65536), (10, b"")):
        head = "POST /shipments HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as client, client.makefile("rb") as answer:
            client.sendall((head % length).encode() + sent)
            lines.append(answer.readline().rstrip())
    return lines


def test_a_service_goes_from_unprotected_to_protected(reader: Reader) -> None:
    """Everybody may do everything; then an allow, a refusal by the gateway, one by the service, and the records."""
    reader.write("app.py", "app.py (before)")
    with reader.serving(), httpx.Client(base_url=reader.variables["SERVICE"], trust_env=False) as anybody:
        assert anybody.post("/shipments", json={"order_id": "o-1"}).status_code == 201
        assert anybody.post("/shipments/s-1/cancel").status_code == 200
    configured(reader)
    checked = reader.run("check")
    assert "shipping" not in checked.stdout + checked.stderr, checked.stdout + checked.stderr
    reader.write("app.py", "app.py")
    with everything(reader) as stack, reader.serving():
        assert named(reader, stack) == [reader.variables[each] for each in ("GATEWAY", "SERVICE", "CASHIER", "ADMIN")]
        allowed = until(lambda: answered(reader, "allowed"))
        assert (allowed[0], allowed[2]["id"]) == (201, "s-1")
        refused = answered(reader, "refused by the gateway")
        assert (refused[0], refused[2]["code"], refused[2]["missing_role"]) == (403, "forbidden", "Manager")
        around = answered(reader, "refused by the service")
        assert (around[0], around[2]["code"]) == (401, "unauthenticated")
        assert unheard(reader.port) == [b"HTTP/1.1 401 Unauthorized"] * 3
        manager = {"Authorization": f"Bearer {reader.variables['MANAGER']}"}
        with httpx.Client(base_url=reader.variables["GATEWAY"], headers=manager, trust_env=False) as client:
            with ThreadPoolExecutor(8) as at_once:
                asked = at_once.map(lambda _: client.post("/shipments/s-1/cancel").status_code, range(8))
                assert sorted(asked) == [200] + [409] * 7  # one of them did it
            again = client.post("/shipments/s-1/cancel")
            assert again.status_code == 409
            assert client.get("/shipments").json() == {"s-1": "cancelled"}
        events = until(lambda: recorded(reader, again.headers["x-trace-id"]))
    domain = [event for event in events if event["kind"] == "domain"]
    assert {(event["event_type"], event["outcome"]) for event in domain} == {
        ("shipping.shipment.created", "success"),
        ("shipping.shipment.cancelled", "success"),
        ("shipping.shipment.cancelled", "failure"),
    }
    decisions = {event["event_id"]: event for event in events if event["kind"] == "decision"}
    for event in domain:
        decision = decisions[event["details"]["decision_id"]]
        assert (event["trace_id"], event["actor"]["id"]) == (decision["trace_id"], decision["actor"]["id"])
    [created] = [event for event in domain if event["event_type"].endswith("created")]
    assert (created["resource"], created["details"]["order_id"]) == ({"type": "Shipment", "id": "s-1"}, "o-1001")


def named(reader: Reader, stack: Stack) -> list[str]:
    """What the page's names stand for, on this stack's ports and in its folder."""
    block = BLOCKS["names"].replace("http://127.0.0.1:8080", stack.gateway).replace(".lychgate", str(stack.folder))
    words = f'{block.replace("9010", str(reader.port))}\nprintf "%s\\n" "$GATEWAY" "$SERVICE" "$CASHIER" "$ADMIN"'
    done = subprocess.run(["bash", "-c", words], env={}, capture_output=True, text=True, check=True)
    return done.stdout.split()


def answered(reader: Reader, title: str) -> tuple[int, dict[str, str], Any] | None:
    """The answer to a block's request: status, fields, content; None while there is none."""
    done = reader.run(title)
    assert done.returncode == 0, done.stderr
    head, _, content = done.stdout.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.split("\n")
    status = int(first.split()[1])
    if status in {502, 503}:
        return None
    return status, dict(line.split(": ", 1) for line in lines), json.loads(content)


def recorded(reader: Reader, trace_id: str) -> list[dict[str, Any]] | None:
    """The audit of the service, once the last trace has both its records."""
    found: list[dict[str, Any]] = json.loads(reader.run("the audit").stdout)["data"]
    last = [event for event in found if event["trace_id"] == trace_id]
    return found if {event["kind"] for event in last} == {"domain", "decision"} else None


def test_the_service_goes_from_nothing_to_everything_covered(reader: Reader) -> None:
    """The gate of step 6, over the files as the page has them."""
    assert coverage(reader, "app.py (before)") == 0.0
    assert coverage(reader, "app.py") == 1.0
    assert coverage(reader, "flask_app.py") == 1.0


def test_the_routes_are_imported(reader: Reader) -> None:
    """Step 2: what the service has is found, and what is not decided is closed."""
    reader.write("app.py", "app.py (before)")
    with reader.serving():
        done = reader.run("import")
    assert done.returncode in {0, 1}, done.stderr
    written = (reader.folder / "shipping.toml").read_text()
    for path in ("/shipments", "/shipments/{shipment_id}/cancel"):
        assert f'path = "{path}"' in written


def test_flask_stands_behind_it_too(reader: Reader, tmp_path: Path) -> None:
    """The page's application on a real server with threads; nobody gets in unknown, a refusal is recorded."""
    reader.write("flask_app.py", "flask_app.py")
    script = """
import sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from werkzeug.serving import make_server
class Keys(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(sys.argv[1].encode())
    def log_message(self, *_): pass
keys = ThreadingHTTPServer(("127.0.0.1", 0), Keys)
threading.Thread(target=keys.serve_forever, daemon=True).start()
import os
os.environ["GATEWAY_OPS"] = f"http://127.0.0.1:{keys.server_port}"
import flask_app
server = make_server("127.0.0.1", 0, flask_app.app, threaded=True)
print(server.server_port, flush=True)
import signal
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
server.serve_forever()
"""
    variables = {**reader.environment, "SPOOL": str(tmp_path)}
    jwks = json.dumps(real_signer().public_jwks())
    child = subprocess.Popen(
        [sys.executable, "-c", script, jwks],
        cwd=reader.folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert child.stdout is not None
    try:
        port = int(child.stdout.readline())
        now = int(time.time())
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            assert client.get("/healthz").status_code == 200
            assert client.post("/shipments/s-1/cancel").status_code == 401
            for shipment, status in (("s-1", 200), ("s-2", 404)):
                target = f"/shipments/{shipment}/cancel"
                context = make_context(
                    aud="shipping", iat=now, exp=now + 60, htm="POST", htp=target_hash(target.encode())
                )
                headers = {"X-Security-Context": real_signer().sign(context)}
                assert client.post(target, headers=headers).status_code == status
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(PATIENCE_S)
        child.stdout.close()
    folder = tmp_path / "svc-shipping-0"
    events = [decode(payload) for name in segments(folder) for payload in contents(folder / name.text()).records]
    assert [event.outcome for event in events] == [Outcome.SUCCESS, Outcome.FAILURE]
    view = peek(folder)
    assert view is not None
    assert view.ended  # as it was left: nothing is missing, and nobody has to wait for more
    assert {event.tenant_id for event in events} == {"acme"}


async def test_the_outbox_of_the_page_keeps_record_and_change_together(reader: Reader, database: str) -> None:
    """The SQL as it is printed, installed; the page's function on a real database."""
    found: dict[str, Any] = {}
    exec(compile(BLOCKS["outbox_app.py"], "outbox_app.py", "exec"), found)  # noqa: S102 - the page's own code
    connection = await asyncpg.connect(database)
    role = urlsplit(database).username
    printed = reader.run("the outbox's SQL").stdout
    assert printed == outbox_sql("outbox-shipping", writer="shipping_app", relay="shipping_relay")
    await connection.execute(printed.replace("shipping_app", str(role)).replace("shipping_relay", str(role)))
    await connection.execute("CREATE TABLE shipments (tenant_id text, id text, status text)")
    await connection.execute("INSERT INTO shipments VALUES ('acme', 's-1', 'packed'), ('globex', 's-2', 'packed')")
    context = RequestContext(
        tenant_id="acme", sub="u-1", idp="dev", roles=(), trace_id="0" * 31 + "1", decision_id="d", policy_version="v",
        act=None, token="",
    )  # fmt: skip
    with on_behalf_of(context):
        await found["cancel"](connection, context, "s-1")
        for gone in ("s-1", "s-2"):  # it is cancelled; it is another tenant's
            with pytest.raises(LookupError):
                await found["cancel"](connection, context, gone)
    bodies = [
        json.loads(row["body"]) for row in await connection.fetch("SELECT body FROM audit_outbox ORDER BY event_id")
    ]
    await connection.close()
    assert [body["outcome"] for body in bodies] == ["success", "failure", "failure"]
    assert bodies[0]["details"] == {"decision_id": "d", "shipment": "s-1"}
    assert {body["tenant_id"] for body in bodies} == {"acme"}


def test_every_block_of_the_page_is_run() -> None:
    """Or a reader would be the first to try it. `a relay` is run with a store by `tests/lychgate/commands/audit`."""
    source = Path(__file__).read_text(encoding="utf-8")
    used = source.partition("def test_every_block")[0]
    assert [title for title in BLOCKS if f'"{title}"' not in used] == ["a relay"]
