"""A SCRAM-SHA-256 verifier, so that a password never stands in an SQL statement (RFC 5802 section 3, RFC 7677). Pure.

PostgreSQL takes the verifier in place of the password: `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`.
"""

import hashlib
import hmac
from base64 import b64encode

_ITERATIONS = 4096  # PostgreSQL's own default (scram_iterations)
SALT_BYTES = 16


def verifier(password: str, salt: bytes) -> str:
    """The text PostgreSQL keeps for a password.

    Args:
        password: ASCII without control characters, so that SASLprep (RFC 4013) leaves it as it is.
        salt: 16 random bytes.

    Raises:
        ValueError: the password is empty or not plain ASCII.
    """
    if not password or not password.isascii() or not password.isprintable():
        raise ValueError("a database password must be printable ASCII")
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = (b64encode(salt), b64encode(stored), b64encode(server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(_ITERATIONS, *(part.decode() for part in parts))
