"""Tests of `audit.kafka.health`."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, Counter

from audit.kafka.health import Health, Pulse
from tests.builders.patience import PATIENCE_S


@pytest.fixture
def told() -> Iterator[tuple[Health, list[str]]]:
    """A port, and what it is told is wrong."""
    registry = CollectorRegistry()
    Counter("audit_sheep", "Counted.", registry=registry)
    wrong: list[str] = []
    made = Health(0, registry, lambda: wrong[0] if wrong else None)
    yield made, wrong
    made.close()


def ask(health: Health, path: str) -> tuple[int, bytes]:
    """Status and body."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health.port}{path}", timeout=PATIENCE_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read()


def test_ready_or_the_reason(told: tuple[Health, list[str]]) -> None:
    """200 when nothing is wrong, 503 with the reason when something is; alive in any case."""
    health, wrong = told
    assert ask(health, "/readyz") == (200, b'{"ready": true}')
    wrong.append("the store does not answer")
    status, body = ask(health, "/readyz")
    assert (status, json.loads(body)) == (503, {"ready": False, "reason": "the store does not answer"})
    assert ask(health, "/healthz")[0] == 200


@pytest.mark.parametrize("path", ["/internal/metrics", "/metrics", "/internal/metrics?name[]=x"])
def test_metrics(told: tuple[Health, list[str]], path: str) -> None:
    """Where the gateway has them, and where Prometheus looks by itself."""
    status, body = ask(told[0], path)
    assert status == 200
    assert b"audit_sheep_total 0.0" in body


def test_nothing_else_is_there(told: tuple[Health, list[str]]) -> None:
    """No other path."""
    assert ask(told[0], "/")[0] == 404


def test_a_taken_port_is_an_error(told: tuple[Health, list[str]]) -> None:
    """And not a consumer that nobody can ask."""
    with pytest.raises(OSError, match="in use"):
        Health(told[0].port, CollectorRegistry(), lambda: None)


def test_each_part_has_to_move() -> None:
    """The first that does not is named; before anything has moved nothing is ready."""
    now = [0.0]
    pulse = Pulse(15.0, lambda: now[0])
    assert pulse.problem() == "the broker does not answer"
    pulse.beat("broker")
    assert pulse.problem() == "the store does not answer"
    pulse.beat("store")
    assert pulse.problem() == "the consumer does not get on"
    pulse.beat("loop")
    assert pulse.problem() is None
    now[0] = 15.1
    pulse.beat("broker")
    pulse.beat("store")
    assert pulse.problem() == "the consumer does not get on"
