"""A replay's figures in, the audit event that keeps them out; and its way to the store."""

import os
import pwd
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from audit.codec import encode, timestamp
from audit.event import Actor, AuditEvent, Kind, Outcome, Phase, Producer, Severity
from audit.ids import EventIds
from lychgate.errors import LychgateError
from policies.replay.tally import FLIPS, Flip, Tally
from roles.model import PLATFORM_TENANT

if TYPE_CHECKING:
    from audit.settings import AuditSettings, StoreSettings

EVENT_TYPE: Final = "policy.replay.completed"
_PRODUCER: Final = "policy-replay"
_FLIPS: Final = 50
"""So many kinds of flips stand in the record; how many there are it says in any case."""
_TEXT_CHARS: Final = 300


class NotRecorded(LychgateError):
    """The event could not be delivered."""


def replay_event(tally: Tally, flips: list[Flip], candidate: str, now: datetime, event_id: str) -> AuditEvent:
    """The event: of the platform's tenant, because a replay is about everybody's decisions.

    Args:
        tally: What was counted.
        flips: As `Tally.flips` gave them.
        candidate: The version of the policies that decided.
        now: UTC.
        event_id: Minted now.
    """
    incidents = sum(flip.count for flip in flips if not flip.expected)
    details: dict[str, Any] = {
        "candidate": candidate,
        "decisions": tally.decisions,
        "same": tally.same,
        "incidents": incidents,
        "expected": sum(flip.count for flip in flips if flip.expected),
        # audit:lint-ignore details-untold a count for each of `FLIPS`, each registered
        **{kind.value: sum(flip.count for flip in flips if flip.verdict is kind) for kind in FLIPS},
        "undecidable": sum(group.count for group in tally.undecided()),
        "malformed": tally.malformed,
        "flip_kinds": len(flips),
        "flips": [_line(flip) for flip in flips[:_FLIPS]],
    }
    now_ns = int(now.timestamp() * 1e6) * 1_000
    return AuditEvent(
        event_id=event_id,
        phase=Phase.SINGLE,
        event_type=EVENT_TYPE,
        kind=Kind.ADMIN,
        tenant_id=PLATFORM_TENANT,
        occurred_at=timestamp(now_ns),
        producer=Producer(_PRODUCER, now_ns // 1_000_000, 1),
        actor=Actor(type="operator", id=_operator(), auth_method="shell"),
        action="policy:replay",
        crud="r",
        outcome=Outcome.FAILURE if incidents else Outcome.SUCCESS,
        severity=Severity.WARN if incidents else Severity.INFO,
        details=details,
    )


async def deliver(event: Callable[[str], AuditEvent], audit: "AuditSettings", store: "StoreSettings") -> str:
    """Hand the event to the configured sink: the broker where there is one, the store otherwise.

    Args:
        event: Makes it, given its id.
        audit: Names the broker.
        store: Its writer's login is used.

    Returns:
        The event's id.

    Raises:
        NotRecorded: The sink did not take it.
    """
    from prometheus_client import CollectorRegistry

    from audit.delivery import make_sink
    from audit.errors import AuditError
    from audit.metrics import IngestMetrics

    sink = make_sink(audit, store, IngestMetrics(CollectorRegistry()))
    event_id = EventIds().next()
    try:
        await sink.deliver([encode(event(event_id))])
    except AuditError as exc:
        raise NotRecorded(f"the replay is not recorded: {exc}") from exc
    finally:
        await sink.close()
    return event_id


def _operator() -> str:
    """Who runs the command, as the system knows them; the number where it knows no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _line(flip: Flip) -> str:
    text = f"{flip.count} x {flip.role} {flip.action} {flip.resource}: {flip.before} to {flip.to}"
    return text[:_TEXT_CHARS] + (" (expected)" if flip.expected else "")
