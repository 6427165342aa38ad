"""Tests of `audit.relay.folders`: found, taken over, cleared; as all lanes share them."""

import os
from pathlib import Path

import pytest
import structlog
from prometheus_client import CollectorRegistry

from audit.errors import SpoolBusy
from audit.metrics import RelayMetrics
from audit.relay.folders import Folders
from audit.spool.folder import lock, peek
from audit.spool.segment import SegmentName, segments
from tests.builders.spools import spooled


class Held:
    """Who needs from this segment on."""

    required = True

    def __init__(self, needed: SegmentName | None) -> None:
        self.needed = needed

    def place(self, folder: str) -> SegmentName | None:
        """See `Holder`."""
        assert folder == "p"
        return self.needed


@pytest.fixture
def metrics() -> RelayMetrics:
    """Of this test."""
    return RelayMetrics(CollectorRegistry())


def test_a_segment_goes_when_nobody_needs_it(tmp_path: Path, metrics: RelayMetrics) -> None:
    """The one that needs most says what stays; one that has not looked yet needs everything."""
    folder = spooled(tmp_path, "p", 60, segment_bytes=8_000)
    names = segments(folder)
    folders = Folders(tmp_path, 100, metrics)
    ahead, behind = Held(names[3]), Held(None)
    folders.holders += [ahead, behind]
    assert folders.look(0) == ["p"]
    folders.clear("p")
    assert segments(folder) == names
    behind.needed = names[2]
    folders.clear("p")
    assert segments(folder) == names[2:]
    behind.needed = SegmentName(1, 9)
    folders.look(0.5)
    assert segments(folder) == names[2:], "the house is kept once a second"
    folders.look(1.5)
    assert segments(folder) == names[3:]


def test_who_stands_in_numbers_that_are_gone_needs_all_of_a_folder_begun_anew(
    tmp_path: Path, metrics: RelayMetrics
) -> None:
    """Whoever else has passed them: it was somewhere else, and has nothing of these."""
    folder = spooled(tmp_path, "p", 60, segment_bytes=8_000)
    names = segments(folder)
    folders = Folders(tmp_path, 100, metrics)
    folders.holders += [Held(names[3]), Held(SegmentName(9, 1))]
    folders.look(0)
    assert segments(folder) == names


def test_a_folder_without_an_owner_is_ended_after_a_while(tmp_path: Path, metrics: RelayMetrics) -> None:
    """Not while somebody owns it, and not at once: a successor may be starting."""
    folder = spooled(tmp_path, "p", 5, ended=False)
    folders = Folders(tmp_path, 2.0, metrics)
    held = lock(folder)
    with structlog.testing.capture_logs() as logs:
        for now in (0.0, 10.0):
            folders.look(now)
        with pytest.raises(SpoolBusy):
            lock(folder)
        os.close(held)
        folders.look(20.0)
        view = peek(folder)
        assert view is not None
        assert not view.ended
        folders.look(23.0)
    view = peek(folder)
    assert view is not None
    assert view.ended
    assert [entry["event"] for entry in logs] == ["audit_spool_adopted"]
    assert metrics.adopted._value.get() == 1


def test_trouble_with_one_folder_is_said_once_and_stops_no_other(tmp_path: Path, metrics: RelayMetrics) -> None:
    """A counter that is a folder; and a file among the folders is none."""
    (tmp_path / "bad" / "counter").mkdir(parents=True)
    (tmp_path / "file").touch()
    spooled(tmp_path, "p", 5, ended=False)
    folders = Folders(tmp_path, 0.0, metrics)
    with structlog.testing.capture_logs() as logs:
        for now in (0.0, 2.0, 4.0):
            assert folders.look(now) == ["bad", "p"]
    assert [entry["event"] for entry in logs if entry["log_level"] == "warning"].count("audit_spool_not_kept") == 1
    view = peek(tmp_path / "p")
    assert view is not None
    assert view.ended
    assert metrics.folders._value.get() == 2


def test_damage_is_kept_where_there_are_no_hard_links(
    tmp_path: Path, metrics: RelayMetrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted once, however many find it, and renamed when all have passed it."""
    folder = spooled(tmp_path, "p", 60, segment_bytes=8_000)
    names = segments(folder)
    folders = Folders(tmp_path, 100, metrics)
    holder = Held(None)
    folders.holders.append(holder)
    folders.look(0)

    def refused(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refused)
    with structlog.testing.capture_logs():
        folders.damaged("p", names[0], 1)
        folders.damaged("p", names[0], 1)
        folders.damaged("gone", names[0], 1)
    assert metrics.quarantined._value.get() == 1
    holder.needed = names[1]
    folders.clear("p")
    assert [path.name for path in folder.glob("*.quarantine")] == [names[0].text() + ".quarantine"]
    assert segments(folder) == names[1:]
