"""Tests of `audit.spool.folder`."""

import os
from pathlib import Path

import pytest

from audit.errors import SpoolBusy, SpoolFormat
from audit.spool.folder import COUNTER_FILE, Counter, lock, make, peek, sync_folder


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
