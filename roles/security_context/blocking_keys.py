"""The gateway's public keys for services that have threads and no loop. The rules of age and interval are `Shelf`'s.

Used by `wsgi`.
"""

import threading
import time
from collections.abc import Callable
from typing import Protocol

import httpx

from roles.errors import ContextUnusable
from roles.security_context.key_source import MAX_AGE_S, MIN_INTERVAL_S, Download, Shelf, not_fetched
from roles.security_context.keys import TrustedKeys


class BlockingKeySource(Protocol):
    """Says which keys to believe; usable from several threads at once."""

    def keys(self) -> TrustedKeys:
        """What to believe now.

        Raises:
            ContextUnusable: There are none yet.
        """
        ...

    def refreshed(self) -> TrustedKeys:
        """The same, asked for anew because a key was not among them; may be no newer.

        Raises:
            ContextUnusable: There are none yet.
        """
        ...


class BlockingJwksKeys:
    """As `JwksKeys`, for threads: one fetches, and who has keys to go on with does not wait for it.

    Args:
        url: Of the key set.
        client: Whose time limits hold; None: one for each fetch.
        monotonic: The clock for ages.
        max_age_s: After this a set is fetched again.
        min_interval_s: Between two fetches, whatever is asked.
    """

    def __init__(
        self,
        url: str,
        *,
        client: httpx.Client | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        max_age_s: float = MAX_AGE_S,
        min_interval_s: float = MIN_INTERVAL_S,
    ) -> None:
        self._url = url
        self._client = client
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._shelf = Shelf(max_age_s, min_interval_s)

    def keys(self) -> TrustedKeys:
        """What is kept, fetched first if there is nothing or it is too old."""
        if self._shelf.stale(self._monotonic()):
            self._fetch(wait=self._shelf.keys is None)
        return self._shelf.kept()

    def refreshed(self) -> TrustedKeys:
        """What the gateway publishes now, unless it was asked a moment ago."""
        self._fetch(wait=True)
        return self._shelf.kept()

    def _fetch(self, *, wait: bool) -> None:
        asked_at = self._monotonic()
        if not self._lock.acquire(blocking=wait):
            return  # somebody is at it
        try:
            if not self._shelf.begin(asked_at, self._monotonic()):
                return
            try:
                if self._client is not None:
                    self._shelf.put(self._download(self._client))
                else:
                    with httpx.Client(trust_env=False) as client:
                        self._shelf.put(self._download(client))
            except (httpx.HTTPError, ContextUnusable) as exc:
                not_fetched(self._url, exc)
            finally:
                self._shelf.end(self._monotonic())
        finally:
            self._lock.release()

    def _download(self, client: httpx.Client) -> bytes:
        with client.stream("GET", self._url, follow_redirects=False) as response:
            download = Download(response.status_code)
            for chunk in response.iter_bytes():
                download.add(chunk)
        return download.whole()
