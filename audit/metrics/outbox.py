"""What the relay of an outbox counts."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Counter, Gauge, Label

REFUSED: Final = ("malformed", "identity", "sink")
TROUBLES: Final = ("sink", "database")


class OutboxMetrics:
    """Of the relay of a service's outbox."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Gauge("audit_outbox_pending", "Rows that wait, counted up to 100,000.", registry=registry)
        self.oldest_seconds = Gauge(
            "audit_outbox_oldest_seconds", "Age of the oldest row that waits; 0 if none does.", registry=registry
        )
        self.relayed = Counter("audit_outbox_relayed", "Rows delivered and removed.", registry=registry)
        self.failures = Counter(
            "audit_outbox_failures",
            "Rounds that failed and are repeated, by what was not there.",
            [Label("of", TROUBLES)],
            registry=registry,
        )
        self.refused = Counter(
            "audit_outbox_refused",
            "Rows set apart because they are no event, by reason; `lychgate audit outbox status` shows them.",
            [Label("reason", REFUSED)],
            registry=registry,
        )
        self.refused_rows = Gauge("audit_outbox_refused_pending", "Rows that are set apart.", registry=registry)
