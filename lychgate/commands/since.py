"""Points in time as people write them on a command line."""

import re
from datetime import datetime, timedelta

from lychgate.errors import ConfigurationError

_AGO = re.compile(r"([0-9]{1,6})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def moment_of(text: str | None, now: datetime, option: str) -> datetime | None:
    """An RFC 3339 time, or how long ago: `90m`, `24h`, `7d`; None for None.

    Raises:
        ConfigurationError: It is none; the message begins with the option.
    """
    from query.errors import BadQuery
    from query.filters import moment

    if text is None:
        return None
    if ago := _AGO.fullmatch(text):
        try:
            return now - int(ago[1]) * _UNITS[ago[2]]
        except OverflowError as exc:
            raise ConfigurationError(f"{option} is before all time") from exc
    try:
        return moment(text)
    except BadQuery as exc:
        raise ConfigurationError(f"{option} {exc}") from exc
