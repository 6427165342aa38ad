"""The wall clock of the command line. Everything else is handed one."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime]
"""Gives the present time, with its zone."""


def utc_now() -> datetime:
    """The present time in UTC."""
    return datetime.now(UTC)  # noqa: TID251 -- this is the Clock that others take


def stamp(now: datetime) -> str:
    """A time as it stands in the name of what is set aside: `20261123T154811Z`."""
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
