"""Lines of JSON both ways."""

from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.errors import Unprocessable
from services.ndjson import CHUNK_BYTES, MAX_LINE_BYTES, read_lines, written_lines
from services.records import Stock


async def pieces(whole: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    """The bytes, cut where it is said."""
    places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    for start, end in pairwise(places):
        yield whole[start:end]


@given(
    lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b" ")), max_size=10),
    cuts=st.lists(st.integers(0, 400), max_size=10),
)
async def test_lines_are_the_same_wherever_the_chunks_end(lines: list[bytes], cuts: list[int]) -> None:
    """Every line with something in it comes once, with its number, however the body was cut."""
    read = [found async for found in read_lines(pieces(b"\n".join(lines), cuts))]
    assert read == [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


@pytest.mark.parametrize("end", [b"", b"\n"])
async def test_a_line_that_is_too_long_is_refused(end: bytes) -> None:
    """With or without an end, after the lines before it were handed out."""
    lines = read_lines(pieces(b"good\n" + b"x" * (MAX_LINE_BYTES + 1) + end, [100, 40_000]))
    assert await anext(lines) == (1, b"good")
    with pytest.raises(Unprocessable):
        await anext(lines)


async def test_a_line_of_just_the_limit_is_read() -> None:
    """The limit itself is allowed."""
    whole = b"x" * MAX_LINE_BYTES
    assert [line async for _, line in read_lines(pieces(whole, []))] == [whole]


async def test_what_is_written_is_read_again() -> None:
    """Rows go out in chunks of bounded size, and come back whole."""
    rows = [Stock(sku=f"ABC-{number:05}", shelf=number, backroom=0) for number in range(2_000)]
    chunks = [chunk async for chunk in written_lines(rows)]
    assert max(map(len, chunks)) < CHUNK_BYTES + 200
    read = [Stock.model_validate_json(line) async for _, line in read_lines(pieces(b"".join(chunks), []))]
    assert read == rows
    assert [chunk async for chunk in written_lines([])] == []
