"""A day of retention has 24 hours, whatever the server's time zone does in between."""

from audit.keeper.jobs import opened
from tests.builders.aged import aged_store
from tests.servers.postgres import Logins

_DUE = "SELECT audit_purge_is_due(audit_id_floor('2026-09-29T12:30:00Z'), '2026-10-20T12:00:00Z', 21)"
_FLOORS = """
SELECT count(*) FROM generate_series(1, 400) AS days
WHERE abs(extract(epoch FROM clock_timestamp()) - days * 86400.0
          - ('x' || left(replace(audit_purge_floors(days, '{}')->>'*', '-', ''), 12))::bit(48)::bigint / 1000.0) > 600
"""


async def test_a_day_has_24_hours(migrated_database: Logins) -> None:
    """In Sydney one in October has 23: nothing is purged, or signed as old enough, an hour too young."""
    await aged_store(migrated_database, [])
    async with opened(migrated_database.keeper) as connection:
        await connection.execute("SET timezone = 'Australia/Sydney'")
        assert not await connection.fetchval(_DUE)
        assert await connection.fetchval(_FLOORS) == 0


async def test_a_retention_from_before_all_time_makes_nothing_due(migrated_database: Logins) -> None:
    """Ids begin with 1970; a hundred years are longer than that."""
    async with opened(migrated_database.keeper) as connection:
        due = "SELECT audit_purge_is_due(audit_id_floor('2026-01-01Z'), '2026-10-20T12:00:00Z', 36500)"
        assert not await connection.fetchval(due)
