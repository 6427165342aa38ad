"""That the tests run on what they are meant to run on."""

import importlib.metadata
import os
import re
import socket
import sys
from pathlib import Path

import pytest
from pytest_socket import SocketConnectBlockedError

from tests.servers.postgres import Postgres

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+)(?P<marker> ;)?", re.MULTILINE)


def test_python_is_new_enough() -> None:
    """3.11 is the oldest that is promised."""
    assert sys.version_info >= (3, 11)


def test_what_is_installed_is_what_is_locked() -> None:
    """Every pinned package, at its version.

    One with a marker may be missing here, or be pinned twice: once for each side of the marker.
    """
    locked: dict[str, set[str]] = {}
    optional = set()
    for pin in PIN.finditer((ROOT / "requirements.lock").read_text()):
        locked.setdefault(pin["name"], set()).add(pin["version"])
        if pin["marker"]:
            optional.add(pin["name"])
    wrong = []
    for name, versions in locked.items():
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name in optional:
                continue
            installed = "nothing"
        if installed not in versions:
            wrong.append(f"{name}: {installed} is installed, {' or '.join(sorted(versions))} is locked")
    assert wrong == []


def test_the_store_is_a_real_postgresql(postgres: Postgres) -> None:
    """Version 15 or later, with UTF-8 and SCRAM."""
    assert int(postgres.sql("SHOW server_version_num")) >= 150_000
    assert postgres.sql("SHOW server_encoding") == "UTF8"
    assert postgres.sql("SHOW password_encryption") == "scram-sha-256"


def test_the_shared_vectors_are_there() -> None:
    """They may be missing on a developer's machine, never where CI is set."""
    folder = ROOT.parent / "shared" / "vectors"
    if not folder.is_dir() and not os.environ.get("CI"):
        pytest.skip(f"{folder} is not on this machine")
    assert any(folder.iterdir())


def test_no_test_speaks_to_another_host() -> None:
    """Loopback is reached, an address elsewhere is not even tried."""
    with socket.socket() as door, socket.socket() as caller:
        door.bind(("127.0.0.1", 0))
        door.listen()
        caller.connect(door.getsockname())
    with socket.socket() as caller, pytest.raises((SocketConnectBlockedError, UserWarning), match=r"192\.0\.2\.1"):
        caller.connect(("192.0.2.1", 80))
