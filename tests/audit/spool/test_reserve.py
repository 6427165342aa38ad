"""Tests of `audit.spool.reserve`; what it is for is tested on a full disk, in `test_full_disk_story`."""

from pathlib import Path

import pytest

from audit.spool.reserve import RESERVE_FILE, Reserve
from tests.servers.disk import SmallDisk


def test_it_is_real_bytes_and_comes_back(tmp_path: Path) -> None:
    """Set aside once, given up once, and set aside again; its owner's alone."""
    reserve = Reserve(tmp_path, 8192)
    assert reserve.restore()
    assert reserve.restore()
    there = (tmp_path / RESERVE_FILE).stat()
    assert (there.st_size, there.st_blocks * 512 >= 8192, there.st_mode & 0o777) == (8192, True, 0o600)
    assert reserve.give_up()
    assert not reserve.give_up()
    assert reserve.restore()


def test_on_a_full_disk_nothing_is_left_of_the_attempt(small_disk: SmallDisk) -> None:
    """What it could get is given back at once, and it says that the disk is full."""
    small_disk.fill(leave=2 * 4096 - 1)
    assert not Reserve(small_disk.path, 64 << 10).restore()
    assert not (small_disk.path / RESERVE_FILE).exists()


def test_half_is_lent_and_half_is_kept(tmp_path: Path) -> None:
    """Once; and set aside again it is whole."""
    reserve = Reserve(tmp_path, 16384)
    assert not reserve.lend()
    reserve.restore()
    assert (reserve.lend(), reserve.lend()) == (True, False)
    assert (tmp_path / RESERVE_FILE).stat().st_blocks * 512 == 8192
    assert reserve.restore()
    assert (tmp_path / RESERVE_FILE).stat().st_blocks * 512 == 16384
    assert reserve.lend()
    assert reserve.give_up()


def test_where_there_is_room_for_a_part_that_is_kept(small_disk: SmallDisk) -> None:
    """It says that the disk is full all the same; what is there already is never given back for more."""
    reserve = Reserve(small_disk.path, 64 << 10)
    small_disk.fill(leave=48 << 10)
    assert not reserve.restore()
    assert (small_disk.path / RESERVE_FILE).stat().st_blocks * 512 == 32 << 10
    small_disk.fill()
    assert not reserve.restore()
    assert (small_disk.path / RESERVE_FILE).stat().st_blocks * 512 == 32 << 10
    assert not reserve.lend()
    small_disk.relieve()
    assert reserve.restore()
    assert (small_disk.path / RESERVE_FILE).stat().st_blocks * 512 == 64 << 10


def test_none_is_wanted(tmp_path: Path) -> None:
    """Of size 0 there is no file, and no disk is ever too full for it."""
    assert Reserve(tmp_path, 0).restore()
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    """Nothing is allocated behind it; the spool goes on without a reserve."""
    (tmp_path / "theirs").touch()
    (tmp_path / RESERVE_FILE).symlink_to(tmp_path / "theirs")
    assert Reserve(tmp_path, 8192).restore()
    assert (tmp_path / "theirs").stat().st_size == 0


@pytest.mark.parametrize("size", [0, 8192])
def test_a_predecessors_reserve_is_given_up_too(tmp_path: Path, size: int) -> None:
    """Whoever adopts a folder frees what its owner had set aside."""
    Reserve(tmp_path, 4096).restore()
    assert Reserve(tmp_path, size).give_up()
