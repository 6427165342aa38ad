"""Tests of `audit.spool.inspect`."""

import os
from pathlib import Path

import msgspec

from audit.codec import decode
from audit.emit import Emitter
from audit.ids import id_ms
from audit.limits import SpoolLimits
from audit.spool.cursor import Cursor, cursor_file
from audit.spool.inspect import Trouble, Wanted, dump, folders, stat, verify
from audit.spool.segment import segments
from audit.spool.walk import Walk
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
    one, two = stat(tmp_path, 0)
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
    assert [decode(payload).producer.seq for payload in dump(tmp_path, Wanted("two"))] == [1, 2, 3, 4, 5]


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
    assert {finding.file for finding in found} == {file.name, "00000001-000009.seg.quarantine"}
    assert any("missing" in finding.what for finding in found)


def test_verify_names_what_is_gone_open_or_no_file(tmp_path: Path) -> None:
    """Segments somebody took away before a sink had them, modes, links, pipes, and a folder without its files."""
    path = filled(tmp_path)
    first, second, *_ = segments(path)
    cursor_file(path, "store").write_bytes(msgspec.json.encode(Cursor(*first, 0, [])))
    cursor_file(path, "store").chmod(0o600)
    for name in (first, second):
        (path / name.text()).unlink()
    (path / "lock").chmod(0o640)
    os.mkfifo(path / "00000001-000099.seg")
    (tmp_path / "two" / "counter").write_bytes(b"x" * 64)
    (tmp_path / "two" / "lock").unlink()
    found = {(each.producer, each.file, each.trouble) for each in verify(tmp_path)}
    assert ("one", segments(path)[0].text(), Trouble.MISSING) in found
    assert ("one", "lock", Trouble.OPEN) in found
    assert ("one", "00000001-000099.seg", Trouble.FILE) in found
    assert ("two", "counter", Trouble.FILE) in found
    assert ("two", "lock", Trouble.FILE) in found


def test_a_tail_torn_off_a_closed_segment_is_a_finding(tmp_path: Path) -> None:
    """Behind the newest it may be a write in progress; anywhere else it is damage."""
    path = filled(tmp_path)
    first = path / segments(path)[0].text()
    first.write_bytes(first.read_bytes()[:-5])
    assert {(each.file, each.trouble) for each in verify(tmp_path)} == {
        (first.name, Trouble.DAMAGED),
        (first.name, Trouble.MISSING),
    }


def test_stat_tells_how_far_each_sink_is(tmp_path: Path) -> None:
    """The backlog of each, and the age of the oldest record that the slowest has not got."""
    path = filled(tmp_path)
    cursor_file(path, "store").write_bytes(msgspec.json.encode(Cursor(*segments(path)[2], 0)))
    cursor_file(path, "kafka").write_bytes(msgspec.json.encode(Cursor(*segments(path)[1], 0)))
    records = [decode(payload) for payload in dump(tmp_path, Wanted("one"))]
    sizes = [(path / name.text()).stat().st_size for name in segments(path)]
    before = sum(1 for _ in Walk(path / segments(path)[0].text()))
    [one, _] = stat(tmp_path, id_ms(records[before].event_id) + 5000)
    assert one.backlog_bytes == {"store": sum(sizes[2:]), "kafka": sum(sizes[1:])}
    assert one.oldest_seconds == 5.0
    assert one.owner is None


def test_a_folder_rescued_alone_is_looked_into(tmp_path: Path) -> None:
    """The root may be one producer's; filters go by what records say, and bytes that are none match no filter."""
    path = filled(tmp_path)
    (path / "counter").unlink()
    assert folders(path) == [path]
    assert len(list(dump(path, Wanted(tenant="acme")))) == 5
    assert list(dump(path, Wanted(tenant="globex"))) == []
    assert list(dump(path, Wanted(event_type="audit.loss"))) == []
    last = id_ms(decode(list(dump(path))[-1]).event_id)
    assert list(dump(path, Wanted(since_ms=last + 1))) == []
    assert len(list(dump(path, Wanted(since_ms=last)))) >= 1
    assert not Wanted(tenant="acme").matches(b"not json")
    assert Wanted().matches(b"not json")
