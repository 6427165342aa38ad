"""Tests of `audit.spool.replay`; with a real store in `tests/lychgate/commands/audit/test_replay.py`."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from audit.errors import SinkUnavailable
from audit.spool.inspect import Wanted
from audit.spool.replay import Replayed, batches, replay
from tests.audit.spool.test_inspect import filled


def test_batches_are_bounded_by_count_and_bytes() -> None:
    """Nothing is left out and none is larger than a sink takes at once."""
    assert [len(batch) for batch in batches([b"x"] * 4500)] == [2000, 2000, 500]
    assert [len(batch) for batch in batches([b"x" * (3 << 20)] * 3)] == [2, 1]
    assert list(batches([])) == []


async def test_what_was_yielded_is_delivered(tmp_path: Path) -> None:
    """The sums rise; when the sink fails in the middle, what was said before stands."""
    filled(tmp_path)
    got: list[bytes] = []

    async def deliver(records: Sequence[bytes]) -> Replayed:
        got.extend(records)
        if len(got) > 5:
            raise SinkUnavailable("down")
        return Replayed(len(records), delivered=len(records))

    sums = [each async for each in replay(tmp_path, deliver, Wanted("one"))]
    assert sums == [Replayed(5, 5)]
    with pytest.raises(SinkUnavailable):
        _ = [each async for each in replay(tmp_path, deliver)]
