"""Where a service gets the keys it believes: given, or fetched from the gateway. The shell around `keys`.

Used by the extractor only.
"""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

import httpx
import structlog

from roles.errors import ContextUnusable
from roles.security_context.keys import TrustedKeys

_LOG: Final = structlog.get_logger(__name__)

# A set of a few public keys has some hundred bytes.
_JWKS_LIMIT_BYTES: Final = 64 * 1024

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


class JwksKeys:
    """Keys fetched from the gateway's `/.well-known/jwks.json`, kept, and fetched again when one is missing.

    A fetch that fails keeps what was there: services outlive a restart of the gateway.
    """

    def __init__(
        self,
        url: str,
        *,
        client: httpx.AsyncClient,
        monotonic: Callable[[], float],
        max_age_s: float = 300.0,
        min_interval_s: float = MIN_INTERVAL_S,
    ) -> None:
        """Fetch nothing yet.

        Args:
            url: Of the key set.
            client: Whose time limits hold; redirects are not followed.
            monotonic: The clock for ages.
            max_age_s: After this a set is fetched again; a key taken out of it is believed no longer.
            min_interval_s: Between two fetches, whatever is asked: a forged `kid` must not become a flood.
        """
        self._url = url
        self._client = client
        self._monotonic = monotonic
        self._max_age_s = max_age_s
        self._min_interval_s = min_interval_s
        self._lock = asyncio.Lock()
        self._keys: TrustedKeys | None = None
        self._fetched_at = self._tried_at = float("-inf")

    async def keys(self) -> TrustedKeys:
        """What is kept, fetched first if there is nothing or it is too old."""
        if self._keys is None or self._monotonic() - self._fetched_at > self._max_age_s:
            await self._fetch()
        return self._kept()

    async def refreshed(self) -> TrustedKeys:
        """What the gateway publishes now, unless it was asked a moment ago."""
        await self._fetch()
        return self._kept()

    def _kept(self) -> TrustedKeys:
        if self._keys is None:
            raise ContextUnusable("no keys of the gateway yet")
        return self._keys

    async def _fetch(self) -> None:
        asked_at = self._monotonic()
        async with self._lock:
            if self._tried_at >= asked_at or self._monotonic() - self._tried_at < self._min_interval_s:
                return  # somebody else has, meanwhile or a moment ago
            self._tried_at = self._monotonic()
            try:
                self._keys = TrustedKeys.from_jwks(await self._download())
                self._fetched_at = self._tried_at
            except (httpx.HTTPError, ContextUnusable) as exc:
                _LOG.warning("context_keys_not_fetched", url=self._url, error=type(exc).__name__)

    async def _download(self) -> bytes:
        body = bytearray()
        async with self._client.stream("GET", self._url, follow_redirects=False) as response:
            if response.status_code != httpx.codes.OK:
                raise ContextUnusable(f"status {response.status_code}")
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _JWKS_LIMIT_BYTES:
                    raise ContextUnusable("too large")
        return bytes(body)
