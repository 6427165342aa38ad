"""The audit event, as it is written, sent, stored and read.

Evolution rule: within a major `SCHEMA_VERSION` a field is never removed, renamed or given another type; a new field is
optional and has a default. Anything else is a new major version and a new topic.
"""

from enum import StrEnum
from typing import Any

import msgspec

SCHEMA_VERSION = "1.0"
TOPIC = "audit.events.v1"
DEAD_LETTER_TOPIC = f"{TOPIC}.dlq"
CHECKPOINT_TOPIC = "audit.checkpoints"
NO_TENANT = "-"
"""The `tenant_id` of an event that belongs to no tenant; read by the platform tenant."""


class Phase(StrEnum):
    """Which record of an event this is. The dedupe key is `(event_id, phase)`."""

    SINGLE = "single"
    DECIDED = "decided"
    COMPLETED = "completed"


class Kind(StrEnum):
    """What sort of thing happened."""

    DECISION = "decision"
    DOMAIN = "domain"
    ADMIN = "admin"
    SYSTEM = "system"


class Outcome(StrEnum):
    """How it ended. A decision is not an outcome: a denied request is `failure` of the request."""

    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """Least to most grave, in this order; foreign words are normalised by `audit.severity`."""

    DEBUG = "debug"
    INFO = "info"
    NOTICE = "notice"
    WARN = "warn"
    ERROR = "error"
    SECURITY = "security"
    CRITICAL = "critical"


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A part of the event: immutable, defaults left out of the bytes."""


class Producer(_Part, frozen=True, gc=False):
    """Who wrote the record. `seq` rises by one per record within `(id, epoch)`; a gap is a loss."""

    id: str
    epoch: int
    seq: int


class Actor(_Part, frozen=True):
    """Who acted. `id` is the issuer's name for them, so only `issuer` and `id` together name one person of a tenant."""

    type: str = "unknown"
    id: str | None = None
    roles: tuple[str, ...] = ()
    auth_method: str | None = None
    issuer: str | None = None


class Client(_Part, frozen=True, gc=False):
    """From where."""

    ip: str | None = None
    user_agent: str | None = None


class Resource(_Part, frozen=True, gc=False):
    """To what."""

    type: str
    id: str | None = None


class Decision(_Part, frozen=True):
    """What was decided and on what grounds. `effect` is `allow` or `deny`."""

    effect: str
    reasons: tuple[str, ...] = ()
    code: str | None = None
    missing_role: str | None = None
    policy_version: str | None = None
    memo_hit: bool = False
    duration_us: int = 0


class Input(_Part, frozen=True):
    """What Cedar was given, less class `secret`, so that the decision can be replayed."""

    principal: dict[str, Any]
    resource: dict[str, Any]
    context: dict[str, Any]
    schema_version: str = ""
    truncated: bool = False


class Request(_Part, frozen=True, gc=False):
    """The request as the route names it: `route` is the template, never the raw target.

    A domain event names only its service: which request it came from, the trace tells.
    """

    method: str = ""
    route: str | None = None
    service: str | None = None
    size_bytes: int = 0


class Change(_Part, frozen=True):
    """One changed value: `op` is `add`, `remove` or `replace`; `path` a JSON pointer."""

    path: str
    op: str = "replace"
    old: Any = None
    new: Any = None


class Aggregate(_Part, frozen=True, gc=False):
    """Of a folded record: how many alike, the first and the last, RFC 3339 UTC."""

    count: int
    first_at: str
    last_at: str


class Redaction(_Part, frozen=True):
    """What was taken out before the record was written."""

    mode: str
    fields: tuple[str, ...] = ()
    truncated: bool = False


class AuditEvent(_Part, frozen=True):
    """One record of one event; `docs/reference/events.md` is generated from this class.

    Attributes:
        event_id: UUIDv7, lower-case text; the decision id of a decision.
        phase: See `Phase`.
        event_type: A past fact, `authz.decision.evaluated`, `order.order.created`.
        kind: See `Kind`.
        tenant_id: The tenant the record is booked to; `-` for none.
        occurred_at: RFC 3339, UTC, microseconds, `Z`.
        producer: Who wrote the record.
        action: The Cedar action, or the domain's verb.
        crud: One of c r u d x (x: neither).
        latency_us: Of the whole request, microseconds.
        details: Small, flat, free of secrets.
    """

    event_id: str
    phase: Phase
    event_type: str
    kind: Kind
    tenant_id: str
    occurred_at: str
    producer: Producer
    schema_version: str = SCHEMA_VERSION
    actor: Actor | None = None
    client: Client | None = None
    action: str | None = None
    crud: str | None = None
    resource: Resource | None = None
    decision: Decision | None = None
    input: Input | None = None
    outcome: Outcome | None = None
    status: int | None = None
    latency_us: int | None = None
    request: Request | None = None
    trace_id: str | None = None
    severity: Severity = Severity.INFO
    severity_original: str | None = None
    changes: tuple[Change, ...] = ()
    details: dict[str, Any] | None = None
    aggregate: Aggregate | None = None
    redaction: Redaction | None = None
