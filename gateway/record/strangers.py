"""Refusals of callers nobody knows."""

from gateway.case import Case
from gateway.clock import Clock
from gateway.ports import AuditSink
from gateway.record import entry


class Strangers:
    """Books refusals of unknown callers."""

    def __init__(self, sink: AuditSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    def refused(self, case: Case, now: float, latency_us: int, policy_version: str, schema_version: str) -> None:
        """Take one refusal."""
        producer = self._sink.producer(case.event_id)
        self._sink.emit(
            entry.single(case, producer, self._clock.text(case.received_at), latency_us, policy_version, schema_version)
        )

    def tick(self, now: float) -> None:
        """Write what is due."""

    def close(self) -> None:
        """Write what is left."""
