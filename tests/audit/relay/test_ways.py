"""Tests of `audit.relay.ways`: what a sink reads next, and what it costs."""

import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.event import Producer
from audit.metrics import RelayMetrics
from audit.relay.folders import Folders
from audit.relay.ways import AHEAD, SAVE_RECORDS, Pace, Ways
from audit.sinks.port import Watermark
from audit.spool import frame
from audit.spool.cursor import load
from audit.spool.folder import Counter
from audit.spool.segment import LOSS
from audit.spool.writer import SegmentWriter
from tests.builders.audit import make_event
from tests.builders.spools import spooled

ROOT = Path(__file__).parents[3]


def ways_of(root: Path, **pace: int) -> Ways:
    """Of a main sink."""
    metrics = RelayMetrics(CollectorRegistry())
    return Ways("s", Folders(root, 100, metrics), Pace(**pace), metrics, main=True, bound_bytes=None)


def test_a_cursor_is_saved_often_enough(tmp_path: Path) -> None:
    """By count as well as by time: a crash costs no more duplicates than that."""
    folder = spooled(tmp_path, "p", 3 * SAVE_RECORDS, segment_bytes=1 << 30, group=1000, ended=False)
    ways = ways_of(tmp_path, batch_records=5000, batch_bytes=64 << 20)
    ways._saved_at = 1e18  # a second never passes
    delivered = saved = 0
    while True:
        ways.collect()
        if not ways.pending:
            break
        taken = ways.pending[0]
        delivered += sum(len(batch.records) for _, batch in taken)
        ways.advance(taken)
        cursor = load(folder / "cursor-s.json")
        saved = delivered if cursor is not None and cursor.offset == taken[0][1].next.offset else saved
        assert delivered - saved <= SAVE_RECORDS
    assert delivered == 3 * SAVE_RECORDS


def test_a_batch_is_bounded_over_all_folders(tmp_path: Path) -> None:
    """By records and by bytes, however many folders there are."""
    for at in range(20):
        spooled(tmp_path, f"p{at:02}", 50, group=50)
    ways = ways_of(tmp_path, batch_records=60, batch_bytes=20_000)
    for _ in range(40):
        ways.collect()
        if not ways.pending:
            break
        taken = ways.pending[0]
        assert sum(len(batch.records) for _, batch in taken) <= 60
        assert sum(batch.size for _, batch in taken) <= 40_000
        for _ in range(3):
            ways.collect()
        assert len(ways.pending) <= AHEAD
        ways.advance(taken)


def test_what_has_ended_and_is_empty_is_left_in_peace_until_it_begins_again(tmp_path: Path) -> None:
    """Very many folders of pods that are gone cost a look at each counter; a new epoch is seen at once."""
    folder = spooled(tmp_path, "p", 5)
    ways = ways_of(tmp_path)
    for _ in range(3):
        ways.collect()
        while ways.pending:
            ways.advance(ways.pending[0])
    [way] = list(ways)
    assert way.quiet is not None
    assert way.quiet[0] == 1
    assert way.mark is not None
    assert way.mark.ended
    counter = Counter(folder)
    counter.begin(2)
    counter.floor_ms = 5
    ways.collect()
    counter.close()
    assert way.quiet is None
    assert (way.mark.epoch, way.mark.ended, way.mark.at_ms) == (2, False, way.mark.at_ms)


@pytest.mark.parametrize("kept", [False, True])
def test_a_folder_begun_anew_by_hand_is_read_from_its_beginning(tmp_path: Path, kept: bool) -> None:
    """A cursor of numbers that are gone passes nothing over, on disk or in memory, nor does who keeps the house."""
    folder = spooled(tmp_path, "p", 5)
    counter = Counter(folder)
    counter.begin(7)
    counter.end()
    counter.close()
    (folder / "cursor-s.json").write_bytes(b'{"epoch":7,"n":2,"offset":0,"seen":null}')
    ways = ways_of(tmp_path)
    ways.collect()
    assert not ways.pending, "epoch 7 is where this sink is"
    (folder / "counter").unlink()
    for segment in folder.glob("*.seg"):
        segment.unlink()
    spooled(tmp_path, "p", 4)
    if kept:
        ways._folders.hurry()
    ways.collect()
    assert [len(batch.records) for _, batch in ways.pending[0]] == [4]


_MEMORY = """
import sys, resource
from pathlib import Path
from tests.audit.relay.test_ways import ways_of
ways = ways_of(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(50):  # the sink is away: nothing is ever taken
    ways.collect()
    ways.keep_house()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_backlog_costs_no_memory(tmp_path: Path) -> None:
    """Two batches in hand whatever waits on disk; where delivery was is found again without reading all at once."""
    folder = spooled(tmp_path, "p", 80_000, segment_bytes=1 << 30, group=1000, ended=False)
    size = (folder / "00000001-000001.seg").stat().st_size
    assert size > 45 << 20
    at = size - 1_000_000
    (folder / "cursor-s.json").write_bytes(b'{"epoch":1,"n":1,"offset":%d,"seen":[]}' % at)
    grown = subprocess.run([sys.executable, "-c", _MEMORY, tmp_path], cwd=ROOT, capture_output=True, check=True).stdout
    assert int(grown) < 30_000, "KiB"


def test_a_batch_that_was_advanced_over_twice_takes_no_other_with_it(tmp_path: Path) -> None:
    """The thread of a cancelled step may be done after the next step began with the same batch."""
    spooled(tmp_path, "p", 60, ended=False)
    ways = ways_of(tmp_path, batch_records=20)
    ways.collect()
    ways.collect()
    first, second = ways.pending
    ways.advance(first)
    ways.advance(first)
    assert list(ways.pending) == [second]
    ways.advance(second)
    [way] = list(ways)
    assert way.reader.backlog_bytes() > 0
    ways.collect()
    assert sum(len(batch.records) for _, batch in ways.pending[0]) == 20


def test_a_loss_record_by_its_type_alone_is_delivered_as_any_other(tmp_path: Path) -> None:
    """What stands in its details is anybody's; it counts as nothing lost."""
    folder = spooled(tmp_path, "p", 2, ended=False)
    details = {"event": "x", "count": "many", "reason": ["y"]}
    writer = SegmentWriter(folder, "p", 1, segment_bytes=1 << 20)
    event = make_event(event_type=LOSS, producer=Producer("p", 1, 3), details=details)
    writer.append([frame.pack(encode(event)), frame.pack(b'{"event_id":"\xff"}')], [(3, 3)])
    writer.close()
    ways = ways_of(tmp_path)
    delivered = 0
    for _ in range(3):
        ways.collect()
        while ways.pending:
            delivered += sum(len(batch.records) for _, batch in ways.pending[0])
            ways.advance(ways.pending[0])
    assert delivered == 4


def test_the_next_opening_is_known_from_its_first_batch_too(tmp_path: Path) -> None:
    """Its predecessor was reported as ended and holds nothing: else the others' watermarks would pass its backlog."""
    folder = spooled(tmp_path, "p", 5)
    ways = ways_of(tmp_path, batch_records=5)
    for _ in range(4):
        ways.collect()
        while ways.pending:
            ways.advance(ways.pending[0])
    [way] = list(ways)
    assert way.mark is not None
    assert way.mark.ended
    way.reported, ways.urgent = way.mark, False
    assert way.settled
    counter = Counter(folder)
    counter.begin(2)
    counter.floor_ms = 1_700_000_000_000
    writer = SegmentWriter(folder, "p", 2, segment_bytes=1 << 20)
    for number in range(1, 21):
        event = make_event(producer=Producer("p", 2, number))
        writer.append([frame.pack(encode(event))], [(number, number)])
    ways.collect()
    ways.advance(ways.pending[0])
    writer.close()
    counter.close()
    assert ways.urgent
    assert not way.settled
    assert way.mark == Watermark("p", 2, 1, ended=False), "a part of it is delivered, and more is not"


def test_who_had_room_for_its_header_alone_is_known(tmp_path: Path) -> None:
    """The batch was nearly full; what it has may be older than what others are told to have delivered."""
    spooled(tmp_path, "a", 2, ended=False)
    spooled(tmp_path, "b", 5, ended=False)
    ways = ways_of(tmp_path, batch_records=3)
    ways.collect()
    assert [len(batch.records) for _, batch in ways.pending[0]] == [2, 0]
    assert ways.urgent
    assert [way.mark for way in ways if way.name == "b"] == [Watermark("b", 1, 1, ended=False)]
