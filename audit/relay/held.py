"""One relay a spool: two over the same folders would move each other's cursors.

And clear what the other's sinks still need: each knows its own alone.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from audit.errors import SpoolBusy, SpoolUnavailable


@contextmanager
def held(root: Path) -> Iterator[None]:
    """Be the only relay over a root, which is made if it is not there.

    The folder itself is locked: a file in it could not be made on a full disk, which only a relay makes room on.

    Raises:
        SpoolBusy: Another one is at it.
        SpoolUnavailable: It cannot be used.
    """
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise SpoolUnavailable(f"audit.spool.folder `{root}` cannot be used: {exc.strerror}") from exc
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise SpoolBusy(f"audit.spool.folder `{root}`: another relay is at it") from exc
        except OSError as exc:
            raise SpoolUnavailable(f"audit.spool.folder `{root}` cannot be locked: {exc.strerror}") from exc
        yield
    finally:
        os.close(lock)
