"""Newline-delimited JSON both ways, a line at a time, so that no feed is ever held whole."""

from collections.abc import AsyncIterator, Iterable

from pydantic import BaseModel

from services.errors import Unprocessable

NDJSON = "application/x-ndjson"
MAX_LINE_BYTES = 64 * 1024
CHUNK_BYTES = 16 * 1024
"""About what a written chunk holds: many small rows share one, since each costs a turn of the event loop."""


async def read_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[int, bytes]]:
    """The non-empty lines of a body with their numbers from 1, wherever the chunks' borders lie.

    Raises:
        Unprocessable: A line is longer than `MAX_LINE_BYTES`; the lines before it have been handed out.
    """
    rest = b""
    number = 0
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise Unprocessable(code="line_too_long")
            if line.strip():
                yield number, line
        if len(rest) > MAX_LINE_BYTES:
            raise Unprocessable(code="line_too_long")
    if rest.strip():
        yield number + 1, rest


async def written_lines(rows: Iterable[BaseModel]) -> AsyncIterator[bytes]:
    """The rows as lines, in chunks of about `CHUNK_BYTES`."""
    chunk = bytearray()
    for row in rows:
        chunk += row.model_dump_json().encode()
        chunk += b"\n"
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
