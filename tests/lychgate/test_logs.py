"""One JSON object a line, ours and the libraries' alike."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from lychgate.logs import LogFormat, configure


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Logging is the process's own: put it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_every_line_is_one_json_object() -> None:
    """Our events and a library's records have time, level, name; an error's trace stays on the line."""
    stream = io.StringIO()
    configure(LogFormat.JSON, stream=stream)
    structlog.get_logger("ours").info("thing_happened", trace_id="t-1")
    try:
        int("broken")
    except ValueError:
        logging.getLogger("theirs").exception("it %s", "failed")
    ours, theirs = (json.loads(line) for line in stream.getvalue().splitlines())
    assert ours["event"] == "thing_happened"
    assert ours["trace_id"] == "t-1"
    assert {"at", "level", "logger"} <= ours.keys()
    assert theirs["event"] == "it failed"
    assert "ValueError: invalid literal" in theirs["exception"]


def test_people_get_lines_for_people() -> None:
    """The console form is no JSON and holds the same words."""
    stream = io.StringIO()
    configure(LogFormat.CONSOLE, stream=stream)
    structlog.get_logger("ours").warning("thing_happened")
    assert "thing_happened" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_requests_are_not_logged_line_by_line() -> None:
    """That is what the audit is for."""
    stream = io.StringIO()
    configure(LogFormat.JSON, stream=stream)
    logging.getLogger("uvicorn.access").info("GET /")
    logging.getLogger("httpx").info("HTTP Request")
    assert stream.getvalue() == ""
