"""How far the store is complete and who holds it back: as numbers, for alerts."""

from collections import Counter as Tally
from typing import Final

from audit.keeper.jobs import Connection, Job
from audit.metrics import CompletenessMetrics

STATES: Final = ("reporting", "silent", "ahead", "retired", "ended")
"""As `audit_producer_states` names them."""
_EVERY_S: Final = 5.0


def completeness_job(metrics: CompletenessMetrics, every_s: float = _EVERY_S) -> Job:
    """The job that looks."""

    async def look(connection: Connection) -> None:
        through = await connection.fetchval("SELECT audit_advance()")  # whoever was retired meanwhile holds no more
        if through is not None:
            metrics.watermark.set(through.timestamp())
        found = Tally(row["state"] for row in await connection.fetch("SELECT state FROM audit_producer_states()"))
        for state in STATES:
            metrics.producers.labels(state).set(found[state])

    return Job("completeness", every_s, look)
