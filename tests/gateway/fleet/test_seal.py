"""Only who has the fleet's key can make a sealed value."""

from pathlib import Path

import pytest

from gateway.fleet.seal import SEALED_BYTES, Seal
from tests.builders.private import private

KEY = b"k" * 32


def test_opened_is_what_was_put_for_the_same_purpose() -> None:
    """By the same key, for the same kind, unchanged in every byte."""
    sealed = Seal(KEY).put("revocation", b"text")
    assert Seal(KEY).open("revocation", sealed) == b"text"
    assert Seal(KEY).open("gateway", sealed) is None
    assert Seal(b"x" * 32).open("revocation", sealed) is None
    for at in range(len(sealed)):
        changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
        assert Seal(KEY).open("revocation", changed) is None


@pytest.mark.parametrize("sealed", [b"", b".", b"a" * 64, b"\xff" * 70, b"." * 70, b"a" * 64 + b"."])
def test_what_is_no_sealed_value_is_not_opened(sealed: bytes) -> None:
    """Whatever stands in Redis."""
    assert Seal(KEY).open("revocation", sealed) is None


def test_too_long_is_not_even_looked_at() -> None:
    """However well it is sealed."""
    assert Seal(KEY).open("revocation", Seal(KEY).put("revocation", b"x" * SEALED_BYTES)) is None


def test_the_key_is_read_from_a_file_and_shown_nowhere(tmp_path: Path) -> None:
    """White space around it does not count; short ones and missing files are named."""
    file = tmp_path / "key"
    private(file, f"{KEY.decode()}\n")
    assert Seal.from_file(file).put("x", b"y") == Seal(KEY).put("x", b"y")
    assert "k" * 8 not in repr(Seal(KEY))
    private(file, "   short   ")
    with pytest.raises(ValueError, match=r"key: shorter than 32 bytes$"):
        Seal.from_file(file)
    with pytest.raises(ValueError, match=r"none: cannot be read: No such file or directory$"):
        Seal.from_file(tmp_path / "none")
