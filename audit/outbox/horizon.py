"""Until when everything an outbox was ever given is visible: what its watermark rests on. Pure.

A row is given its id inside its transaction, after the transaction has its number. So: the clock is read, then a number
is taken. Whatever has an id from before that moment belongs to a transaction with a lesser number; and once no
transaction with a lesser number is open any more, all of it is visible or rolled back.
"""

from collections import deque
from typing import Final

_OBSERVED_COUNT: Final = 1000


class Horizon:
    """Takes observations, says until when all is visible."""

    def __init__(self) -> None:
        self._observed: deque[tuple[int, int]] = deque()
        self._through_ms: int | None = None

    def observe(self, at_ms: int, number: int, least_open: int) -> int | None:
        """Take an observation.

        Args:
            at_ms: The database's clock, milliseconds since the epoch, read before the number was taken.
            number: The number of a transaction of ours.
            least_open: The least number of a transaction that was still open afterwards.

        Returns:
            Every row with an earlier id is visible; None as long as that cannot be said of any time.
        """
        if len(self._observed) < _OBSERVED_COUNT:  # behind a transaction that never ends, the rest is no news
            self._observed.append((at_ms, number))
        while self._observed and self._observed[0][1] < least_open:
            self._through_ms = self._observed.popleft()[0]
        return self._through_ms
