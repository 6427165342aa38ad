"""Files that hold secrets: read only where nobody else can have read or written them.

Every secret that the configuration names by its file comes through here: passwords, tokens, private keys, shared keys.
A setting for one has the type `PrivatePath`; so the whole of them can be found (`lychgate.keys.secret_files`), and a
test asks of each new `*_file` whether it is one.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Annotated, Final, TypeAlias

LIMIT_BYTES: Final = 65_536
"""A set of keys of ours has some hundred bytes, a certificate chain with its key some thousands."""

_OURS: Final = stat.S_IRWXG | stat.S_IRWXO
_ROOTS: Final = stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO


class Private:
    """Marks the type of a path: what lies there is a secret."""


PrivatePath: TypeAlias = Annotated[Path, Private()]


class NotPrivate(PermissionError):
    """Others may read or write the file, or another user owns it. Nothing of what it holds is in the text."""

    def __str__(self) -> str:
        """Without the number."""
        return f"{self.filename}: {self.strerror}"


def read_private(file: Path) -> bytes:
    """The bytes of a file with a secret in it. Links are followed: what they lead to counts.

    It belongs to us and to nobody else (0600), or to root, and then a group may read it too (0640): that is how a
    secret is mounted into a container, and root may rotate it. The rule is that of PostgreSQL for its keys (ADR 237).
    What is judged is what was opened, so that nothing can be put in its place between the look and the reading.

    Raises:
        NotPrivate: Others can read or write it; `strerror` says its mode, and what mends it.
        OSError: It cannot be read; `strerror` says why.
    """
    # without waiting: to open a pipe is to wait for somebody who writes
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a file", str(file))
        if problem := not_private(found, file):
            raise NotPrivate(errno.EACCES, problem, str(file))
        with os.fdopen(descriptor, "rb", closefd=False) as opened:
            data = opened.read(LIMIT_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > LIMIT_BYTES:
        raise OSError(errno.EFBIG, f"more than {LIMIT_BYTES} bytes are no secret", str(file))
    return data


def read_secret(file: Path) -> str:
    """A password, a token or an address from a file, without white space around it.

    Raises:
        OSError: As for `read_private`; or it is empty, or no UTF-8.
    """
    try:
        text = read_private(file).decode("utf-8").strip()
    except UnicodeDecodeError:  # its text quotes what it stumbled over
        raise OSError(errno.EINVAL, "not UTF-8", str(file)) from None
    if not text:
        raise OSError(errno.EINVAL, "it is empty", str(file))
    return text


def not_private(found: os.stat_result, file: Path) -> str | None:
    """What is wrong with owner and mode; None when nothing is.

    Args:
        found: Of the file.
        file: Its path, for what is to be done.
    """
    ours, mode = os.geteuid(), stat.S_IMODE(found.st_mode)
    if ours != 0 and found.st_uid not in {0, ours}:
        return f"another user owns it (uid {found.st_uid}, mode {mode:04o}); `chown {ours} {file}`"
    wider = mode & (_ROOTS if found.st_uid == 0 else _OURS)
    if wider:
        mended = f"`chmod {mode & ~wider & 0o777:o} {file}`"
        return f"others may read or write it (mode {mode:04o}); {mended}, and think of a new secret"
    return None
