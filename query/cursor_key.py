"""The file that holds the cursor key. Shell: made once, read by every query process of an installation."""

import base64
import binascii
import os
import secrets
from contextlib import suppress
from pathlib import Path

from audit.private_file import read_private
from query.cursor import KEY_BYTES
from query.errors import NotFit

_MODE = 0o600
_FOLDER_MODE = 0o700


def cursor_key(path: Path) -> bytes:
    """The key in a file, which is made if it is not there.

    Two processes may come at once: whoever is first makes the file, complete under another name, and links it into
    place; nobody ever reads half a key.

    Raises:
        NotFit: The file cannot be read or made, or holds something else.
    """
    try:
        if not path.exists():
            _make(path)
        key = base64.urlsafe_b64decode(read_private(path).strip())
    except OSError as exc:
        raise NotFit(f"the cursor key `{path}` cannot be read or made: {exc.strerror}") from exc
    except (binascii.Error, ValueError) as exc:
        raise NotFit(f"the cursor key `{path}` is not base64url") from exc
    if len(key) != KEY_BYTES:
        raise NotFit(f"the cursor key `{path}` has {len(key)} bytes, not {KEY_BYTES}")
    return key


def _make(path: Path) -> None:
    path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE), "wb") as file:
        file.write(base64.urlsafe_b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
    try:
        with suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()
