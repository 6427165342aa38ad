"""The keys security contexts are signed with: read from their files, each in its time.

A file holds one key, or several of which each says when its time is (`roles.security_context.key_ring`). What is read
is kept: when a key's time comes it is taken even if the file cannot be read just then.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from audit.private_file import read_private
from gateway.settings import ContextSettings
from gateway.sources import ContextSource
from gateway.supervisor.errors import StartRefused
from roles.errors import ContextUnusable
from roles.security_context.key_ring import HeldKey, KeyRing, Turns, public_halves
from roles.security_context.keys import new_private_jwk

_FOLDER_MODE: Final = 0o700
_SHORTEST_S: Final = 0.01

_log = structlog.get_logger(__name__)


class ContextKeys:
    """The files of the section `context`.

    Args:
        settings: Says which.

    Attributes:
        problem: Why the files cannot be read now; None when they could the last time.
        standing: How many keys are `next`, `current` and `last`, over all files, as `source` said last.
        since: When the oldest key that signs began to, seconds since the epoch, as `source` said last.
        end: When the first file will have no key that signs; None for never.
    """

    def __init__(self, settings: ContextSettings) -> None:
        self.problem: str | None = None
        self.standing: dict[str, int] = {}
        self.since = 0.0
        self.end: float | None = None
        self._settings = settings
        self._rings: dict[str, KeyRing] = {}
        self._until: int | None = None
        self._looked = 0.0

    def source(self, now: float, *, anew: bool = True) -> ContextSource:
        """Read the files, and say how contexts are signed at a moment; the first time, a key pair is made if need be.

        Later a file that is gone is one that cannot be read: somebody may be about to put another in its place, and a
        key made meanwhile would be one that no other gateway has.

        Args:
            now: Seconds since the epoch.
            anew: Whether files that cannot be used are an error; if not, what they held before counts.

        Raises:
            StartRefused: A file cannot be read, made or used, or no key in it signs now.
        """
        self._looked = now
        try:
            rings = {name: _ring(file) for name, file in self._files().items()}
            turns = self._turns(rings, now)
            self._rings, self.problem = rings, None
        except StartRefused as exc:
            if anew or not self._rings:
                raise
            self.problem = str(exc)
            turns = self._turns(self._rings, now)
        self._until = min((found.until for found in turns.values() if found.until is not None), default=None)
        self.standing = {
            "next": sum(len(found.next) for found in turns.values()),
            "current": len(turns),
            "last": sum(len(found.last) for found in turns.values()),
        }
        self.since = min(_began(found.current, self._files()[name]) for name, found in turns.items())
        self.end = min((end for found in turns.values() if (end := _end(found)) is not None), default=None)
        return self._source(turns)

    def wait_s(self, now: float) -> float:
        """How long until the files are to be looked at again, or a key's time comes or ends."""
        poll_s = self._settings.poll_s
        if self._until is None or self._until <= self._looked:  # looked at when it came, and it could not be used
            return poll_s
        return max(_SHORTEST_S, min(poll_s, self._until - now))

    def _files(self) -> Mapping[str, Path]:
        """Service name to its file; `*` for all."""
        settings = self._settings
        if settings.alg == "HS256":
            if not settings.hs256_key_files:
                raise StartRefused("context.alg is HS256, and context.hs256_key_files names no key")
            return settings.hs256_key_files
        if not self._rings:
            try:
                _make_key(settings.key_file, settings.alg)
            except OSError as exc:
                raise StartRefused(f"{settings.key_file}: cannot be made: {exc.strerror}") from exc
        return {"*": settings.key_file}

    def _turns(self, rings: Mapping[str, KeyRing], now: float) -> dict[str, Turns]:
        found = {}
        for name, ring in rings.items():
            try:
                found[name] = ring.signing_at(now, self._settings.alg)
            except ContextUnusable as exc:
                raise StartRefused(f"{self._files()[name]}: {exc}") from exc
        return found

    def _source(self, turns: Mapping[str, Turns]) -> ContextSource:
        settings = self._settings
        if settings.alg != "HS256":
            found = turns["*"]
            return ContextSource(
                issuer=settings.issuer,
                alg=settings.alg,
                private_jwk=found.current.jwk,
                published=public_halves((*found.next, *found.last)),
                ttl_s=settings.ttl_s,
            )
        return ContextSource(
            issuer=settings.issuer,
            alg=settings.alg,
            hs256_keys={name: found.current.jwk for name, found in turns.items()},
            hs256_believed={
                name: tuple(key.jwk for key in (*found.next, *found.last)) for name, found in turns.items()
            },
            ttl_s=settings.ttl_s,
        )


def _began(key: HeldKey, file: Path) -> float:
    """Since when a key signs; one that does not say, and was not rotated to, since its file was written."""
    said = key.signs_from or key.made_at
    if said is not None:
        return float(said)
    try:
        return file.stat().st_mtime
    except OSError:  # it is away for a moment, and what it held is kept
        return 0.0


def _end(turns: Turns) -> float | None:
    """When no key of a file signs any more, if no other comes; None for never."""
    ends = [key.believed_until for key in (turns.current, *turns.next)]
    return max((float(end) for end in ends if end is not None), default=None) if None not in ends else None


def _ring(file: Path) -> KeyRing:
    try:
        return KeyRing.parse(read_private(file))
    except OSError as exc:
        raise StartRefused(f"{file}: cannot be read: {exc.strerror}") from exc
    except ContextUnusable as exc:
        raise StartRefused(f"{file}: {exc}") from exc


def _make_key(path: Path, alg: str) -> None:
    """A new signing key, for its owner alone; nothing where there is one.

    Written whole under another name and linked: of two gateways that start together, both get the one that came first.
    """
    if path.exists():
        return
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # for its owner alone
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(new_private_jwk("ES256" if alg == "ES256" else "EdDSA"))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        _log.info("context_key_made", file=str(path))
    finally:
        draft.unlink(missing_ok=True)
