"""Tests of `audit.spool.folder`."""

import os
from pathlib import Path

import pytest

from audit.errors import SpoolBusy, SpoolFormat
from audit.spool.folder import (
    COUNTER_FILE,
    LOCK_FILE,
    Counter,
    free_bytes,
    holds,
    lock,
    loose,
    make,
    owned,
    owner,
    peek,
    sync_folder,
)


def test_numbers_outlive_the_counter(tmp_path: Path) -> None:
    """What one process took the next one sees, without any closing."""
    first = Counter(tmp_path)
    assert first.ended
    first.begin(4)
    assert [first.take() for _ in range(3)] == [1, 2, 3]
    first.floor_ms = 1234
    second = Counter(tmp_path)
    assert (second.epoch, second.seq, second.ended, second.floor_ms) == (4, 3, False, 1234)
    assert peek(tmp_path) == (4, 3, False, 1234, False)
    second.begin_end()
    assert peek(tmp_path) == (4, 3, False, 1234, True)
    assert (second.ending, second.ended) == (True, False)
    second.end()
    assert peek(tmp_path) == (4, 3, True, 1234, False)
    second.begin(5)
    assert peek(tmp_path) == (5, 0, False, 0, False)
    first.close()
    second.close()


def test_nobody_ever_sees_a_new_epoch_that_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay may look between any two stores, and the store believes for good that an epoch has ended."""
    counter = Counter(tmp_path)
    seen, put = [], Counter._put

    def watched(self: Counter, at: int, value: int) -> None:
        put(self, at, value)
        seen.append(peek(tmp_path))

    monkeypatch.setattr(Counter, "_put", watched)
    for epoch in (1, 2):
        counter.begin(epoch)
        assert [view for view in seen if view is not None and view.epoch == epoch and view.ended] == []
        counter.end()
        seen.clear()
    counter.close()


def test_a_file_that_is_no_counter_is_left_alone(tmp_path: Path) -> None:
    """Another file of that name is named in the error and not overwritten."""
    (tmp_path / COUNTER_FILE).write_bytes(b"something else" * 10)
    with pytest.raises(SpoolFormat, match=COUNTER_FILE):
        Counter(tmp_path)
    assert peek(tmp_path) is None
    assert (tmp_path / COUNTER_FILE).read_bytes() == b"something else" * 10


def test_peek_without_a_counter(tmp_path: Path) -> None:
    """A folder that nobody has opened yet has nothing to say."""
    assert peek(tmp_path) is None


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    """The lock is exclusive and goes with its descriptor."""
    held = lock(tmp_path)
    with pytest.raises(SpoolBusy, match="owned by pid"):
        lock(tmp_path)
    os.close(held)
    os.close(lock(tmp_path, wait_s=0.1))


def test_an_existing_folder_keeps_its_mode(tmp_path: Path) -> None:
    """Making a folder that is there loosens and tightens nothing."""
    folder = tmp_path / "p"
    folder.mkdir(mode=0o750)
    make(folder)
    assert folder.stat().st_mode & 0o777 == 0o750
    sync_folder(folder)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
@pytest.mark.parametrize("name", [LOCK_FILE, COUNTER_FILE])
def test_what_is_no_file_is_neither_followed_nor_waited_for(tmp_path: Path, name: str, kind: str) -> None:
    """A link, a pipe or a folder in the place of lock and counter: refused in words, at once, and left as it is."""
    folder, theirs = tmp_path / "p", tmp_path / "theirs"
    folder.mkdir()
    theirs.write_bytes(b"untouched")
    if kind == "link":
        (folder / name).symlink_to(theirs)
    elif kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).mkdir()
    with pytest.raises(SpoolFormat, match="regular"):
        lock(folder) if name == LOCK_FILE else Counter(folder)
    assert theirs.read_bytes() == b"untouched"
    assert not owned(folder)


def test_a_link_to_a_folder_is_no_spool(tmp_path: Path) -> None:
    """The relay would not look behind it."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "p").symlink_to(tmp_path / "theirs")
    with pytest.raises(SpoolFormat, match="not a folder"):
        make(tmp_path / "p")


def test_what_leads_to_a_spool_is_its_owners_alone(tmp_path: Path) -> None:
    """Under a lax umask too; what was there keeps its mode."""
    (tmp_path / "there").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        make(tmp_path / "there" / "state" / "spool" / "p")
    finally:
        os.umask(before)
    modes = [
        (tmp_path / "there" / each).stat().st_mode & 0o777 for each in (".", "state", "state/spool", "state/spool/p")
    ]
    assert modes == [0o755, 0o700, 0o700, 0o700]


def test_a_lock_on_a_file_that_is_gone_is_none(tmp_path: Path) -> None:
    """Whoever removes the lock file ends the ownership; the next owner gets a file of its own."""
    held = lock(tmp_path)
    assert holds(tmp_path, held)
    assert owned(tmp_path)
    assert owner(tmp_path) == f"pid {os.getpid()}"
    (tmp_path / LOCK_FILE).unlink()
    assert not holds(tmp_path, held)
    again = lock(tmp_path)
    assert holds(tmp_path, again)
    assert not holds(tmp_path, held)
    os.close(held)
    os.close(again)
    assert not owned(tmp_path)


def test_a_longer_text_in_the_lock_does_not_shine_through(tmp_path: Path) -> None:
    """The owner's line replaces what stood there."""
    (tmp_path / LOCK_FILE).write_text("pid 99999999999999")
    os.close(lock(tmp_path))
    assert owner(tmp_path) == f"pid {os.getpid()}"


def test_modes_and_room(tmp_path: Path) -> None:
    """Whom a mode lets in; what is free, and nothing where nothing can be asked."""
    tmp_path.chmod(0o700)
    assert loose(tmp_path) is None
    tmp_path.chmod(0o701)
    assert "0701" in (loose(tmp_path) or "")
    assert free_bytes(tmp_path) > 0
    assert free_bytes(tmp_path / "nowhere") == 0
