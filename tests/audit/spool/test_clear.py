"""Tests of `audit.spool.clear`."""

from pathlib import Path

import pytest

from audit.spool.clear import clear, set_aside
from audit.spool.segment import SegmentName, segments


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four segments of two epochs."""
    for name in (SegmentName(1, 1), SegmentName(1, 2), SegmentName(2, 1), SegmentName(2, 2)):
        (tmp_path / name.text()).write_text(name.text())
    return tmp_path


def test_what_stands_before_the_first_that_is_needed_goes(folder: Path) -> None:
    """And nothing else, whatever the epoch."""
    assert clear(folder, SegmentName(2, 1)) == [(1, 1), (1, 2)]
    assert segments(folder) == [(2, 1), (2, 2)]
    assert clear(folder, SegmentName(2, 1)) == []


def test_a_damaged_segment_keeps_a_second_name(folder: Path) -> None:
    """From the moment somebody finds it; it can be read under the first until it is cleared."""
    name = SegmentName(1, 2)
    assert set_aside(folder, name)
    assert not set_aside(folder, name), "the next who finds it"
    assert name in segments(folder)
    clear(folder, SegmentName(2, 1))
    assert [path.read_text() for path in folder.glob("*.quarantine")] == [name.text()]


def test_where_there_are_no_hard_links_it_is_renamed(folder: Path) -> None:
    """At the end, by whoever remembers it."""
    clear(folder, SegmentName(2, 1), {SegmentName(1, 1)})
    assert [path.read_text() for path in folder.glob("*.quarantine")] == ["00000001-000001.seg"]
    assert segments(folder) == [(2, 1), (2, 2)]
