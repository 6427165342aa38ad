"""`lychgate up` from the outside: what it gives, and that nothing of it stays."""

import os
import signal
import socket
import time

import httpx
import pytest

from tests.builders.patience import PATIENCE_S
from tests.servers.up import ROOT, Up, launch, running, state_folder

pytestmark = pytest.mark.timeout(240)


def _pids(up: Up, word: str) -> list[int]:
    return [pid for pid, command in up.family().items() if word in command]


def _until(condition: object, within_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + within_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


def test_a_run_from_start_to_stop() -> None:
    """Ready with a token per role; a second run is refused; what dies comes back; SIGTERM leaves nothing."""
    with state_folder() as state, running(state) as up:
        assert set(up.facts) == {"urls", "tenant", "tokens"}
        assert up.facts["tenant"] == "acme"
        assert httpx.get(f"{up.ops}/readyz", timeout=PATIENCE_S).status_code == 200
        assert httpx.get(f"{up.gateway}/orders", headers=up.bearer("Cashier"), timeout=PATIENCE_S).status_code == 200
        refused = httpx.post(
            f"{up.gateway}/payments/intents/pi-1001/refunds",
            json={"amount": 1000},
            headers=up.bearer("Cashier"),
            timeout=PATIENCE_S,
        )
        assert refused.status_code == 403
        assert refused.json()["missing_role"] == "Manager"
        assert (state / "keys" / "audit-seal.pem").stat().st_mode & 0o777 == 0o600
        _until((state / "integrity" / "checkpoints.jsonl").exists)  # weeks before the first start are sealed at once

        second = launch(state)
        assert second.await_refusal() == 2
        assert f"another `lychgate up` (pid {up.process.pid})" in second.said()

        (query,) = _pids(up, "lychgate query")
        os.kill(query, signal.SIGKILL)
        _until(lambda: "query was killed by SIGKILL" in up.said())
        _until(lambda: _answers(f"{up.query}/readyz"))
        assert _pids(up, "lychgate query") != [query]

        assert up.end(signal.SIGTERM) == 0
        assert up.family() == {}


def test_a_killed_run_leaves_nothing_and_the_next_one_heals() -> None:
    """After SIGKILL everything goes by itself within seconds; the next run comes up on the same data."""
    with state_folder() as state:
        with running(state) as up:
            assert _pids(up, "gateway.worker")
            assert _pids(up, "postgres -D")
            up.process.kill()
            up.process.wait()
            assert up.await_nobody(PATIENCE_S) == {}
        with running(state) as up:
            orders = httpx.get(f"{up.gateway}/orders", headers=up.bearer("Cashier"), timeout=PATIENCE_S)
            assert orders.status_code == 200
            assert "set aside" not in up.said().replace("lock file is set aside", "")
            assert up.end(signal.SIGINT) == 0
            assert up.family() == {}


def test_a_busy_port_is_named_with_its_holder() -> None:
    """The message names the port, what wanted it and who has it; nothing was started."""
    with state_folder() as state, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        up = launch(state, "--log-format", "json", LYCHGATE_OPS__PORT=str(port), LYCHGATE_GATEWAY__PORT="0")
        assert up.await_refusal() == 2
        said = up.said()
        assert f"port {port} (operations) is already in use" in said
        assert f"pid {os.getpid()}" in said
        assert not (state / "postgres").exists()


def test_a_broken_policy_stops_the_start_with_its_place(tmp_path_factory: pytest.TempPathFactory) -> None:
    """`up` says file and line of a policy error, in the words of `lychgate policy check`, and exits 2."""
    folder = tmp_path_factory.mktemp("policies")
    for file in (ROOT / "policies").iterdir():
        if file.suffix in {".cedar", ".cedarschema"}:
            (folder / file.name).write_text(file.read_text())
    broken = folder / "order.cedar"
    broken.write_text(broken.read_text() + '\n@id("broken")\n@reason("x")\npermit (principal, action, resorce);\n')
    with state_folder() as state:
        up = launch(state, LYCHGATE_POLICIES__FOLDER=str(folder))
        assert up.await_refusal() == 2
        assert "order.cedar:" in up.said()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).is_success
    except httpx.HTTPError:
        return False
