"""Tests of `audit.spool.walk`: what it reads is what reading whole gives, whatever is broken, with little in memory."""

import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from audit.errors import SpoolFormat
from audit.spool import frame, walk
from audit.spool.segment import Header, contents, pack_header
from audit.spool.walk import Walk


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@example(payloads=[b"x" * 20] * 4, flips=[(0.6, 1)], cut=1.0, chunk=7)
@example(payloads=[b"x" * 20] * 4, flips=[(0.05, 1)], cut=0.95, chunk=64)
@given(
    st.lists(st.binary(max_size=60), max_size=12),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), max_size=3),
    st.floats(0, 1),
    st.integers(1, 64),
)
def test_it_reads_what_reading_whole_gives(
    tmp_path: Path, payloads: list[bytes], flips: list[tuple[float, int]], cut: float, chunk: int
) -> None:
    """Flipped bytes, a cut, and pieces of any size: the same records, header and damage."""
    data = bytearray(pack_header(Header("p", 1, 1, [])) + b"".join(frame.pack(each) for each in payloads))
    for at, mask in flips:
        data[int(at * len(data))] ^= mask
    file = tmp_path / "00000001-000001.seg"
    file.write_bytes(bytes(data[: int(cut * len(data))]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walk, "_CHUNK", chunk)
        read = Walk(file)
        records = list(read)
    whole = contents(file)
    assert records == list(whole.records)
    assert read.header == whole.header
    assert (read.damaged or read.header is None) == whole.damaged


def test_a_large_segment_is_not_held_in_memory(tmp_path: Path) -> None:
    """Twenty megabytes are read with less than four."""
    file = tmp_path / "00000001-000001.seg"
    file.write_bytes(pack_header(Header("p", 1, 1, [])) + frame.pack(b"x" * 1000) * 20_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in Walk(file)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_it_follows_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    """What is no file is refused at once."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(SpoolFormat, match="regular"):
            list(Walk(tmp_path / name))
