"""Files that hold keys: read only where nobody else can have read or written them."""

import errno
import os
import stat
from pathlib import Path

LIMIT_BYTES = 65_536
"""A set of keys of ours has some hundred bytes; whatever is larger is not one."""

_OURS = stat.S_IRWXG | stat.S_IRWXO
_ROOTS = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO


def read_private(file: Path) -> bytes:
    """The bytes of a file with a key in it. Links are followed: what they lead to counts.

    It belongs to us and to nobody else (0600), or to root, and then a group may read it too (0640): that is how a
    secret is mounted into a container, and root may rotate it. The rule is that of libpq for `sslkey`.

    Raises:
        OSError: It cannot be read, or others can; `strerror` says which.
    """
    # without waiting: to open a pipe is to wait for somebody who writes
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a file", str(file))
        if problem := not_private(found):
            raise PermissionError(errno.EACCES, problem, str(file))
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            data = opened.read(LIMIT_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > LIMIT_BYTES:
        raise OSError(errno.EFBIG, f"more than {LIMIT_BYTES} bytes are no key", str(file))
    return data


def not_private(found: os.stat_result) -> str | None:
    """What is wrong with owner and mode; None when nothing is."""
    ours = os.geteuid()
    if ours != 0 and found.st_uid not in {0, ours}:
        return "another user owns this key"
    if found.st_mode & (_ROOTS if found.st_uid == 0 else _OURS):
        return "others may read this key; `chmod 600` it, and think of a new one"
    return None
