"""A `Filter` in, a statement and its arguments out; nothing a reader sent becomes part of the text. Pure.

One statement reads one page. For each tenant asked for (one, or for the platform two) it walks `(tenant_id, event_id)`
in order and stops at the limit; partitions behind the page are never opened. A decision's completion is looked up by
primary key, row by row: `LIMIT` in the lateral part keeps the planner from turning that into a join over everything
(ADR 0031).

INVARIANT: each event is shown once, by the greatest of its phases that is there: `single`, else `decided`, else
`completed`. The words sort that way, so "no record of this event leads me" is `sibling.phase < record.phase`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

from audit.event import NO_TENANT, Outcome, Phase, Severity
from audit.ids import id_floor
from audit.severity import RANK
from query.access import Own, Scope
from query.filters import EFFECTS, Filter, Order

CLOCK_SLACK: Final = timedelta(minutes=5)
"""How far an event's id and its `occurred_at` may be apart. Both are taken when the event happens; the store refuses
ids more than this ahead (DESIGN section 5). Time filters compare `occurred_at` exactly and walk this much more."""

Argument = str | int | UUID | datetime


@dataclass(frozen=True, slots=True)
class Statement:
    """What the reader executes."""

    text: str
    args: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Horizon:
    """What the store says of itself before it is read.

    Attributes:
        complete_through: Every event before this is in the store; None as long as no producer has reported.
        held: Tenants on which a legal hold lies: all that is there of them is shown.
    """

    complete_through: datetime | None
    held: frozenset[str] = frozenset()


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ALL_KEPT: Final[Mapping[str, datetime]] = MappingProxyType({})

COMPLETE_THROUGH: Final = "SELECT audit_complete_through()"

HORIZON: Final = f"""
SELECT audit_complete_through() AS through, audit_is_held($1) AS held, audit_is_held('{NO_TENANT}') AS held_of_none
"""

TENANT: Final = "SELECT set_config('app.tenant_id', $1, true)"
"""`true`: until the transaction ends. The pool hands the connection to another tenant next."""

INDEXED_SEVERITY: Final = RANK[Severity.WARN]
"""From here up severities have an index (`audit_events_grave` in audit/sql/0001_events.sql)."""

_OUTCOME: Final = (
    "COALESCE(s.outcome, e.outcome,"
    f" CASE WHEN e.phase = '{Phase.DECIDED}' AND audit_producer_gone(e.producer_id, e.producer_epoch)"
    f" THEN '{Outcome.UNKNOWN}' END)"
)
_SEVERITY: Final = "GREATEST(e.severity, s.severity)"  # ignores a NULL

_DECISIONS: Final = {effect: f"e.decision = '{effect}'" for effect in EFFECTS}

_COLUMNS: Final = (
    " e.event_type, e.kind, e.tenant_id, e.occurred_at, e.body,"
    " s.body AS completion, s.occurred_at AS completed_at,"
    f" (e.phase = '{Phase.DECIDED}' AND s.phase IS NULL"
    " AND audit_producer_gone(e.producer_id, e.producer_epoch)) AS orphaned"
)
_BY_LEADER: Final = (
    f"SELECT e.event_id,{_COLUMNS} FROM audit_events e LEFT JOIN LATERAL ("  # noqa: S608 - constants of ours
    "SELECT o.phase, o.body, o.occurred_at, o.outcome, o.severity FROM audit_events o"
    f" WHERE e.phase <> '{Phase.SINGLE}' AND o.tenant_id = e.tenant_id AND o.event_id = e.event_id"
    " AND o.phase <> e.phase ORDER BY o.phase DESC LIMIT 1"
    ") s ON true WHERE (s.phase IS NULL OR s.phase < e.phase)"
)
_BY_COMPLETION: Final = (
    f"SELECT s.event_id,{_COLUMNS} FROM audit_events s JOIN LATERAL ("  # noqa: S608 - as above
    "SELECT o.* FROM audit_events o WHERE o.tenant_id = s.tenant_id AND o.event_id = s.event_id"
    " AND o.phase > s.phase ORDER BY o.phase DESC LIMIT 1"
    f") e ON true WHERE s.phase = '{Phase.COMPLETED}'"
)


class _Arguments:
    """Collects arguments and gives each its placeholder."""

    def __init__(self) -> None:
        self.values: list[Argument] = []

    def __call__(self, value: Argument) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


def horizon(known: Mapping[str, Any], tenant: str) -> Horizon:
    """What `HORIZON` brought for a tenant."""
    held = {NO_TENANT: known.get("held_of_none"), tenant: known.get("held")}
    return Horizon(known.get("through"), frozenset(name for name, is_so in held.items() if is_so))


def floor(moment: datetime) -> UUID:
    """The least event id of a moment's millisecond; times before 1970 have that of 1970."""
    return UUID(id_floor(max(0, (moment - _EPOCH) // timedelta(milliseconds=1))))


def page(
    wanted: Filter,
    scope: Scope,
    order: Order,
    *,
    after: UUID | None,
    until: datetime | None,
    limit: int,
    kept_since: Mapping[str, datetime] = _ALL_KEPT,
) -> Statement:
    """The rows of one page.

    Args:
        wanted: What was asked for.
        scope: What the reader may see; narrows, never widens.
        order: Newest or oldest first.
        after: The last event of the page before.
        until: Where an ascending page ends at the latest: everything before it is in the store. None: nothing is known
            to be complete, and an ascending page is empty.
        limit: How many rows to fetch.
        kept_since: Tenant to the moment before which its rows are shown no more, whether they are purged yet or not.

    Returns:
        A statement whose rows have the columns of `query.history.Row`.
    """
    arg = _Arguments()
    matches = _matches(wanted, arg)
    if scope.actor is not None:
        matches += _own(scope.actor, arg)
    tail = f" ORDER BY event_id {order.upper()} LIMIT {arg(limit)}"
    least = max((RANK[each] for each in (wanted.severity, wanted.severity_gte) if each is not None), default=0)

    def branch(source: str, walked: str, tenant: str, *more: str) -> str:
        walk = [*_walk(wanted, order, after, until, walked, arg), *_kept(kept_since, tenant, walked, arg)]
        return " AND ".join([source, *more, f"{walked}.tenant_id = {arg(tenant)}", *walk, *matches]) + tail

    branches = []
    for tenant in scope.tenants:
        if least < INDEXED_SEVERITY:
            branches.append(branch(_BY_LEADER, "e", tenant))
            continue
        # What is grave is rare, and it may be the decision or its end that is: walk both by index, each event once.
        # The rank is a constant of ours and stands in the text: a plan for any value could not use a partial index.
        branches.append(branch(_BY_LEADER, "e", tenant, f"e.severity >= {least}"))
        branches.append(branch(_BY_COMPLETION, "s", tenant, f"s.severity >= {least} AND e.severity < {least}"))
    if len(branches) == 1:
        return Statement(branches[0], tuple(arg.values))
    return Statement(" UNION ALL ".join(f"({each})" for each in branches) + tail, tuple(arg.values))


def one(event_id: UUID, scope: Scope, kept_since: Mapping[str, datetime] = _ALL_KEPT) -> Statement:
    """The rows of one event: as `page`, with at most one row."""
    arg = _Arguments()
    conditions = [
        _BY_LEADER,
        f"e.event_id = {arg(event_id)}",
        f"({' OR '.join(_of(tenant, kept_since, arg) for tenant in scope.tenants)})",
        *(_own(scope.actor, arg) if scope.actor is not None else []),
    ]
    return Statement(" AND ".join(conditions), tuple(arg.values))


def _of(tenant: str, kept_since: Mapping[str, datetime], arg: Callable[[Argument], str]) -> str:
    """Rows of one tenant that are still shown."""
    return " AND ".join([f"e.tenant_id = {arg(tenant)}", *_kept(kept_since, tenant, "e", arg)])


def _kept(kept_since: Mapping[str, datetime], tenant: str, row: str, arg: Callable[[Argument], str]) -> list[str]:
    """Not what is older than the tenant's rows are kept (ADR 168)."""
    return [f"{row}.event_id >= {arg(floor(kept_since[tenant]))}"] if tenant in kept_since else []


def _own(actor: Own, arg: Callable[[Argument], str]) -> list[str]:
    """Rows in which somebody acted: two issuers may have the same name for different people."""
    return [f"e.actor_id = {arg(actor.sub)}", f"e.actor_issuer = {arg(actor.issuer)}"]


def _walk(
    wanted: Filter, order: Order, after: UUID | None, until: datetime | None, row: str, arg: Callable[[Argument], str]
) -> list[str]:
    """The stretch of ids to walk: this, and not `occurred_at`, is what the index and the partitions are by."""
    conditions = []
    if after is not None:
        conditions.append(f"{row}.event_id {'<' if order is Order.DESC else '>'} {arg(after)}")
    if order is Order.ASC:
        conditions.append(f"{row}.event_id < {arg(floor(until or _EPOCH))}")
    if wanted.since is not None:
        conditions.append(f"{row}.event_id >= {arg(_shifted(wanted.since, -CLOCK_SLACK))}")
        conditions.append(f"e.occurred_at >= {arg(wanted.since)}")
    if wanted.until is not None:
        conditions.append(f"{row}.event_id < {arg(_shifted(wanted.until, CLOCK_SLACK))}")
        conditions.append(f"e.occurred_at < {arg(wanted.until)}")
    return conditions


def _shifted(moment: datetime, by: timedelta) -> UUID:
    try:
        return floor(moment + by)
    except OverflowError:  # the first and the last minutes that a datetime knows
        return floor(moment)


def _matches(wanted: Filter, arg: Callable[[Argument], str]) -> list[str]:
    """The filters on typed columns; jsonb and LIKE are not leakproof and would be applied after the tenant's scan."""
    columns = {
        "e.actor_id": wanted.actor,
        "e.action": wanted.action,
        "e.resource_type": wanted.resource_type,
        "e.resource_id": wanted.resource_id,
        "e.service": wanted.service,
        "e.trace_id": wanted.trace_id,
        _OUTCOME: None if wanted.outcome is None else str(wanted.outcome),
        _SEVERITY: None if wanted.severity is None else RANK[wanted.severity],
    }
    conditions = [f"{column} = {arg(value)}" for column, value in columns.items() if value is not None]
    if wanted.decision is not None:  # in the text for the partial index's sake, as the rank above
        conditions.append(_DECISIONS[wanted.decision])
    if wanted.severity_gte is not None:
        conditions.append(f"{_SEVERITY} >= {arg(RANK[wanted.severity_gte])}")
    return conditions
