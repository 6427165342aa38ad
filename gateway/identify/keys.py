"""Shell: fetches what issuers publish and tells the supervisor when it changed. Never imported by a worker.

Every set is read by the same code as in the workers before it is handed on, so a worker is only ever sent keys it can
use. What fails leaves the last good set in place, however old: an issuer that is down must not lock its users out, and
`status` says how old the set is.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import structlog

from gateway.identify.feed import Feed, KeyStatus
from gateway.identify.keyset import KeySetRefused
from gateway.sources import IssuerKeys

# Entra's set, the largest in common use, has 13 KiB with its certificate chains.
MAX_JWKS_BYTES = 256 * 1024
# The whole exchange, so that a server which drips a byte a second does not hold a feed.
FETCH_TIMEOUT_S = 5.0
_OK = 200
_RANDOM = random.SystemRandom()

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class KeyPlace:
    """Where one issuer's keys are; either `url` or `file`.

    Attributes:
        issuer: The issuer's configured name.
        url: Its JWKS endpoint.
        file: A file with its JWKS.
        refresh_s: How often to look.
        unknown_kid_interval_s: At most one look in this time for keys that tokens name and the set has not.
    """

    issuer: str
    url: str | None = None
    file: Path | None = None
    refresh_s: float = 300.0
    unknown_kid_interval_s: float = 5.0


class FetchFailed(Exception):
    """The keys could not be had; the message is a fixed sentence."""


class KeyFetcher:
    """Keeps every issuer's keys fresh.

    Use as `async with KeyFetcher(...) as fetcher`, then `run` in a task of the supervisor.
    """

    def __init__(
        self,
        places: Sequence[KeyPlace],
        on_change: Callable[[IssuerKeys], Awaitable[None]],
        clock: Callable[[], float],
        fetch_timeout_s: float = FETCH_TIMEOUT_S,
    ) -> None:
        """Prepare; nothing is fetched yet.

        Args:
            places: One an issuer.
            on_change: Told each time an issuer has other keys than before, the first time included, and waited for.
            clock: Seconds since the epoch.
            fetch_timeout_s: For one whole attempt.
        """
        self._places = tuple(places)
        self._feeds = {
            place.issuer: Feed(
                place.issuer, refresh_s=place.refresh_s, unknown_kid_interval_s=place.unknown_kid_interval_s
            )
            for place in places
        }
        self._woken = {place.issuer: asyncio.Event() for place in places}
        self._on_change = on_change
        self._clock = clock
        self._fetch_timeout_s = fetch_timeout_s
        # Redirects off: the configured address is the trust anchor. The environment's proxies and certificate
        # variables are not read: only settings read the environment.
        self._client = httpx.AsyncClient(
            follow_redirects=False,
            trust_env=False,
            timeout=fetch_timeout_s,
            headers={"accept": "application/jwk-set+json, application/json", "accept-encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @property
    def keys(self) -> tuple[IssuerKeys, ...]:
        """The last good set of each issuer that has one: what goes into `Sources`."""
        return tuple(feed.keys for feed in self._feeds.values() if feed.keys is not None)

    @property
    def waiting_for(self) -> tuple[str, ...]:
        """Issuers whose keys were never had; readiness waits for them."""
        return tuple(feed.issuer for feed in self._feeds.values() if feed.keys is None)

    @property
    def status(self) -> tuple[KeyStatus, ...]:
        """How each issuer stands."""
        return tuple(feed.status for feed in self._feeds.values())

    @property
    def failing_s(self) -> dict[str, float]:
        """For how long each issuer's keys could not be had; 0 where the last attempt went well."""
        now = asyncio.get_running_loop().time()
        return {feed.issuer: feed.failing_s(now) for feed in self._feeds.values()}

    def kid_unknown(self, issuer: str) -> None:
        """A worker saw a token of this issuer whose key it does not have.

        Never blocks. However many tokens ask, there is one fetch in `unknown_kid_interval_s`; an issuer that is not
        configured is no error, since a worker may run on older sources for a moment.
        """
        if issuer in self._feeds:
            self._feeds[issuer].want()
            self._woken[issuer].set()

    async def run(self) -> None:
        """Fetch, wait, fetch, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for place in self._places:
                group.create_task(self._keep_fresh(place), name=f"keys of {place.issuer}")

    async def _keep_fresh(self, place: KeyPlace) -> None:
        feed, woken = self._feeds[place.issuer], self._woken[place.issuer]
        loop = asyncio.get_running_loop()
        while True:
            jitter = _RANDOM.uniform(0.9, 1.1)
            while (pause := feed.wait_s(loop.time(), jitter)) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await woken.wait()
                woken.clear()
            feed.attempt(loop.time())
            await self._look(place, feed)

    async def _look(self, place: KeyPlace, feed: Feed) -> None:
        try:
            changed = feed.take(await self._fetch(place), self._clock())
        except (FetchFailed, KeySetRefused) as exc:
            if feed.fail(str(exc)):
                _log.warning("issuer_keys_failed", issuer=place.issuer, reason=str(exc), kept=feed.status.key_count)
            return
        if changed is not None:
            status = feed.status
            _log.info("issuer_keys_changed", issuer=place.issuer, keys=status.key_count, ignored=status.ignored)
            await self._on_change(changed)

    async def _fetch(self, place: KeyPlace) -> str:
        try:
            async with asyncio.timeout(self._fetch_timeout_s):
                if place.url is not None:
                    raw = await self._from_url(place.url)
                else:
                    raw = await asyncio.to_thread(_from_file, place.file)
            return raw.decode()
        except TimeoutError as exc:
            raise FetchFailed("no whole answer in time") from exc
        except (httpx.HTTPError, httpx.InvalidURL) as exc:
            raise FetchFailed(f"cannot be reached ({type(exc).__name__})") from exc
        except OSError as exc:
            raise FetchFailed(f"cannot be read ({exc.strerror})") from exc
        except UnicodeDecodeError as exc:
            raise FetchFailed("not UTF-8") from exc

    async def _from_url(self, url: str) -> bytes:
        async with self._client.stream("GET", url) as response:
            if response.status_code != _OK:
                raise FetchFailed(f"answered with status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                # asked for without; taking it would let a small answer grow without bound
                raise FetchFailed("answered with a content coding")
            raw = bytearray()
            async for chunk in response.aiter_raw():
                raw += chunk
                if len(raw) > MAX_JWKS_BYTES:
                    raise FetchFailed(f"larger than {MAX_JWKS_BYTES} bytes")
        return bytes(raw)


def _from_file(path: Path | None) -> bytes:
    if path is None:
        raise FetchFailed("no place is configured")
    with path.open("rb") as stream:
        raw = stream.read(MAX_JWKS_BYTES + 1)
    if len(raw) > MAX_JWKS_BYTES:
        raise FetchFailed(f"larger than {MAX_JWKS_BYTES} bytes")
    return raw
