"""When an issuer's keys are fetched next, and what becomes of what came: the core of `keys`.

Pure: times are arguments, effects are return values.
"""

from dataclasses import dataclass

from gateway.identify.keyset import KeySet, read_key_set
from gateway.sources import IssuerKeys

# An issuer that starts together with the gateway, as in `lychgate up`, is asked again at once; one that is down for an
# hour is not hammered.
_FIRST_RETRY_S = 0.25
_LAST_RETRY_S = 30.0


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """How an issuer's keys stand, for readiness, `/internal/status` and logs.

    Attributes:
        issuer: Its configured name.
        key_count: Keys that can be used.
        confirmed_at: Seconds since the epoch when the set was last fetched and found good; 0 for never.
        problem: Why the last attempt failed; empty when it did not.
        ignored: What in the set is not used, `<kid>: <reason>`.
    """

    issuer: str
    key_count: int
    confirmed_at: float
    problem: str
    ignored: tuple[str, ...]


class Feed:
    """One issuer's keys over time: the last good set, and when to ask again.

    Attributes:
        issuer: Its configured name.
        keys: The last good set as published; None before the first.
    """

    def __init__(self, issuer: str, *, refresh_s: float, unknown_kid_interval_s: float) -> None:
        """Start without keys and due at once.

        Args:
            issuer: Its configured name.
            refresh_s: How long a good set is taken as it is.
            unknown_kid_interval_s: The least time between two attempts that tokens with unknown keys can bring about.
        """
        self.issuer = issuer
        self.keys: IssuerKeys | None = None
        self._refresh_s = refresh_s
        self._interval_s = unknown_kid_interval_s
        self._key_set = KeySet((), ())
        self._confirmed_at = 0.0
        self._problem = ""
        self._failures = 0
        self._failing_since: float | None = None
        self._attempted: float | None = None
        self._wanted = False

    def want(self) -> None:
        """A token names a key that is not in the set. Many such wishes are one."""
        self._wanted = True

    def wait_s(self, now: float, jitter: float) -> float:
        """How long until the next attempt.

        Args:
            now: Monotonic seconds.
            jitter: A factor near 1, so that a fleet does not ask in step.
        """
        if self._attempted is None:
            return 0.0
        pause = self._refresh_s * jitter
        if self._failures:
            pause = min(pause, _LAST_RETRY_S, _FIRST_RETRY_S * 2.0 ** min(self._failures - 1, 30))
        if self._wanted:
            pause = min(pause, self._interval_s)
        return max(0.0, self._attempted + pause - now)

    def failing_s(self, now: float) -> float:
        """Seconds since the first attempt of a row of failures; 0 where the last one went well."""
        return 0.0 if self._failing_since is None else max(0.0, now - self._failing_since)

    def attempt(self, now: float) -> None:
        """Note that keys are being asked for; it answers every wish up to here."""
        self._attempted = now
        self._wanted = False

    def fail(self, problem: str) -> bool:
        """Note a failure; the last good set stays, however old. Returns whether this is news."""
        news = problem != self._problem
        self._failures += 1
        if self._failing_since is None:
            self._failing_since = self._attempted
        self._problem = problem
        return news

    def take(self, jwks: str, at: float) -> IssuerKeys | None:
        """Judge what was published.

        Args:
            jwks: The text.
            at: Seconds since the epoch.

        Returns:
            The keys, if they are others than before; order and white space are no change.

        Raises:
            KeySetRefused: Nothing of it may be used; the last good set stays.
        """
        key_set = read_key_set(jwks, self.issuer)
        changed = self.keys is None or _essence(key_set) != _essence(self._key_set)
        self._key_set = key_set
        self._confirmed_at = at
        self._problem = ""
        self._failures = 0
        self._failing_since = None
        if not changed:
            return None
        self.keys = IssuerKeys(self.issuer, jwks)
        return self.keys

    @property
    def status(self) -> KeyStatus:
        """How it stands."""
        ignored = tuple(f"{finding.kid}: {finding.reason}" for finding in self._key_set.findings)
        return KeyStatus(self.issuer, len(self._key_set.keys), self._confirmed_at, self._problem, ignored)


def _essence(key_set: KeySet) -> frozenset[tuple[str | None, str, frozenset[str]]]:
    return frozenset((key.kid, key.ref, frozenset(key.verifiers)) for key in key_set.keys)
