"""The gateway's clock, and times as records and policies write them. Everything else is handed a Clock."""

import time
from typing import Final

_MICROSECONDS: Final = 1_000_000


class Clock:
    """Wall time in seconds and as RFC 3339 text; the running second's text is kept, each request asks for it."""

    __slots__ = ("_prefix", "_second")

    def __init__(self) -> None:
        self._second = -1
        self._prefix = ""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()  # noqa: TID251 - this is the Clock that others take

    def text(self, at: float) -> str:
        """`at` as RFC 3339 in UTC with microseconds and `Z`."""
        micros = round(at * _MICROSECONDS)
        second = micros // _MICROSECONDS
        fraction = micros - second * _MICROSECONDS
        if second != self._second:
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._prefix}.{fraction:06d}Z"
