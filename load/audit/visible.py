"""When events became visible, seen from outside: the store is asked again and again, as a reader would.

Each producer's records reach the store in order for each tenant. So the newest visible number of every tenant tells
that all before the least of them are there.
"""

import asyncio
import statistics
import time
from array import array
from collections.abc import Callable
from pathlib import Path

import asyncpg

from load.audit.emitting import TENANTS

_LOOK_S = 0.002
_NEWEST = (
    "SELECT producer_seq FROM audit_events WHERE tenant_id = $1 AND producer_id = $2 ORDER BY event_id DESC LIMIT 1"
)


class Watch:
    """Looks at the store.

    Args:
        dsn: The owner's: no view stands between.
        producer: Whose records.

    Attributes:
        seen: Time in nanoseconds, and the number up to which everything was visible then.
    """

    def __init__(self, dsn: str, producer: str) -> None:
        self._dsn = dsn
        self._producer = producer
        self.seen: list[tuple[int, int]] = []

    async def until(
        self, count: int, within_s: float, look_s: float = _LOOK_S, each: Callable[[], None] = int
    ) -> float:
        """Look until so many are visible.

        Args:
            count: How many.
            within_s: For how long.
            look_s: How often.
            each: Called at each look.

        Returns:
            Monotonic time when they were.

        Raises:
            TimeoutError: they are not.
        """
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute("SET ROLE audit_owner")
            statement = await connection.prepare(_NEWEST)
            async with asyncio.timeout(within_s):
                while True:
                    numbers = [await statement.fetchval(tenant, self._producer) or 0 for tenant in TENANTS]
                    self.seen.append((time.time_ns(), _through(numbers)))
                    each()
                    if self.seen[-1][1] >= count:
                        return time.monotonic()
                    await asyncio.sleep(look_s)
        finally:
            await connection.close()

    def delays(self, emitted: Path) -> tuple[float, float]:
        """From emit to visible, seconds: median and 99th percentile; to within one look."""
        at = array("q", emitted.read_bytes())
        delays: list[float] = []
        number = 0
        for now_ns, through in self.seen:
            while number < min(through, len(at)):
                delays.append((now_ns - at[number]) / 1e9)
                number += 1
        delays.sort()
        return statistics.median(delays), delays[int(len(delays) * 0.99)]


def _through(numbers: list[int]) -> int:
    """All up to here are visible: the tenants take turns, so each one's newest vouches for the rest of its turn."""
    return max(0, min(numbers) + len(TENANTS) - 1) if min(numbers) else 0
