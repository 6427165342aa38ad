"""What is counted of whether the files decide that an operator sees: the supervisor's own, beside `gateway.metrics`."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Gauge, Label
from gateway.metrics import RELOADS

POLICIES: Final = "policies"
"""What was read anew when a policy, role or route file changed; one of `gateway.metrics.RELOADS`."""


class FreshnessMetrics:
    """Whether what is in force is what stands in the files."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.succeeded_at = Gauge(
            "lychgate_reload_last_success_timestamp_seconds",
            "When policies, roles and routes were last put in force, seconds since the epoch; the start counts.",
            registry=registry,
        )
        self.differ_s = Gauge(
            "lychgate_policies_differ_seconds",
            "For how long the policy, role or route files could not be read or were refused; 0 when they are in force.",
            registry=registry,
        )
        self.bundle_serial = Gauge(
            "lychgate_policy_bundle_serial", "Of the bundle in force; -1 without one.", registry=registry
        )
        self.rules_hash = Gauge(
            "lychgate_rules_hash",
            "Of the policies, roles and routes in force, as a number: gateways with others decide otherwise.",
            registry=registry,
        )
        self.successful = Gauge(
            "lychgate_reload_successful",
            "1 where what was read last is in force, 0 where it was refused and what was before goes on.",
            (Label("what", RELOADS),),
            registry=registry,
        )
