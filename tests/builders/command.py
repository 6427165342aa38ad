"""A command of ours, run in this process: what an interpreter's start would cost is not what is tested."""

import contextlib
import io
import sys
from typing import NamedTuple
from unittest import mock

from lychgate import cli


class Done(NamedTuple):
    """How it ended."""

    returncode: int
    stdout: str
    stderr: str


def run(*words: str) -> Done:
    """Run `lychgate` with these words, as its script does."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        mock.patch.object(sys, "argv", ["lychgate", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            code = cli.main()
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
    return Done(code, *(_text(stream) for stream in (out, err)))


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
