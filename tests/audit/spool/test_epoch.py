"""Tests of `audit.spool.epoch`."""

from pathlib import Path

from audit.emit import Emitter
from audit.spool.epoch import OPENINGS, next_epoch


def test_openings_of_one_folder_follow_each_other() -> None:
    """A new folder begins a life, at the second it is made; the next opening is the next number."""
    first = next_epoch(0, 1_700_000_000_999_999_999)
    assert first == 1_700_000_000 * OPENINGS + 1
    assert next_epoch(first, 1_800_000_000_000_000_000) == first + 1
    assert next_epoch(7, 1_800_000_000_000_000_000) == 8, "a folder from before there were lives"
    assert first < 2**53, "JSON's numbers hold it"


def test_a_folder_made_anew_is_another_life(tmp_path: Path) -> None:
    """The same name on an empty disk a second later."""
    second = 1_000_000_000
    clock = [1_700_000_000 * second]
    epochs = []
    for folder in ("a", "a", "b"):
        emitter = Emitter(tmp_path / folder, "p", now_ns=lambda: clock[0])
        epochs.append(emitter.epoch)
        emitter.close()
        clock[0] += second
    assert epochs[1] == epochs[0] + 1
    assert epochs[2] // OPENINGS > epochs[1] // OPENINGS
