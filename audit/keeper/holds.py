"""Legal holds: what is kept whatever its age, who said so and why. Each is told of in an event of its tenant's."""

from datetime import datetime
from typing import Any, Final, NamedTuple

from audit.event import Severity
from audit.keeper.event import keeper_event, record
from audit.keeper.jobs import Connection
from audit.store_clock import event_id

PLACED: Final = "audit.hold.placed"
RELEASED: Final = "audit.hold.released"

_LIST: Final = """
SELECT id, tenant_id AS tenant, actor_id AS actor, resource_type, resource_id, reason,
       placed_by, placed_at, released_by, released_at,
       to_timestamp(('x' || substr(replace(from_id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0) AS since,
       to_timestamp(('x' || substr(replace(to_id::text, '-', ''), 1, 12))::bit(48)::bigint / 1000.0) AS until
FROM audit_legal_holds WHERE $1 OR released_at IS NULL ORDER BY id
"""


class Scope(NamedTuple):
    """What a hold is on.

    Attributes:
        tenant: Whose rows.
        since: From, inclusive; None from the first.
        until: To, exclusive; None without end.
        actor: Of whom only.
        resource_type: Of what only.
        resource_id: And which one.
    """

    tenant: str
    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None


async def place(connection: Connection, scope: Scope, *, reason: str, by: str) -> int:
    """Place a hold; from its return on no purge takes what it names.

    Returns:
        Its number.
    """
    async with connection.transaction():
        number: int = await connection.fetchval(
            "SELECT audit_hold_place($1, $2, $3, $4, $5, $6, $7, $8)", *scope, reason, by
        )
        # audit:lint-ignore details-untold the fields of `Scope`, each registered
        said = {name: str(value) for name, value in scope._asdict().items() if value is not None and name != "tenant"}
        await _tell(connection, PLACED, scope.tenant, {"hold": number, "reason": reason, "placed_by": by, **said})
    return number


async def release(connection: Connection, number: int, *, by: str) -> bool:
    """End a hold; the next purge takes what is too old.

    Returns:
        Whether there was one of that number that stood.
    """
    async with connection.transaction():
        tenant: str | None = await connection.fetchval("SELECT audit_hold_release($1, $2)", number, by)
        if tenant is not None:
            await _tell(connection, RELEASED, tenant, {"hold": number, "released_by": by})
    return tenant is not None


async def standing(connection: Connection, *, released: bool = False) -> list[dict[str, Any]]:
    """The holds there are, oldest first; also those that were released, if asked for."""
    return [dict(row) for row in await connection.fetch(_LIST, released)]


async def _tell(connection: Connection, what: str, tenant: str, details: dict[str, Any]) -> None:
    made_id = await event_id(connection)
    await record(connection, keeper_event(what, made_id, details, tenant_id=tenant, severity=Severity.SECURITY))
