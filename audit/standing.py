"""How this machine stands to the store: whether their clocks agree, and who holds `complete_through`.

Ids are made of the clock, and the store orders by them. A gateway whose clock is in 2030 writes records that no reader
will see in their place; it must know, say so, and take no traffic. Direct form only: behind a broker there is nobody
whose clock could be asked (ADR 165).
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import structlog

from audit.login import check_role
from audit.metrics import StandingMetrics

_TIMEOUT_S = 5.0
_LOOK = "SELECT extract(epoch FROM clock_timestamp())::float8 AS at, audit_complete_through() AS through"
_HOLDERS = """
SELECT producer, epoch, state, watermark, silent_s FROM audit_producer_states() WHERE holds LIMIT 5
"""

_log = structlog.get_logger("audit.standing")


@dataclass(frozen=True, slots=True)
class Standing:
    """What was seen last.

    Attributes:
        skew_s: This machine's clock less the store's, seconds.
        complete_through: What readers are told, RFC 3339; None before anybody has reported.
        held_by: Who holds it there.
    """

    skew_s: float
    complete_through: str | None
    held_by: tuple[dict[str, Any], ...]


class Watch:
    """Looks at the store's clock again and again.

    Args:
        dsn: The writer's login.
        metrics: Where the skew is shown.
        limit_s: How much of it is too much.
        every_s: From one look to the next.
        now_ns: This machine's clock, nanoseconds since the epoch.

    Attributes:
        seen: What was seen last; None before the first look.
    """

    def __init__(
        self,
        dsn: str,
        metrics: StandingMetrics,
        *,
        limit_s: float,
        every_s: float,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.seen: Standing | None = None
        self._dsn = dsn
        self._metrics = metrics
        self._limit_s = limit_s
        self._every_s = every_s
        self._now_ns = now_ns
        self._told = False

    @property
    def off(self) -> bool:
        """Whether the clocks are too far apart, as far as is known."""
        return self.seen is not None and abs(self.seen.skew_s) > self._limit_s

    async def run(self) -> None:
        """Look until cancelled. A store that is away changes nothing: what was seen last stands."""
        while True:
            await self.look()
            await asyncio.sleep(self._every_s)

    async def look(self) -> bool:
        """Look once; returns whether the store answered."""
        try:
            self.seen = await self._ask()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False  # the relay says so, and counts it
        self._metrics.skew.set(self.seen.skew_s)
        if self.off != self._told:
            self._told = self.off
            say = _log.error if self.off else _log.info
            say("audit_clock_off" if self.off else "audit_clock_right", skew_s=round(self.seen.skew_s, 3))
        return True

    async def _ask(self) -> Standing:
        # A connection of its own: the relay's may be in the middle of a long batch.
        connection = await asyncpg.connect(self._dsn, timeout=_TIMEOUT_S, command_timeout=_TIMEOUT_S)
        try:
            await check_role(connection)
            await connection.execute("SELECT 1")
            began = self._now_ns()
            row = await connection.fetchrow(_LOOK)
            middle = (began + self._now_ns()) / 2e9
            holders = await connection.fetch(_HOLDERS)
        finally:
            connection.terminate()
        if row is None:
            raise asyncpg.InterfaceError("no answer")
        through = row["through"]
        return Standing(
            middle - row["at"],
            None if through is None else through.isoformat(),
            tuple({**holder, "watermark": holder["watermark"].isoformat()} for holder in map(dict, holders)),
        )
