"""Times and decimals that a policy names in, those just beside them out: there a comparison changes its mind. Pure.

Cedar's datetimes and durations have milliseconds, its decimals four digits (docs: policies/syntax-datatypes).
"""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from policies.model import Json

_DURATION: Final = re.compile(r"(-)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_TICK: Final = timedelta(milliseconds=1)
_PLACES: Final = Decimal("0.0001")


def extension(function: str, argument: str) -> Json:
    """A value of an extension type in Cedar's JSON form."""
    return {"__extn": {"fn": function, "arg": argument}}


def argument(value: Json, function: str) -> str | None:
    """What an extension's value is written as; None where it is none of this function."""
    match value:
        case {"__extn": {"fn": found, "arg": str(text)}} if found == function:
            return text
        case _:
            return None


def times(now: Json, found: Iterable[Json]) -> list[Json]:
    """Times worth trying, the nearest to the present one first.

    Args:
        now: The attribute's value; None where it is not there.
        found: Literals of the policies: their times, and their durations as times of the day of `now`.
    """
    here = _time(argument(now, "datetime") or "")
    near: set[datetime] = set()
    for value in found:
        at = _time(argument(value, "datetime") or "")
        if at is None and here is not None and (span := _span(argument(value, "duration") or "")) is not None:
            at = here.replace(hour=0, minute=0, second=0, microsecond=0) + span
        if at is not None:
            near |= {at - _TICK, at, at + _TICK}
    ordered = sorted(near, key=lambda at: (abs(at - here) if here else timedelta(0), at))
    return [extension("datetime", at.isoformat(timespec="milliseconds").replace("+00:00", "Z")) for at in ordered]


def decimals(found: Iterable[Json]) -> Iterator[Json]:
    """Decimals worth trying."""
    for value in found:
        text = argument(value, "decimal")
        try:
            number = Decimal(text) if text is not None else None
        except InvalidOperation:
            continue
        for step in (-_PLACES, Decimal(0), _PLACES) if number is not None else ():
            yield extension("decimal", f"{(number or Decimal(0)) + step:.4f}")


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    year = timedelta(days=366)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    # so that a neighbour or a time of the day cannot leave the calendar
    return at if datetime.min.replace(tzinfo=UTC) + year < at < datetime.max.replace(tzinfo=UTC) - year else None


def _span(text: str) -> timedelta | None:
    """A duration of at most a day; longer ones are no time of the day."""
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        return None
    days, hours, minutes, seconds, ticks = (int(part or 0) for part in match.groups()[1:])
    if max(days, hours // 24, minutes // 1440, seconds // 86400, ticks // 86400000) > 1:
        return None
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds, milliseconds=ticks)
    return -span if match[1] else span
