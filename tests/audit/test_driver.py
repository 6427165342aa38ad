"""Tests of `audit.driver`."""

import asyncpg
import pytest

from audit.driver import described
from audit.errors import SinkUnavailable
from tests.servers.postgres import Logins

SECRET = "hunter2"
TABLE = "CREATE TEMPORARY TABLE t (i int, j jsonb, s text NOT NULL CONSTRAINT short CHECK (length(s) < 20), UNIQUE (s))"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("INSERT INTO t VALUES (1, '{\"hunter2\": x}', '')", "InvalidTextRepresentationError (22P02)"),
        ("INSERT INTO t VALUES ('hunter2', '{}', '')", "InvalidTextRepresentationError (22P02)"),
        ("INSERT INTO t VALUES (1, '{}', 'hunter2hunter2hunter2')", "CheckViolationError (23514): constraint `short`"),
        ("INSERT INTO t VALUES (1, '{}', NULL)", "NotNullViolationError (23502): column `s`"),
        ("INSERT INTO t (s) VALUES ('hunter2'), ('hunter2')", "UniqueViolationError (23505): constraint `t_s_key`"),
        ("SELECT 1 FROM nowhere", 'UndefinedTableError (42P01): relation "nowhere" does not exist'),
    ],
)
async def test_kind_and_place_but_no_value(migrated_database: Logins, statement: str, said: str) -> None:
    """PostgreSQL's own text has the row in it; ours has not."""
    connection = await asyncpg.connect(migrated_database.owner)
    await connection.execute(TABLE)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await connection.execute(statement)
    await connection.close()
    assert described(refused.value) == said


async def test_what_the_driver_itself_refuses(migrated_database: Logins) -> None:
    """Its message prints the argument."""
    connection = await asyncpg.connect(migrated_database.owner)
    with pytest.raises(asyncpg.DataError) as refused:
        await connection.fetchval("SELECT $1::int", SECRET)
    await connection.close()
    assert SECRET in str(refused.value)
    assert described(refused.value) == "DataError (22000)"


def test_what_has_no_values_is_said_whole() -> None:
    """The system's errors and our own."""
    assert described(ConnectionRefusedError(111, "refused")) == "ConnectionRefusedError: [Errno 111] refused"
    assert described(SinkUnavailable("the store: away")) == "the store: away"
    assert described(asyncpg.InterfaceError(SECRET)) == "InterfaceError"
