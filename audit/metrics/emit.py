"""What whoever emits counts."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.buckets import BATCH_BUCKETS, DURATION_BUCKETS, LATENCY_BUCKETS
from audit.metrics.closed import Counter, Gauge, Histogram, Label
from audit.metrics.tally import HistogramTally
from audit.redact import Mode, Report

GUARANTEES: Final = ("durable", "buffered")
FAILURES: Final = ("queue", "full", "min_free", "tenant_share", "disk", "vanished", "closed")
"""Why a record was not taken: no room in memory, in the spool, on the disk that others use too, in its tenant's share;
the disk refused; the folder is gone; it is over."""
EFFECTS: Final = ("shed", "refused")
SPOOL_OPERATIONS: Final = ("write", "sync", "vanished", "end", "thread")
SAMPLE: Final = 16
"""One emit of so many is timed: two looks at the clock cost 0.15 us, of the 5 us that an emit may."""


class Failed:
    """The failures of one effect.

    Args:
        counter: Of all of them.
        effect: One of `EFFECTS`.
    """

    def __init__(self, counter: Counter, effect: str) -> None:
        self._counter = counter
        self._effect = effect

    def labels(self, reason: str) -> Counter:
        """The series of a reason."""
        return self._counter.labels(self._effect, reason)


class EmitMetrics:
    """Of whoever emits: gateway workers, services, the query process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        guarantee = Label("guarantee", GUARANTEES)
        self._class = Label("class", of="`secret` and the configured classes")
        self._queue_bytes_max = self._queue_records_max = self._spool_bytes_max = 0
        self.emitted = Counter(
            "audit_emitted", "Records taken into the spool's queue, by guarantee.", [guarantee], registry=registry
        )
        self.failed = Counter(
            "audit_emit_failures",
            "Records that were not taken, by effect (shed: given up, and named in an audit.loss event; refused: and "
            "the request with it) and reason.",
            [Label("effect", EFFECTS), Label("reason", FAILURES)],
            registry=registry,
        )
        self.shed, self.refused = (Failed(self.failed, effect) for effect in EFFECTS)
        self.truncated = Counter("audit_truncated", "Records that lost their large parts.", registry=registry)
        self.folded = Counter(
            "audit_folded", "Refusals counted in a folded record instead of their own.", registry=registry
        )
        self.redacted = Counter(
            "audit_events_redacted",
            "Events of which something was taken out before the spool, by class and mode; one of two classes in each.",
            [self._class, Label("mode", (Mode.LOG, Mode.ENFORCE))],
            registry=registry,
        )
        self.redacted_fields = Counter(
            "audit_redacted_fields", "Fields taken out before the spool, by class.", [self._class], registry=registry
        )
        self.would_redact = Counter(
            "audit_redaction_would_apply",
            "In mode log: fields that are stored, and that a view would hide which hides their class, by class.",
            [self._class],
            registry=registry,
        )
        self.last_redacted = Gauge(
            "audit_last_redaction_timestamp_seconds",
            "When a field was last taken out, seconds since the epoch.",
            registry=registry,
        )
        self.redaction_failures = Counter(
            "audit_redaction_failures", "Records whose body went because redacting failed.", registry=registry
        )
        self.redaction_off = Gauge(
            "audit_redaction_off",
            "Processes that write events as they come, secrets and all (mode off).",
            registry=registry,
        )
        self.queue_depth = Gauge("audit_queue_depth", "Records in memory, not yet written.", registry=registry)
        self.queue_bytes = Gauge("audit_queue_bytes", "Bytes in memory, not yet written.", registry=registry)
        self.queue_capacity_bytes = Gauge("audit_queue_capacity_bytes", "The queue's bound.", registry=registry)
        self.queue_capacity = Gauge("audit_queue_capacity", "The queue's bound, in records.", registry=registry)
        self.queue_oldest_seconds = Gauge(
            "audit_queue_oldest_seconds",
            "How long the oldest record that is not on disk has waited; of several processes the longest."
            " It grows while a disk hangs.",
            registry=registry,
        )
        self.spool_bytes = Gauge(
            "audit_spool_bytes", "Bytes in this process's undelivered segments.", registry=registry
        )
        self.spool_capacity_bytes = Gauge("audit_spool_capacity_bytes", "The spool's bound.", registry=registry)
        self.queue_saturation = Gauge(
            "audit_queue_saturation_ratio",
            "How full memory is of what may wait there, as it is now; of several processes the fullest.",
            registry=registry,
        )
        self.spool_saturation = Gauge(
            "audit_spool_saturation_ratio",
            "How full the spool is; of several processes the fullest.",
            registry=registry,
        )
        self.emit_latency = HistogramTally(
            "audit_emit_latency_seconds",
            "From emit to written (buffered) or synced (durable); all records of a group as the one that waited "
            "longest.",
            [guarantee],
            LATENCY_BUCKETS,
            registry,
        )
        self.emit_duration = HistogramTally(
            "audit_emit_duration_seconds",
            f"What an emit costs its caller, redacting and encoding included; one of {SAMPLE} is timed.",
            [],
            DURATION_BUCKETS,
            registry,
        )
        self.commit_records = Histogram(
            "audit_commit_records", "Records in one group commit.", buckets=BATCH_BUCKETS, registry=registry
        )
        self.spool_errors = Counter(
            "audit_spool_errors",
            "Failed disk operations of the spool, by operation.",
            [Label("op", SPOOL_OPERATIONS)],
            registry=registry,
        )

    def watch_queue(self, depth: Callable[[], int], size: Callable[[], int], spooled: Callable[[], int]) -> None:
        """Show the queue as it is when it is looked at: whoever would report it may hang with the disk.

        Args:
            depth: Records in memory.
            size: Bytes in memory.
            spooled: Bytes undelivered.
        """
        self.queue_depth.set_function(depth)
        self.queue_bytes.set_function(size)
        self.spool_bytes.set_function(spooled)
        self.queue_saturation.set_function(
            lambda: max(_share(size(), self._queue_bytes_max), _share(depth(), self._queue_records_max))
        )
        self.spool_saturation.set_function(lambda: _share(spooled(), self._spool_bytes_max))

    def bound(self, *, queue_bytes: int, spool_bytes: int, queue_records: int = 0) -> None:
        """Say how much may wait in memory, and how much may lie undelivered; 0 records is no bound on their number."""
        self._queue_bytes_max, self._queue_records_max, self._spool_bytes_max = queue_bytes, queue_records, spool_bytes
        self.queue_capacity_bytes.set(queue_bytes)
        self.queue_capacity.set(queue_records)
        self.spool_capacity_bytes.set(spool_bytes)

    def redacting(self, mode: Mode, classes: Iterable[str]) -> None:
        """Say how this process redacts, before it does; the classes are what may be counted by."""
        self._class.allow(classes)
        self.redaction_off.set(mode is Mode.OFF)
        for counter in (self.redacted, self.redacted_fields, self.would_redact):
            counter.show_zeros()

    def count_redacted(self, report: Report, at_s: float) -> None:
        """Count what was taken out of one event, seconds since the epoch."""
        for name, count in report.taken.items():
            self.redacted.labels(name, report.mode.value).inc()
            self.redacted_fields.labels(name).inc(count)
            self.last_redacted.set(at_s)
        for name, count in report.would.items():
            self.would_redact.labels(name).inc(count)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
