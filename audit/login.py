"""What a process may do with the store, checked when it starts: row-level security holds only those it applies to."""

from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

from audit.errors import WrongRole

_CHECK = """
SELECT r.rolname, r.rolsuper, r.rolbypassrls,
       EXISTS (SELECT FROM pg_class c
               WHERE c.relname = 'audit_events' AND pg_has_role(r.oid, c.relowner, 'MEMBER')) AS owner,
       EXISTS (SELECT FROM pg_roles s
               WHERE (s.rolsuper OR s.rolbypassrls) AND pg_has_role(r.oid, s.oid, 'MEMBER')) AS may_become
FROM pg_roles r WHERE r.rolname IN (session_user, current_user)
"""


class Fetching(Protocol):
    """A database connection, as far as this needs one."""

    def fetch(self, query: str, /) -> Awaitable[Sequence[Any]]:
        """All rows of a query."""
        ...


async def check_role(connection: Fetching) -> None:
    """Refuse a login that row-level security would not hold.

    Raises:
        WrongRole: it is superuser, BYPASSRLS or owner of the events, or may become one; the message says which.
    """
    for row in await connection.fetch(_CHECK):
        for column, what in (
            ("rolsuper", "is a superuser"),
            ("rolbypassrls", "has BYPASSRLS"),
            ("owner", "owns the events"),
            ("may_become", "may become a role that row-level security does not hold"),
        ):
            if row[column]:
                raise WrongRole(f"database login `{row['rolname']}` {what}: use audit_reader or audit_writer")
