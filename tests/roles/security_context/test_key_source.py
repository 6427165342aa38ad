"""Where a service gets the gateway's keys: kept, fetched again, and never a flood."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from roles.errors import ContextUnusable
from roles.security_context.key_source import JwksKeys, StaticKeys
from roles.security_context.keys import TrustedKeys
from tests.builders.contexts import real_signer
from tests.builders.patience import PATIENCE_S

URL = "http://127.0.0.1:1/.well-known/jwks.json"
JWKS = real_signer().public_jwks()
OTHER = real_signer("ES256").public_jwks()


class Publisher:
    """The gateway's side: answers what it is told to, and counts."""

    def __init__(self) -> None:
        self.answer: Callable[[], httpx.Response] = lambda: httpx.Response(200, json=JWKS)
        self.asked = 0
        self.now = 1000.0
        self.takes_s = 0.0
        self.holds: asyncio.Event | None = None
        self.entered = asyncio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, after giving others a turn."""
        assert str(request.url) == URL
        self.asked += 1
        await asyncio.sleep(0)
        if self.holds is not None:
            self.entered.set()
            await self.holds.wait()
        self.now += self.takes_s
        return self.answer()

    def publish(self, jwks: Any) -> None:
        """Publish something from now on."""
        content = jwks if isinstance(jwks, bytes) else json.dumps(jwks).encode()
        self.answer = lambda: httpx.Response(200, content=content)

    def keys(self) -> JwksKeys:
        """A service that asks this publisher."""
        client = httpx.AsyncClient(transport=httpx.MockTransport(self))
        return JwksKeys(URL, client=client, monotonic=lambda: self.now, max_age_s=300, min_interval_s=5)


@pytest.fixture
def publisher() -> Publisher:
    """A publisher of a good key set."""
    return Publisher()


def kid(jwks: dict[str, Any]) -> str:
    """The name of a set's only key."""
    return str(jwks["keys"][0]["kid"])


async def test_keys_are_fetched_once_and_kept(publisher: Publisher) -> None:
    """A request costs no fetch until the set is too old."""
    keys = publisher.keys()
    for _ in range(3):
        assert (await keys.keys()).get(kid(JWKS)) is not None
    assert publisher.asked == 1
    publisher.now += 301
    publisher.publish(OTHER)
    found = await keys.keys()
    assert (publisher.asked, found.get(kid(JWKS)), found.get(kid(OTHER)) is None) == (2, None, False)


async def test_an_unknown_key_is_asked_for_but_not_in_a_flood(publisher: Publisher) -> None:
    """A forged key id costs one fetch in five seconds, however often it comes."""
    keys = publisher.keys()
    await keys.keys()
    for _ in range(10):
        publisher.now += 0.4
        await keys.refreshed()
    assert publisher.asked == 1
    publisher.now += 1.1
    publisher.publish(OTHER)
    for _ in range(10):
        assert (await keys.refreshed()).get(kid(OTHER)) is not None
    assert publisher.asked == 2


async def test_requests_at_once_share_one_fetch(publisher: Publisher) -> None:
    """A service that starts under load asks once, however slow the answer is."""
    publisher.takes_s = 60
    keys = publisher.keys()
    found = await asyncio.gather(*(keys.keys() for _ in range(20)))
    assert publisher.asked == 1
    assert all(each.get(kid(JWKS)) for each in found)


async def test_a_gateway_that_does_not_answer_holds_up_who_asks_and_nobody_else(publisher: Publisher) -> None:
    """There are keys to go on with."""
    keys = publisher.keys()
    await keys.keys()
    publisher.now += 301
    publisher.holds = asyncio.Event()
    first = asyncio.create_task(keys.keys())
    await publisher.entered.wait()
    async with asyncio.timeout(PATIENCE_S):
        assert (await keys.keys()).get(kid(JWKS)) is not None
    publisher.holds.set()
    assert (await first).get(kid(JWKS)) is not None
    assert publisher.asked == 2


async def test_forged_ids_do_not_queue_before_a_gateway_that_does_not_answer(publisher: Publisher) -> None:
    """All wait for one attempt, however long it takes, and none for another's after it."""
    keys = publisher.keys()
    await keys.keys()
    publisher.now += 5
    publisher.takes_s = 30
    publisher.holds = asyncio.Event()
    first = asyncio.create_task(keys.refreshed())
    await publisher.entered.wait()
    publisher.now += 1
    later = [asyncio.create_task(keys.refreshed()) for _ in range(20)]
    await asyncio.sleep(0)
    publisher.holds.set()
    await asyncio.gather(first, *later)
    assert publisher.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.Response(503),
        lambda: httpx.Response(302, headers={"location": "http://127.0.0.1:1/elsewhere"}),
        lambda: httpx.Response(200, content=b"no json"),
        lambda: httpx.Response(200, json={"keys": []}),
        lambda: httpx.Response(200, json={"keys": [{"kty": "oct", "k": "A" * 43}]}),
        lambda: httpx.Response(200, content=json.dumps(OTHER).encode() + b" " * 70_000),
        lambda: (_ for _ in ()).throw(httpx.ConnectError("down")),
        lambda: (_ for _ in ()).throw(httpx.ReadTimeout("slow")),
    ],
)
async def test_a_bad_answer_changes_nothing(publisher: Publisher, answer: Callable[[], httpx.Response]) -> None:
    """The last good set stays; where there was none, there is none."""
    keys = publisher.keys()
    await keys.keys()
    publisher.answer = answer
    publisher.now += 301
    assert (await keys.keys()).get(kid(JWKS)) is not None
    fresh = publisher.keys()
    with pytest.raises(ContextUnusable):
        await fresh.keys()
    publisher.publish(JWKS)
    publisher.now += 5
    assert (await fresh.keys()).get(kid(JWKS)) is not None


async def test_given_keys_stay_as_they_are() -> None:
    """A shared secret has nowhere to be fetched from."""
    given = TrustedKeys.from_jwks(JWKS)
    source = StaticKeys(given)
    assert await source.keys() is given
    assert await source.refreshed() is given
