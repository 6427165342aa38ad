"""A divergence to its event: what was decided, and what the shadow set would have. Pure."""

from typing import Final

from audit.event import AuditEvent, Kind, Outcome, Phase, Producer, Severity
from gateway.shadow.messages import Divergence

EVENT_TYPE: Final = "policy.shadow.diverged"


def diverged(found: Divergence, shadow_version: str, event_id: str, producer: Producer, now: str) -> AuditEvent:
    """The event of a divergence; `details.decision_id` is the event of the decision, which is of the same tenant."""
    return AuditEvent(
        event_id=event_id,
        phase=Phase.SINGLE,
        event_type=EVENT_TYPE,
        kind=Kind.SYSTEM,
        tenant_id=found.tenant_id,
        occurred_at=now,
        producer=producer,
        action=found.action,
        crud="x",
        outcome=Outcome.SUCCESS,
        severity=Severity.NOTICE,
        details={
            "decision_id": found.event_id,
            "kind": found.kind,
            "live_effect": found.live_effect,
            "live_reasons": list(found.live_reasons),
            "live_policy_version": found.live_version,
            "shadow_effect": found.shadow_effect,
            "shadow_reasons": list(found.shadow_reasons),
            "shadow_policy_version": shadow_version,
        },
    )
