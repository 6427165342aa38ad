"""A read in, the audit event that says so out: who read whose log, how much of it, asking what. Pure.

One event for each read that was answered or refused, and never one for that event being written: records enter the
spool beside the API, not through it, so reading about reads cannot feed on itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audit.emit import Stamp
from audit.event import Actor, AuditEvent, Decision, Kind, Outcome, Phase, Request, Resource, Severity
from query.access import READ, RESOURCE_TYPE, Granted
from query.errors import QueryError
from query.history import timestamp
from roles.model import Principal

EVENT_TYPE: Final = "audit.log.read"
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Read:
    """A read, as far as it got.

    Attributes:
        reader: Who.
        trace_id: Of the request.
        endpoint: One word for the metrics.
        template: The endpoint's path, never the raw target.
        method: GET or HEAD.
        asked: The parameters that were used, as they were sent, without the cursor.
        target: The event that was asked for, or `*`.
    """

    reader: Principal
    trace_id: str
    endpoint: str
    template: str
    method: str
    asked: Mapping[str, str]
    target: str = "*"


def entry(
    read: Read,
    stamp: Stamp,
    now: datetime,
    *,
    granted: Granted | None,
    error: QueryError | None,
    rows: int,
    policy_version: str,
    service: str,
) -> AuditEvent:
    """The record of a read.

    Args:
        read: What was asked, and by whom.
        stamp: The event's id and number.
        now: When the read was answered, UTC.
        granted: What Cedar gave; None where it refused.
        error: What the reader is told instead of rows.
        rows: How many events go out.
        policy_version: Of the policies that decided.
        service: The name the gateway knows this process by.

    Returns:
        An event of the reader's own tenant. Reading across tenants has severity `security` and names both, and so does
        trying to.
    """
    status = _OK if error is None else error.status
    crosses = granted.crosses if granted is not None else error is not None and error.code == "tenant_mismatch"
    details = {
        "view": None if granted is None else granted.view.value,
        "rows": rows,
        "asked": dict(read.asked) or None,
        "target_tenant": read.asked.get("tenant_id") if crosses else None,
    }
    return AuditEvent(
        event_id=stamp.event_id,
        phase=Phase.SINGLE,
        event_type=EVENT_TYPE,
        kind=Kind.ADMIN,
        tenant_id=read.reader.tenant_id,
        occurred_at=timestamp(now),
        producer=stamp.producer,
        actor=Actor(type="user", id=read.reader.sub, roles=read.reader.roles, issuer=read.reader.issuer),
        action=READ if granted is None else granted.view.action,
        crud="r",
        resource=Resource(type=RESOURCE_TYPE, id=read.target),
        decision=Decision(
            effect="deny" if granted is None else "allow",
            reasons=() if granted is None else granted.reasons,
            code=None if error is None else error.code,
            missing_role=None if error is None else error.missing_role,
            policy_version=policy_version,
        ),
        outcome=Outcome.SUCCESS if error is None else Outcome.FAILURE,
        status=status,
        request=Request(method=read.method, route=read.template, service=service),
        trace_id=read.trace_id,
        severity=Severity.SECURITY if crosses else Severity.INFO if error is None else Severity.NOTICE,
        details={name: value for name, value in details.items() if value is not None},
    )
