"""Tests of `audit.spool.frame`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.spool import frame

PAYLOADS = st.lists(st.binary(max_size=200), min_size=1, max_size=8)


@given(PAYLOADS)
def test_what_was_packed_is_read(payloads: list[bytes]) -> None:
    """Any payloads come back in order, and reading stops at the end."""
    data = b"".join(frame.pack(payload) for payload in payloads)
    frames, stop = frame.read(data)
    assert [item.payload for item in frames] == payloads
    assert stop == len(data)
    assert {item.kind for item in frames} == {frame.RECORD}


@given(PAYLOADS, st.data())
def test_a_torn_tail_costs_only_the_last_frame(payloads: list[bytes], data: st.DataObject) -> None:
    """Cut anywhere, exactly the frames that are whole are read, and it is not called damage."""
    packed = [frame.pack(payload) for payload in payloads]
    whole = b"".join(packed)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [sum(map(len, packed[: index + 1])) for index in range(len(packed))]
    expected = sum(end <= cut for end in ends)
    frames, damaged = frame.salvage(whole[:cut])
    assert [item.payload for item in frames] == payloads[:expected]
    assert not damaged


@given(st.lists(st.binary(max_size=60), min_size=3, max_size=6), st.data())
def test_a_damaged_byte_costs_only_its_frame(payloads: list[bytes], data: st.DataObject) -> None:
    """Flip any byte of a frame in the middle: it alone is missing, and the damage is seen."""
    packed = [frame.pack(payload) for payload in payloads]
    victim = data.draw(st.integers(0, len(packed) - 2))
    at = data.draw(st.integers(0, len(packed[victim]) - 1))
    flip = data.draw(st.integers(1, 255))
    broken = bytearray(packed[victim])
    broken[at] ^= flip
    frames, damaged = frame.salvage(b"".join([*packed[:victim], bytes(broken), *packed[victim + 1 :]]))
    assert [item.payload for item in frames] == payloads[:victim] + payloads[victim + 1 :]
    assert damaged


@given(st.binary(max_size=300))
def test_garbage_is_never_a_record(garbage: bytes) -> None:
    """Bytes that nobody packed yield nothing and raise nothing."""
    frames, damaged = frame.salvage(garbage)
    assert frames == []
    assert not damaged


def test_a_length_beyond_reason_is_not_waited_for() -> None:
    """A frame that claims more than any record can have is no frame."""
    head = b"\xablgR" + (frame.PAYLOAD_LIMIT + 1).to_bytes(4, "little") + b"\0\0\0\0"
    assert frame.frame_at(head + b"x" * 100, 0) is None


@pytest.mark.parametrize("kind", [frame.HEADER, frame.RECORD, frame.END])
def test_kinds_are_told_apart(kind: bytes) -> None:
    """The kind is part of what the checksum covers."""
    packed = frame.pack(b"x", kind)
    assert frame.frame_at(packed, 0) == frame.Frame(kind, b"x", len(packed))
    other = b"E" if kind != b"E" else b"R"
    assert frame.frame_at(packed[:3] + other + packed[4:], 0) is None
