"""One JSON object a line on standard error, or lines for people; ours and the libraries' alike.

Libraries speak through the standard `logging`; their records pass the same processors, so that a reader of the log
meets one form. A line never holds a secret: what is logged is named field by field, and no object with a key in it
prints it (their `repr` leaves it out).
"""

import logging
import sys
from enum import StrEnum
from typing import TextIO


class LogFormat(StrEnum):
    """How a line looks."""

    JSON = "json"
    CONSOLE = "console"


def configure(form: LogFormat, *, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Set up logging for this process; called once, by the command.

    Args:
        form: JSON for machines, console for people.
        stream: Where lines go; standard error when not given.
        level: The least level that is written.
    """
    import structlog  # here, because `lychgate --help` is to be quick and this takes a fifth of a second

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer()]
        if form is LogFormat.CONSOLE
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    # One line a request is what the audit is for.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
