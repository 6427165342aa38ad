"""What is known of clocks and of completeness."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Gauge, Label

STATES: Final = ("reporting", "silent", "ahead", "retired", "ended")
"""Of a producer, as `audit_producer_states()` says."""


class StandingMetrics:
    """Of a machine that writes the store itself: its clock."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.skew = Gauge(
            "audit_clock_skew_seconds",
            "This machine's clock less the store's, as last seen; beyond audit.clock.skew_limit_s it is not ready.",
            registry=registry,
        )


class CompletenessMetrics:
    """Of the store, as the keeper sees it: how far it is complete, and who holds it back."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.watermark = Gauge(
            "audit_watermark_timestamp_seconds",
            "What readers are told is complete, seconds since the epoch, as the keeper last saw it.",
            registry=registry,
        )
        self.producers = Gauge(
            "audit_producers",
            "Producers by state (reporting, silent, ahead, retired, ended); who is silent holds readers back.",
            [Label("state", STATES)],
            registry=registry,
        )
