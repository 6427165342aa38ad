"""The queue before a collector."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client import CollectorRegistry

from gateway.control import Told
from gateway.telemetry.exporter import Exporter
from gateway.telemetry.metrics import TelemetryMetrics
from gateway.telemetry.spans import SpanMaker
from gateway.telemetry_settings import TelemetrySettings
from tests.builders.patience import PATIENCE_S
from tests.gateway.telemetry.test_spans import told


class Collector(ThreadingHTTPServer):
    """Answers with a status, once it is let."""

    status = 200
    let = threading.Event()
    asked: list[str]
    endless = False
    sent = 0


class Handler(BaseHTTPRequestHandler):
    """Of each batch."""

    def do_POST(self) -> None:
        """Read it, wait, answer."""
        self.rfile.read(int(self.headers["content-length"]))
        server = self.server
        assert isinstance(server, Collector)
        server.let.wait(5)
        server.asked.append(self.path)
        self.send_response(server.status)
        if server.status == 307:
            self.send_header("location", "/elsewhere")
        if not server.endless:
            self.send_header("content-length", "0")
        self.end_headers()
        with contextlib.suppress(OSError):
            while server.endless:
                server.sent += self.wfile.write(bytes(1 << 16))

    def log_message(self, *_: object) -> None:
        """Not on the test's output."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One on a free port."""
    with Collector(("127.0.0.1", 0), Handler) as server:
        server.let = threading.Event()
        server.asked = []
        server.let.set()
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.let.set()
        server.shutdown()


class Sending:
    """An exporter, and what it counts."""

    def __init__(self, collector: Collector, **settings: object) -> None:
        self.registry = CollectorRegistry()
        given = {"endpoint": f"http://127.0.0.1:{collector.server_address[1]}/", "timeout_s": 1, **settings}
        maker = SpanMaker("front", "1", "n")
        self.exporter = Exporter(TelemetrySettings(**given), maker, TelemetryMetrics(self.registry), {})  # type: ignore[arg-type]

    def count(self, name: str, **labels: str) -> float:
        """A metric."""
        return self.registry.get_sample_value(f"lychgate_spans_{name}", labels) or 0.0

    def until(self, name: str, value: float, **labels: str) -> None:
        """Wait until a metric has a value."""
        deadline = time.monotonic() + PATIENCE_S
        while self.count(name, **labels) != value:
            assert time.monotonic() < deadline, (name, self.count(name, **labels))
            time.sleep(0.01)


def test_what_is_told_is_sent(collector: Collector) -> None:
    """Within a second, or when it is closed; what a worker dropped is counted."""
    sending = Sending(collector)
    sending.exporter.take(Told((told(), told()), 4))
    assert sending.count("dropped_total", reason="worker") == 4
    sending.until("exported_total", 6)
    sending.exporter.take(Told((told(),), 0))
    sending.exporter.close()
    assert sending.count("exported_total") == 9
    assert sending.count("waiting") == 0


@pytest.mark.parametrize("status", [400, 401, 413])
def test_what_is_refused_is_counted_and_said_once(
    collector: Collector, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """When it begins, and when it ends; the library's own words are not in the log."""
    collector.status = status
    sending = Sending(collector)
    for batch in (1, 2):
        sending.exporter.take(Told((told(),), 0))
        sending.until("dropped_total", 3 * batch, reason="collector")
    collector.status = 200
    sending.exporter.take(Told((told(),), 0))
    sending.until("exported_total", 3)
    sending.exporter.close()
    said = "".join(capfd.readouterr())
    assert (said.count("spans_not_taken"), said.count("spans_taken_again")) == (1, 1)
    assert "Failed to export" not in said


def test_a_collector_that_sends_elsewhere_has_taken_nothing(collector: Collector) -> None:
    """Nobody follows it there, with the fields that are meant for it; and nothing counts as sent."""
    collector.status = 307
    sending = Sending(collector)
    sending.exporter.take(Told((told(),), 0))
    sending.until("dropped_total", 3, reason="collector")
    sending.exporter.close()
    assert sending.count("exported_total") == 0
    assert set(collector.asked) == {"/"}


def test_an_answer_without_end_is_not_read(collector: Collector) -> None:
    """The spans were taken; what else the collector says does not fill the supervisor's memory."""
    collector.endless = True
    sending = Sending(collector)
    sending.exporter.take(Told((told(),), 0))
    sending.until("exported_total", 3)
    sending.exporter.close()
    assert collector.sent < 64 << 20


def test_nothing_waits_for_a_collector_that_hangs(collector: Collector) -> None:
    """The queue is bounded, taking is quick, and closing ends within one batch's time."""
    collector.let.clear()
    sending = Sending(collector, queue_spans=50, timeout_s=2)
    began = time.monotonic()
    for _ in range(100):
        sending.exporter.take(Told((told(),), 0))
    assert time.monotonic() - began < 1.9, "not as long as one answer is waited for"
    assert sending.count("waiting") <= 50
    assert sending.count("dropped_total", reason="queue") > 0
    sending.exporter.close()
    assert time.monotonic() - began < 8
    dropped = sum(sending.count("dropped_total", reason=reason) for reason in ("queue", "collector"))
    assert dropped == 300
    collector.let.set()
    sending.exporter._thread.join(5)
    assert not sending.exporter._thread.is_alive()
    after = sum(sending.count("dropped_total", reason=reason) for reason in ("queue", "collector"))
    assert after + sending.count("exported_total") == 300  # counted once
