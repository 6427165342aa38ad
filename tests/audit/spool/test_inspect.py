"""Tests of `audit.spool.inspect`."""

from pathlib import Path

from audit.codec import decode
from audit.emit import Emitter
from audit.limits import SpoolLimits
from audit.spool.inspect import dump, folders, stat, verify
from audit.spool.segment import segments
from tests.audit.test_relay import stamped


def filled(root: Path) -> Path:
    """Two producers' folders, one with several segments; returns that one."""
    for producer in ("one", "two"):
        emitter = Emitter(root / producer, producer, limits=SpoolLimits(segment_bytes=2000))
        for _ in range(5):
            emitter.emit_and_wait(stamped(emitter))
        emitter.close()
    (root / "not-a-spool").mkdir()
    return root / "one"


def test_stat_shows_each_folder(tmp_path: Path) -> None:
    """Epoch, numbers, segments and bytes of each producer."""
    path = filled(tmp_path)
    one, two = stat(tmp_path)
    assert (one.producer, one.epoch, one.taken, one.ended, one.quarantined) == (
        "one",
        segments(path)[0].epoch,
        5,
        True,
        0,
    )
    assert one.segments == len(segments(path))
    assert one.bytes == sum(file.stat().st_size for file in path.glob("*.seg"))
    assert two.producer == "two"
    assert folders(tmp_path) == [tmp_path / "one", tmp_path / "two"]


def test_dump_yields_the_records(tmp_path: Path) -> None:
    """All undelivered records, of all producers or of one."""
    filled(tmp_path)
    assert len(list(dump(tmp_path))) == 10
    assert [decode(payload).producer.seq for payload in dump(tmp_path, "two")] == [1, 2, 3, 4, 5]


def test_verify_finds_nothing_in_a_sound_spool(tmp_path: Path) -> None:
    """No finding, while in use and after."""
    emitter = Emitter(tmp_path / "three", "three")
    emitter.emit_and_wait(stamped(emitter))
    filled(tmp_path)
    assert verify(tmp_path) == []
    emitter.close()


def test_verify_names_damage_and_what_is_missing(tmp_path: Path) -> None:
    """A flipped byte is found with its segment and the numbers it cost; a set-aside file is mentioned."""
    path = filled(tmp_path)
    file = path / segments(path)[1].text()
    data = bytearray(file.read_bytes())
    data[-30] ^= 0xFF
    file.write_bytes(bytes(data))
    (path / "00000001-000009.seg.quarantine").touch()
    found = verify(tmp_path)
    assert {finding.segment for finding in found} == {file.name, "00000001-000009.seg.quarantine"}
    assert any("missing" in finding.what for finding in found)
