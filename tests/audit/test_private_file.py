"""Files with keys in them: who may read them, and what is none."""

import contextlib
import os
import stat
import struct
from pathlib import Path
from typing import Any

import pytest

from audit.private_file import LIMIT_BYTES, NotPrivate, not_private, read_private, read_secret
from tests.builders.private import private


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


def test_what_is_judged_is_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever swaps the file between the opening and the look gains nothing, either way."""
    ours, theirs = private(tmp_path / "ours", "mine"), tmp_path / "theirs"
    theirs.write_text("theirs")
    theirs.chmod(0o644)
    link, opened = tmp_path / "link", os.open

    def swap(to: Path) -> None:
        link.unlink(missing_ok=True)
        link.symlink_to(to)

    for first, then in ((ours, theirs), (theirs, ours)):

        def opens(*given: Any, then: Path = then) -> int:
            descriptor = opened(*given)
            swap(then)
            return descriptor

        swap(first)
        with monkeypatch.context() as patched:
            patched.setattr(os, "open", opens)
            if first is ours:
                assert read_private(link) == b"mine"
            else:
                with pytest.raises(NotPrivate):
                    read_private(link)


def test_a_text_is_taken_without_what_is_around_it(tmp_path: Path) -> None:
    """An empty file is no password, and no error says what is in a file."""
    file = private(tmp_path / "password", "  p@ss word\n\n")
    assert read_secret(file) == "p@ss word"
    for data, what in ((b"", "it is empty"), (b" \n", "it is empty"), (b"hunter2\xff", "not UTF-8")):
        file.write_bytes(data)
        with pytest.raises(OSError, match=what) as said:
            read_secret(file)
        assert said.value.__cause__ is None
        assert said.value.__suppress_context__ or said.value.__context__ is None
        assert "hunter2" not in f"{said.value}{said.value!r}"


def test_what_mends_it_is_said(tmp_path: Path) -> None:
    """The mode that it has, and the one that takes away no more than what is too much."""
    file = private(tmp_path / "key", "hunter2")
    for mode in (0o644, 0o444, 0o666, 0o2640 | 0o004):
        file.chmod(mode)
        with pytest.raises(NotPrivate) as said:
            read_private(file)
        assert str(said.value).startswith(f"{file}: others may read or write it (mode {mode:04o}); `chmod ")
        assert "hunter2" not in str(said.value)
        mended = int(str(said.value).split("`chmod ")[1].split()[0], 8)
        file.chmod(mended)
        assert read_private(file) == b"hunter2"


def test_a_reader_by_acl_counts_as_a_group_does(tmp_path: Path) -> None:
    """Systemd gives a service its credentials so: root's file, 0400, and the service's user in the list."""
    file = private(tmp_path / "credential", "k")
    file.chmod(0o400)
    entries = [(0x01, 4, -1), (0x02, 4, 4711), (0x04, 0, -1), (0x10, 4, -1), (0x20, 0, -1)]
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", tag, perm, who) for tag, perm, who in entries)
    with contextlib.suppress(OSError):  # of a file system without them; what it would show is known
        os.setxattr(file, "system.posix_acl_access", acl)
        assert stat.S_IMODE(file.stat().st_mode) == 0o440
    found = status(0o440, 0)
    roots = os.stat_result((found.st_mode, 1, 1, 1, 0, 0, 1, 0, 0, 0))
    assert not_private(roots, file) is None
    others = os.stat_result((found.st_mode, 1, 1, 1, 1000, 1000, 1, 0, 0, 0))
    assert not_private(others, file) is not None
