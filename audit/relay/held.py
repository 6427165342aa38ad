"""One relay a spool: two over the same folders would move each other's cursors."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.errors import SpoolBusy, SpoolUnavailable

_LOCK = "relay.lock"


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Be the only relay over a root, which is made if it is not there.

    Raises:
        SpoolBusy: Another one is at it.
        SpoolUnavailable: It cannot be written.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as exc:
        raise SpoolUnavailable(f"audit.spool.folder `{root}` cannot be used: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise SpoolBusy(f"audit.spool.folder `{root}`: another relay is at it") from exc
        yield
    finally:
        os.close(lock)
