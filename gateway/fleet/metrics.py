"""Names of what a gateway counts about revocations and its fleet; the supervisor's own."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Counter, Gauge, Label

ORIGINS: Final = ("here", "fleet")


class FleetMetrics:
    """What is revoked, and how the fleet is reached."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.entries = Gauge("lychgate_revocations", "Entries in force on this gateway.", registry=registry)
        self.changes = Counter(
            "lychgate_revocation_changes",
            "Entries made or lifted, by where that was said.",
            (Label("origin", ORIGINS),),
            registry=registry,
        )
        self.up = Gauge(
            "lychgate_revocation_redis_up",
            "1 while Redis answers, 0 while it does not or none is configured.",
            registry=registry,
        )
        self.contact = Gauge(
            "lychgate_revocation_redis_contact_timestamp_seconds",
            "When Redis answered last, seconds since the epoch; 0 for never.",
            registry=registry,
        )
        self.away_s = Gauge(
            "lychgate_revocation_redis_away_seconds",
            "For how long Redis, where it is configured, has not answered; 0 while it does, and without one.",
            registry=registry,
        )
        self.unsealed = Counter(
            "lychgate_revocation_redis_unsealed",
            "Values in Redis that were not sealed with the fleet's key, or hold nothing of ours.",
            registry=registry,
        )
        self.unpublished = Gauge(
            "lychgate_revocations_unpublished",
            "Entries made here that Redis has not been told yet.",
            registry=registry,
        )
        self.stale = Gauge(
            "lychgate_revocation_stale", "1 while callers are refused because Redis is away.", registry=registry
        )
        self.gateways = Gauge("lychgate_fleet_gateways", "Gateways of the fleet that were heard of.", registry=registry)
        self.versions = Gauge(
            "lychgate_fleet_policy_versions",
            "Different policy versions in force in the fleet; more than 1 for long is a gateway left behind.",
            registry=registry,
        )
