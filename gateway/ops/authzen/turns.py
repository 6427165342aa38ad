"""Long work on the loop in short turns: the supervisor's loop also fetches keys, relays records and answers probes."""

import asyncio
import time
from typing import Final

_TURN_S: Final = 0.002
"""How long the loop is held at most, beside the question in hand; a question is about 80 us (DESIGN section 9)."""


class Turns:
    """Lets others run between two pieces of work, when it is time to.

    Args:
        within_s: How long the whole may take; `over` says when that is past.
    """

    def __init__(self, within_s: float = float("inf")) -> None:
        self._began = self._turn = time.perf_counter()
        self._within_s = within_s

    @property
    def over(self) -> bool:
        """Whether the whole has taken its time."""
        return time.perf_counter() - self._began >= self._within_s

    async def pause(self) -> None:
        """Go on at once, or after the others have had their turn."""
        if time.perf_counter() - self._turn >= _TURN_S:
            await asyncio.sleep(0)
            self._turn = time.perf_counter()
