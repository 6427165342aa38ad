"""The keeper's job `dead_letters`: how many are pending, by reason."""

from prometheus_client import CollectorRegistry

from audit.ingest import DeadReason
from audit.keeper.jobs import Connection, Job
from audit.metrics.dead_letters import DeadLetterMetrics

DEAD_LETTERS = "dead_letters"
_EVERY_S = 30.0


def pending_job(*, metrics: DeadLetterMetrics | None = None, every_s: float = _EVERY_S) -> Job:
    """The job.

    Args:
        metrics: Where it counts.
        every_s: Between two counts.
    """
    counted = metrics or DeadLetterMetrics(CollectorRegistry())

    async def work(connection: Connection) -> None:
        rows = await connection.fetch("SELECT reason, pending FROM audit_dead_letters_count()")
        found = {row["reason"]: row["pending"] for row in rows}
        for reason in DeadReason:
            counted.pending.labels(reason.value).set(found.get(reason.value, 0))

    return Job(DEAD_LETTERS, every_s, work)
