"""A certificate and its key into OpenSSL, without a file of theirs."""

import ssl
from pathlib import Path

import pytest

from audit.key_pair import load_key_pair
from tests.builders.authority import Authority

SIGNED = Authority().sign("us")
OTHER = Authority().sign("others")


def context() -> ssl.SSLContext:
    """Of a client."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def test_a_pair_is_taken_and_nothing_stays_open() -> None:
    """In two texts or in one; a locked key with its password."""
    held = len(list(Path("/proc/self/fd").iterdir()))
    load_key_pair(context(), SIGNED.cert.encode(), SIGNED.key.encode())
    load_key_pair(context(), f"{SIGNED.cert}{SIGNED.key}".encode())
    load_key_pair(context(), SIGNED.cert.encode(), SIGNED.locked_key().encode(), password="open sesame")
    assert len(list(Path("/proc/self/fd").iterdir())) == held


@pytest.mark.timeout(10)
@pytest.mark.parametrize("key", [OTHER.key, SIGNED.locked_key(), "no key", ""])
def test_what_does_not_belong_together_is_an_error(key: str) -> None:
    """Never a question on a terminal, and never a file that is left open."""
    held = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises((OSError, ValueError)):
        load_key_pair(context(), SIGNED.cert.encode(), key.encode())
    assert len(list(Path("/proc/self/fd").iterdir())) == held
