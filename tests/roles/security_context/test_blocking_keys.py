"""Where a service with threads gets the gateway's keys."""

import json
import threading
from collections.abc import Callable

import httpx
import pytest

from roles.errors import ContextUnusable
from roles.security_context.blocking_keys import BlockingJwksKeys
from tests.builders.contexts import real_signer
from tests.builders.patience import PATIENCE_S

URL = "http://127.0.0.1:1/.well-known/jwks.json"
JWKS = real_signer().public_jwks()


class Publisher:
    """The gateway's side."""

    def __init__(self) -> None:
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(200, json=JWKS)
        self.asked = 0
        self.now = 1000.0
        self.held = threading.Event()
        self.held.set()
        self.arrived = threading.Event()

    def __call__(self, _: httpx.Request) -> httpx.Response:
        """Answer a request, once it may."""
        self.asked += 1
        self.arrived.set()
        assert self.held.wait(PATIENCE_S)
        return self.answer()

    def keys(self) -> BlockingJwksKeys:
        """A service that asks this publisher."""
        return BlockingJwksKeys(
            URL, client=httpx.Client(transport=httpx.MockTransport(self)), monotonic=lambda: self.now
        )


def test_keys_are_kept_and_asked_for_anew_but_not_in_a_flood() -> None:
    """As with a loop: the rules are the same ones."""
    publisher = Publisher()
    keys = publisher.keys()
    for _ in range(3):
        keys.keys()
    assert publisher.asked == 1
    keys.refreshed()
    assert publisher.asked == 1
    publisher.now += 5.1
    keys.refreshed()
    assert publisher.asked == 2
    publisher.now += 301
    keys.keys()
    assert publisher.asked == 3


def test_a_bad_answer_changes_nothing() -> None:
    """The last good set stays; where there was none, there is none."""
    publisher = Publisher()
    publisher.answer = lambda: httpx.Response(503)
    keys = publisher.keys()
    with pytest.raises(ContextUnusable):
        keys.keys()
    publisher.now += 6
    publisher.answer = lambda: httpx.Response(200, json=JWKS)
    good = keys.keys()
    publisher.now += 301
    publisher.answer = lambda: httpx.Response(200, content=json.dumps(JWKS).encode() + b" " * 70_000)
    assert keys.keys() is good


def test_who_has_keys_does_not_wait_for_newer_ones() -> None:
    """A gateway that hangs must not hold every thread of a service up; who has none waits, and shares the fetch."""
    publisher = Publisher()
    keys = publisher.keys()
    good = keys.keys()
    publisher.now += 301
    publisher.held.clear()
    publisher.arrived.clear()
    fetching = threading.Thread(target=keys.keys)
    fetching.start()
    try:
        assert publisher.arrived.wait(PATIENCE_S)
        assert keys.keys() is good
    finally:
        publisher.held.set()
        fetching.join(PATIENCE_S)
    assert publisher.asked == 2
