"""Files with keys in them: who may read them, and what is none."""

import os
import stat
from pathlib import Path

import pytest

from audit.private_file import LIMIT_BYTES, not_private, read_private


def status(mode: int, uid: int) -> os.stat_result:
    """Of a regular file."""
    return os.stat_result((stat.S_IFREG | mode, 1, 1, 1, uid, 0, 1, 0, 0, 0))


@pytest.mark.parametrize("mode", [0o604, 0o660, 0o610, 0o601, 0o602])
def test_nobody_else_may_read_or_write_it(tmp_path: Path, mode: int) -> None:
    """Whoever owns it, root as well."""
    file = tmp_path / "key"
    file.touch()
    file.chmod(mode)
    with pytest.raises(PermissionError, match="others may read or write it"):
        read_private(file)
    file.chmod(0o400)
    assert read_private(file) == b""


@pytest.mark.parametrize(
    ("mode", "uid", "word"),
    [
        (0o440, 0, None),  # as a secret is mounted
        (0o640, 0, None),
        (0o660, 0, "others"),
        (0o650, 0, "others"),
        (0o644, 0, "others"),
        (0o640, 1000, "others"),
        (0o600, 1000, None),
        (0o600, 1001, "another user"),
    ],
)
def test_what_root_owns_our_group_may_read(
    monkeypatch: pytest.MonkeyPatch, mode: int, uid: int, word: str | None
) -> None:
    """As a program that is not root sees it; and root, who rotates for others, but for whose it is."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    found = not_private(status(mode, uid), Path("key"))
    assert found is None if word is None else found is not None and word in found
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    found = not_private(status(mode, uid), Path("key"))
    assert found is None if word in {None, "another user"} else found is not None and "others" in found


def test_a_link_is_as_good_as_what_it_leads_to(tmp_path: Path) -> None:
    """Kubernetes mounts secrets behind links."""
    file, link = tmp_path / "key", tmp_path / "link"
    file.write_bytes(b"k")
    file.chmod(0o600)
    link.symlink_to(file)
    assert read_private(link) == b"k"
    file.chmod(0o644)
    with pytest.raises(PermissionError, match="others"):
        read_private(link)


@pytest.mark.timeout(10)
def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe nobody writes to, a folder, and more bytes than a key has. A gateway asks each second: none stays open."""
    held = len(list(Path("/proc/self/fd").iterdir()))
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(OSError, match="not a file"):
        read_private(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a file") as folder:
        read_private(tmp_path)
    assert folder.value.filename == str(tmp_path)
    large = tmp_path / "large"
    large.touch(0o600)
    large.write_bytes(bytes(LIMIT_BYTES + 1))
    with pytest.raises(OSError, match="no secret"):
        read_private(large)
    assert len(list(Path("/proc/self/fd").iterdir())) == held
