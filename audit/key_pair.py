"""A certificate and its key from text into OpenSSL, which reads paths and nothing else.

So a key is read once, by who has looked at its file, and what was judged is what is used.
"""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO


def load_key_pair(context: ssl.SSLContext, certificate: bytes, key: bytes = b"", *, password: str = "") -> None:
    """Have a context prove itself with a certificate.

    Args:
        context: For clients or servers.
        certificate: PEM, our own first, then what leads to a root.
        key: PEM; where empty, it stands beside the certificate.
        password: What the key is locked with. Without one, a locked key is an error and not a question on a terminal.

    Raises:
        OSError: They cannot be used together; `ssl.SSLError` is one.
        ValueError: As it says.
    """
    with _as_file(certificate) as first, _as_file(key or certificate) as second:
        context.load_cert_chain(first, second, password)


@contextmanager
def _as_file(text: bytes) -> Iterator[str]:
    """A name under which OpenSSL can read bytes: in memory where the system can, else a file that has no other name."""
    with _anonymous() as file:
        file.write(text)
        file.flush()
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"


def _anonymous() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("lychgate", os.MFD_CLOEXEC), "w+b")
    return tempfile.TemporaryFile()
