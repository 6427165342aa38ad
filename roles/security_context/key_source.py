"""Where a service gets the keys it believes: given, or fetched from the gateway. The shell around `keys`.

Used by the extractor only.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

import httpx
import structlog

from roles.errors import ContextUnusable
from roles.security_context.keys import TrustedKeys

_LOG: Final = structlog.get_logger(__name__)

# A set of a few public keys has some hundred bytes.
_JWKS_LIMIT_BYTES: Final = 64 * 1024

MAX_AGE_S: Final = 300.0
MIN_INTERVAL_S: Final = 5.0
"""Between two fetches. A key must be published for longer before it signs: a service may have asked just before."""


class KeySource(Protocol):
    """Says which keys to believe."""

    async def keys(self) -> TrustedKeys:
        """What to believe now.

        Raises:
            ContextUnusable: There are none yet.
        """

    async def refreshed(self) -> TrustedKeys:
        """The same, asked for anew because a key was not among them; may be no newer.

        Raises:
            ContextUnusable: There are none yet.
        """


class StaticKeys:
    """Keys that were given: a secret shared with the gateway, or public keys known beforehand."""

    def __init__(self, keys: TrustedKeys) -> None:
        self._keys = keys

    async def keys(self) -> TrustedKeys:
        """The keys."""
        return self._keys

    async def refreshed(self) -> TrustedKeys:
        """The keys: there are no others."""
        return self._keys


class Shelf:
    """The rules of a set that is kept: how old it may be, and how often it may be asked for.

    Attributes:
        keys: What is kept; None before the first fetch that went well.
    """

    def __init__(self, max_age_s: float, min_interval_s: float) -> None:
        self.keys: TrustedKeys | None = None
        self._max_age_s = max_age_s
        self._min_interval_s = min_interval_s
        self._fetched_at = self._began_at = self._tried_at = float("-inf")

    def stale(self, now: float) -> bool:
        """Whether there is nothing, or it is too old."""
        return self.keys is None or now - self._fetched_at > self._max_age_s

    def begin(self, asked_at: float, now: float) -> bool:
        """Whether to fetch now: not where somebody else has, since it was asked for or a moment ago."""
        if self._tried_at >= asked_at or now - self._tried_at < self._min_interval_s:
            return False
        self._began_at = now
        return True

    def end(self, now: float) -> None:
        """Take that a fetch has ended, well or not: whoever has waited for it does not begin another."""
        self._tried_at = now

    def put(self, jwks: bytes) -> None:
        """Keep what was fetched.

        Raises:
            ContextUnusable: It is no set of public keys; what was there stays.
        """
        self.keys = TrustedKeys.from_jwks(jwks)
        self._fetched_at = self._began_at

    def kept(self) -> TrustedKeys:
        """What is kept.

        Raises:
            ContextUnusable: Nothing yet.
        """
        if self.keys is None:
            raise ContextUnusable("no keys of the gateway yet")
        return self.keys


class Download:
    """A set of public keys as it comes, bounded.

    Args:
        status: Of the answer.
    """

    def __init__(self, status: int) -> None:
        if status != httpx.codes.OK:
            raise ContextUnusable(f"status {status}")
        self._body = bytearray()

    def add(self, chunk: bytes) -> None:
        """Take a piece.

        Raises:
            ContextUnusable: It is more than any set has.
        """
        self._body += chunk
        if len(self._body) > _JWKS_LIMIT_BYTES:
            raise ContextUnusable("too large")

    def whole(self) -> bytes:
        """All of it."""
        return bytes(self._body)


class JwksKeys:
    """Keys fetched from the gateway's `/.well-known/jwks.json`, kept, and fetched again when one is missing.

    A fetch that fails keeps what was there: services outlive a restart of the gateway. Who has keys to go on with does
    not wait for somebody else's fetch.
    """

    def __init__(
        self,
        url: str,
        *,
        client: httpx.AsyncClient | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        max_age_s: float = MAX_AGE_S,
        min_interval_s: float = MIN_INTERVAL_S,
    ) -> None:
        """Fetch nothing yet.

        Args:
            url: Of the key set.
            client: Whose time limits hold; redirects are not followed. None: one for each fetch, of which there is one
                in `max_age_s`.
            monotonic: The clock for ages.
            max_age_s: After this a set is fetched again; a key taken out of it is believed no longer.
            min_interval_s: Between two fetches, whatever is asked: a forged `kid` must not become a flood.
        """
        self._url = url
        self._client = client
        self._monotonic = monotonic
        self._lock = asyncio.Lock()
        self._shelf = Shelf(max_age_s, min_interval_s)

    async def keys(self) -> TrustedKeys:
        """What is kept, fetched first if there is nothing or it is too old."""
        if self._shelf.stale(self._monotonic()):
            await self._fetch(wait=self._shelf.keys is None)
        return self._shelf.kept()

    async def refreshed(self) -> TrustedKeys:
        """What the gateway publishes now, unless it was asked a moment ago."""
        await self._fetch(wait=True)
        return self._shelf.kept()

    async def _fetch(self, *, wait: bool) -> None:
        asked_at = self._monotonic()
        if not wait and self._lock.locked():
            return  # somebody is at it, and there are keys to go on with
        async with self._lock:
            if not self._shelf.begin(asked_at, self._monotonic()):
                return
            try:
                if self._client is not None:
                    self._shelf.put(await self._download(self._client))
                else:
                    async with httpx.AsyncClient(trust_env=False) as client:
                        self._shelf.put(await self._download(client))
            except (httpx.HTTPError, ContextUnusable) as exc:
                not_fetched(self._url, exc)
            finally:
                self._shelf.end(self._monotonic())

    async def _download(self, client: httpx.AsyncClient) -> bytes:
        async with client.stream("GET", self._url, follow_redirects=False) as response:
            download = Download(response.status_code)
            async for chunk in response.aiter_bytes():
                download.add(chunk)
        return download.whole()


def not_fetched(url: str, exc: Exception) -> None:
    """Say so for operators; what was there stays."""
    _LOG.warning("context_keys_not_fetched", url=url, error=type(exc).__name__)
