"""A key file written anew: whole or not at all, by one at a time.

Whatever instant it is killed at, the file holds what it held before or what it is to hold; never half of it. Owner and
mode stay those of the file that is replaced, so that the gateway can read what root has rotated.
"""

import fcntl
import glob
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from audit.private_file import read_private
from lychgate.errors import ConfigurationError, LychgateError
from roles.errors import ContextUnusable
from roles.security_context.key_ring import KeyRing, new_key
from roles.security_context.keys import Alg, new_private_jwk

_MODE: Final = 0o600


class NotRotated(LychgateError):
    """The keys stay as they are; the message says why. A finding, not a mistake of whoever asked."""

    exit_code = 1


class Rotation:
    """What is done to the keys of a file.

    Args:
        now: The present, seconds since the epoch.
        alg: Of new keys.
        signs_from: From when a new key signs that follows another.
        believed_until: Until when what the current key signed is believed.
    """

    def __init__(self, now: int, alg: Alg, signs_from: int, believed_until: int) -> None:
        self._now = now
        self._alg: Alg = alg
        self._signs_from = signs_from
        self._believed_until = believed_until

    def follow(self, ring: KeyRing) -> KeyRing:
        """A next key beside the current one."""
        try:
            return ring.rotated(
                self._now, alg=self._alg, signs_from=self._signs_from, believed_until=self._believed_until
            )
        except ContextUnusable as exc:
            raise NotRotated(str(exc)) from exc

    def replace(self, _: KeyRing) -> KeyRing:
        """A new key and no other: whoever stole one of the others has stolen nothing.

        It says no moment from which it signs: a gateway whose clock is behind ours would go on with the stolen one.
        """
        return KeyRing((new_key(self._alg, self._now, 0),))

    def retire(self, ring: KeyRing) -> KeyRing:
        """What is over goes."""
        try:
            return ring.retired(self._now)
        except ContextUnusable as exc:
            raise NotRotated(str(exc)) from exc


def rewrite(file: Path, change: Callable[[KeyRing], KeyRing], *, out: Path | None = None) -> KeyRing:
    """Read a key file, change what it holds, and put it in place.

    Args:
        file: The file.
        change: From the keys it holds to those it is to hold.
        out: Where to write instead, for a file that somebody else puts in place; must not be there yet.

    Returns:
        What is in place now.

    Raises:
        ConfigurationError: The file cannot be read, or is one that must not be written to.
        NotRotated: The keys stay as they are.
    """
    try:
        if out is None and file.is_symlink():
            raise ConfigurationError(
                f"{file}: a link; rotate the file it leads to, or write elsewhere with --out and have it put in place"
            )
        with _alone_in(file.parent):
            ring = KeyRing.parse(read_private(file))
            try:
                changed = change(ring)
            except NotRotated as exc:
                raise NotRotated(f"{file}: {exc}") from exc
            if changed == ring:
                return ring
            if out is None:
                _replace(file, changed.text())
            else:
                _create(out, changed.text())
            return changed
    except OSError as exc:
        if isinstance(exc, FileNotFoundError) and Path(exc.filename or file) in {file, file.parent}:
            raise ConfigurationError(f"{file}: there is no key yet; a gateway makes its own, or `keys new`") from exc
        raise ConfigurationError(f"{exc.filename or file}: {exc.strerror}") from exc
    except ContextUnusable as exc:
        raise ConfigurationError(f"{file}: {exc}") from exc


def write_new(file: Path, alg: Alg) -> str:
    """Write a first key into a file of its own, for its owner alone: one JWK, as release 0.1.0 and others read it, too.

    Args:
        file: The file; must not be there yet.
        alg: What the key is for.

    Returns:
        Its id.

    Raises:
        ConfigurationError: The file is there, or cannot be written.
    """
    jwk = new_private_jwk(alg)
    try:
        _create(file, jwk + "\n")
    except OSError as exc:
        raise ConfigurationError(f"{exc.filename or file}: {exc.strerror}") from exc
    return KeyRing.parse(jwk).keys[0].kid


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; the system lets go of it when the process ends, however it ends."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _replace(file: Path, text: str) -> None:
    before = file.stat()
    prefix = f".{file.name}.draft-"
    for left in file.parent.glob(f"{glob.escape(prefix)}*"):  # by one that was killed: it holds the keys as well
        left.unlink(missing_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=prefix, dir=file.parent)  # 0600 from its first byte on
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(text)
            opened.flush()
            drafted = os.fstat(descriptor)  # a folder may give what is made in it to a group of its own
            if (before.st_uid, before.st_gid) != (drafted.st_uid, drafted.st_gid):
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            os.fsync(descriptor)
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    _sync(file.parent)


def _create(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
    except OSError:
        file.unlink(missing_ok=True)  # half of a key is none, and would be in the way of the next attempt
        raise
    _sync(file.parent)


def _sync(folder: Path) -> None:
    """So that the new name outlives a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
