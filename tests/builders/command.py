"""A command of ours, run in this process: what an interpreter's start would cost is not what is tested."""

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple
from unittest import mock

import structlog

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
        _own_logging(),
    ):
        try:
            code = cli.main()
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
    return Done(code, *(_text(stream) for stream in (out, err)))


@contextlib.contextmanager
def _own_logging() -> Iterator[None]:
    """A command sets up logging for its process, for good; here others come after it."""
    root = logging.getLogger()
    handlers, level, before = root.handlers[:], root.level, structlog.get_config()
    configure = structlog.configure

    def for_a_while(**said: object) -> None:
        partial(configure, **said)(cache_logger_on_first_use=False)

    try:
        with mock.patch.object(structlog, "configure", for_a_while):
            yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        configure(**before)


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
