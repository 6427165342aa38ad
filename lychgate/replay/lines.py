"""Files of recorded events in, lines out: one after the other, none larger than an event can be."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Final

from audit.limits import SpoolLimits
from lychgate.errors import ConfigurationError

STANDARD_INPUT: Final = Path("-")
LINE_BYTES: Final = 4 * SpoolLimits().event_bytes
"""An event of the greatest size, with what the store and the query API add to it."""


def lines(files: Iterable[Path]) -> Iterator[bytes]:
    """Every line of some files that is not empty; one that is too long is cut, so that it reads as malformed.

    Args:
        files: `-` for standard input.

    Raises:
        ConfigurationError: A file cannot be read.
    """
    for file in files:
        with ExitStack() as stack:
            try:
                source = sys.stdin.buffer if file == STANDARD_INPUT else stack.enter_context(file.open("rb"))
                yield from _bounded(source)
            except OSError as exc:
                raise ConfigurationError(f"{file}: cannot be read: {exc.strerror}") from exc


def _bounded(source: IO[bytes]) -> Iterator[bytes]:
    while line := source.readline(LINE_BYTES):
        whole = line.endswith(b"\n") or len(line) < LINE_BYTES
        if stripped := line.strip():
            yield stripped
        while not whole:
            rest = source.readline(LINE_BYTES)
            whole = rest.endswith(b"\n") or len(rest) < LINE_BYTES
