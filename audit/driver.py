"""What the database driver's errors say in a log or a dead letter: the kind and the place, never a value.

`str()` of PostgreSQL's error has the DETAIL in it, which prints the failing row; the message of a data error prints the
text that would not convert, and the driver's own prints its argument.
"""

import asyncpg

from audit.errors import AuditError

# InternalClientError: what asyncpg says of a connection that the server has closed under it.
DRIVER_ERRORS = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

# SQLSTATE classes whose messages speak of connections, logins, tables and resources, not of what stands in a row
# (PostgreSQL manual, appendix A).
_HARMLESS = frozenset({"08", "25", "28", "3D", "40", "42", "53", "55", "57"})


def described(exc: BaseException) -> str:
    """An error of the driver's, or of the system's, in words that are safe to keep."""
    name = type(exc).__name__
    if isinstance(exc, asyncpg.PostgresError):
        state = str(exc.sqlstate or "")
        words = [f"{name} ({state})" if state else name]
        if state[:2] in _HARMLESS:
            words.append(str(exc.args[0]) if exc.args else "")
        else:
            words += [
                f"{what} `{value}`"
                for what, value in (("constraint", exc.constraint_name), ("column", exc.column_name))
                if value
            ]
        return ": ".join(word for word in words if word)
    if isinstance(exc, OSError):
        return f"{name}: {exc}"
    if isinstance(exc, AuditError):
        return str(exc)  # our own words
    return name
