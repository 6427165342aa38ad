"""Which decisions the shadow is asked about: a share of them, chosen by nothing but their ids. Pure.

The last twelve digits of an event's id are random (`audit.ids`), whoever asked and whatever for; so the choice is
unbiased, and two gateways with the same share choose the same ids.
"""

from collections.abc import Iterable
from typing import Final

_START: Final = b'{"event_id":"'
_DIGITS: Final = 12
_FROM: Final = len(_START) + 24
_TO: Final = _FROM + _DIGITS
_ALL: Final = b"g"
"""After every hexadecimal digit."""


class Sample:
    """Chooses records.

    Args:
        share: From 0 (none) to 1 (all).
    """

    __slots__ = ("_below",)

    def __init__(self, share: float) -> None:
        self._below = _ALL if share >= 1 else f"{int(share * 16**_DIGITS):012x}".encode()

    def chosen(self, records: Iterable[bytes]) -> list[bytes]:
        """Those of the records, as the spool has them, whose event is chosen; a decision's end has its id."""
        below = self._below
        return [record for record in records if record[_FROM:_TO] < below and record.startswith(_START)]
