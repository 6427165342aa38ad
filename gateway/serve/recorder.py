"""The records of one worker's exchanges: which, when, and what happens when one cannot be written."""

from collections.abc import Callable

from audit.errors import SpoolUnavailable
from audit.event import AuditEvent, Producer
from gateway.case import Case
from gateway.clock import Clock
from gateway.errors import Code, GatewayError, Unready
from gateway.ports import AuditSink, Waiter
from gateway.record import entry
from gateway.snapshot import Snapshot


class Recorder:
    """Writes what a `Case` has become.

    Args:
        sink: Where records go.
        clock: The worker's.
    """

    def __init__(self, sink: AuditSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    def decided(self, case: Case, snapshot: Snapshot, then: Callable[[bool], None]) -> None:
        """Put an allow on disk before it takes effect; `then` is told whether it is there."""
        event = entry.decided(
            case,
            self._sink.producer(case.event_id),
            self._clock.text(case.received_at),
            snapshot.bundle.version,
            snapshot.bundle.schema_version,
        )
        self._durably(event, then)

    def number(self, case: Case) -> None:
        """Take the number of a buffered record when it is decided: what a kill then swallows has been counted."""
        case.producer = self._sink.producer(case.event_id)

    def decided_meanwhile(self, case: Case, snapshot: Snapshot | None) -> None:
        """Write down a buffered decision whose exchange takes long, so that readers need not wait for its end."""
        versions = _versions(snapshot)
        event = entry.decided(case, self._numbered(case), self._clock.text(case.received_at), *versions)
        self._sink.emit(event)

    def completed(self, case: Case) -> None:
        """Say how an allow that is on disk ended."""
        now = self._clock.now()
        producer = self._sink.producer(case.event_id)
        event = entry.completed(case, producer, self._clock.text(now), _micros(now - case.received_at))
        self._sink.emit(event, durable=True)

    def single(self, case: Case, snapshot: Snapshot | None) -> None:
        """Write the only record of a buffered exchange."""
        self._sink.emit(self._single(case, snapshot))

    def refused(
        self, case: Case, snapshot: Snapshot | None, error: GatewayError, then: Callable[[GatewayError], None]
    ) -> None:
        """Record a refusal before it is answered; `then` is told what to answer.

        A known caller's refusal is on disk by then, or the answer becomes `audit_unavailable`. A stranger's is folded
        with those alike and does not wait.
        """
        if not entry.is_known(case):
            self._sink.emit_folded(
                entry.fold_key(case), case.trace_id, lambda stamp: self._single(case, snapshot, stamp.producer)
            )
            then(error)
            return
        unavailable = Unready("the refusal cannot be recorded", code=Code.AUDIT_UNAVAILABLE)
        self._durably(self._single(case, snapshot), lambda kept: then(error if kept else unavailable))

    def tick(self) -> None:
        """Write the folds whose time has come."""
        self._sink.emit_due()

    def close(self) -> None:
        """Write what is still folded."""
        self._sink.emit_due(everything=True)

    def _durably(self, event: AuditEvent, then: Callable[[bool], None]) -> None:
        try:
            waiter = self._sink.emit_durable(event)
        except SpoolUnavailable:
            then(False)
            return

        def written(done: Waiter) -> None:
            then(done.exception() is None)

        waiter.add_done_callback(written)

    def _single(self, case: Case, snapshot: Snapshot | None, producer: Producer | None = None) -> AuditEvent:
        latency_us = _micros(self._clock.now() - case.received_at)
        producer = producer or self._numbered(case)
        at = self._clock.text(case.received_at)
        return entry.single(case, producer, at, latency_us, *_versions(snapshot))

    def _numbered(self, case: Case) -> Producer:
        """The number that was taken for this record, or the next; each is used once."""
        producer, case.producer = case.producer or self._sink.producer(case.event_id), None
        return producer


def _versions(snapshot: Snapshot | None) -> tuple[str, str]:
    """Of policies and schema; empty while there are none."""
    return (snapshot.bundle.version, snapshot.bundle.schema_version) if snapshot is not None else ("", "")


def _micros(seconds: float) -> int:
    return max(0, int(seconds * 1e6))
