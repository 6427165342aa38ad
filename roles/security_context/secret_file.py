"""Where a service gets the secrets it shares with the gateway: a file, read again as it changes. Used by the extractor.

The file is the one `context.hs256_key_files` names, or a copy of it. Every key in it is believed whose time is not
over, so the next one is known before the gateway signs with it.
"""

import threading
from collections.abc import Callable
from typing import Final, NamedTuple

import structlog

from roles.errors import ContextUnusable
from roles.security_context.key_ring import KeyRing
from roles.security_context.keys import TrustedKeys

_LOG: Final = structlog.get_logger(__name__)


class _Held(NamedTuple):
    """What was read last, and what of it is believed until when; for ever where that is None."""

    ring: KeyRing
    keys: TrustedKeys
    until: float | None


class BlockingSecretFileKeys:
    """The secrets of a file, kept, and read again when they are old or one is missing. Usable from several threads.

    A file that cannot be read keeps what was there, each key of it as long as its own time says.
    """

    def __init__(
        self,
        read: Callable[[], bytes],
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        max_age_s: float = 5.0,
        min_interval_s: float = 0.5,
    ) -> None:
        """Read it.

        Args:
            read: Gives the file's bytes; raises OSError where it cannot.
            clock: Seconds since the epoch, for the keys' own times.
            monotonic: The clock for ages.
            max_age_s: After this it is read again; a key taken out of it is believed no longer.
            min_interval_s: Between two readings, whatever is asked: a forged `kid` must not become a flood.

        Raises:
            OSError: It cannot be read.
            ContextUnusable: It holds no secret.
        """
        self._read = read
        self._clock = clock
        self._monotonic = monotonic
        self._max_age_s = max_age_s
        self._min_interval_s = min_interval_s
        self._lock = threading.Lock()
        self._tried_at = monotonic()
        self._held = self._at_now(KeyRing.parse(read()))

    def keys(self) -> TrustedKeys:
        """What is kept, read again if it is too old.

        Raises:
            ContextUnusable: The time of every key is over.
        """
        self._read_after(self._max_age_s)
        return self._believed()

    def refreshed(self) -> TrustedKeys:
        """What the file holds now, unless it was read a moment ago.

        Raises:
            ContextUnusable: The time of every key is over.
        """
        self._read_after(self._min_interval_s)
        return self._believed()

    def _read_after(self, age_s: float) -> None:
        """A file of some hundred bytes, at most twice a second: cheap enough for a loop."""
        with self._lock:
            if self._monotonic() - self._tried_at < age_s:
                return
            self._tried_at = self._monotonic()
        try:
            held = self._at_now(KeyRing.parse(self._read()))
            with self._lock:
                self._held = held
        except (OSError, ContextUnusable) as exc:
            _LOG.warning("context_secret_not_read", error=type(exc).__name__)

    def _believed(self) -> TrustedKeys:
        with self._lock:
            if self._held.until is not None and self._clock() >= self._held.until:
                self._held = self._at_now(self._held.ring)
            return self._held.keys

    def _at_now(self, ring: KeyRing) -> _Held:
        turns = ring.at(self._clock())
        keys = TrustedKeys.from_secrets(key.jwk for key in (*turns.next, turns.current, *turns.last))
        return _Held(ring, keys, turns.until)


class SecretFileKeys:
    """As `BlockingSecretFileKeys`, for a loop."""

    def __init__(
        self, read: Callable[[], bytes], *, clock: Callable[[], float], monotonic: Callable[[], float]
    ) -> None:
        """Read it.

        Args:
            read: Gives the file's bytes; raises OSError where it cannot.
            clock: Seconds since the epoch, for the keys' own times.
            monotonic: The clock for ages.

        Raises:
            OSError: It cannot be read.
            ContextUnusable: It holds no secret.
        """
        self._file = BlockingSecretFileKeys(read, clock=clock, monotonic=monotonic)

    async def keys(self) -> TrustedKeys:
        """What is kept, read again if it is too old.

        Raises:
            ContextUnusable: The time of every key is over.
        """
        return self._file.keys()

    async def refreshed(self) -> TrustedKeys:
        """What the file holds now, unless it was read a moment ago.

        Raises:
            ContextUnusable: The time of every key is over.
        """
        return self._file.refreshed()
