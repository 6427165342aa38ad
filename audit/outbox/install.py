"""The outbox as SQL, for a service's own migrations. Pure.

Safe to repeat: run again after an upgrade of Lychgate, it brings an older outbox forward.
"""

import re
from importlib.resources import files
from typing import Final

VERSION: Final = 1
"""Of the table, which the relay compares."""
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_FILES: Final = ("0001_outbox.sql",)
_IDENTIFIER_BYTES: Final = 63


def quoted(identifier: str) -> str:
    """A name as SQL has it.

    Raises:
        ValueError: PostgreSQL knows no such name.
    """
    if not identifier or "\0" in identifier or len(identifier.encode()) > _IDENTIFIER_BYTES:
        raise ValueError(f"`{identifier}` is no name PostgreSQL could have")
    return '"' + identifier.replace('"', '""') + '"'


def outbox_sql(
    producer: str,
    *,
    schema: str = "public",
    writer: str | None = None,
    relay: str | None = None,
    notify: bool = True,
    transaction: bool = True,
) -> str:
    """The statements that make an outbox.

    Args:
        producer: Whose records these will be: `outbox-order`. One outbox has one, and no other outbox has the same.
        schema: Where in the service's database; it must be there.
        writer: The role the service logs in as: it may add events, and neither read nor change nor remove any.
        relay: The role the relay logs in as.
        notify: Wake the relay at each commit. Without it the relay looks once in a while; commits that notify wait for
            one another for a moment.
        transaction: Whether they bring a transaction of their own. A migration that runs in one already has to say no:
            a `COMMIT` would end its own.

    Raises:
        ValueError: A name is none.
    """
    if _NAME.fullmatch(producer) is None:
        raise ValueError(f"producer `{producer}`: small letters, digits, `.`, `_` and `-`, at most 63")
    if "$" in schema:
        raise ValueError(f"schema `{schema}`: a name with `$` cannot stand in a function's text")
    place = quoted(schema)
    parts = [
        files("audit.outbox").joinpath("sql", name).read_text(encoding="utf-8")
        .replace(":schema", place).replace(":producer", f"'{producer}'").rstrip()
        for name in _FILES
    ]  # fmt: skip
    if notify:
        parts.append(
            f"CREATE TRIGGER audit_outbox_wake AFTER INSERT ON {place}.audit_outbox\n"
            f"  FOR EACH STATEMENT EXECUTE FUNCTION {place}.audit_outbox_wake();"
        )
    if writer is not None:
        role = quoted(writer)
        parts.append(
            f"GRANT USAGE ON SCHEMA {place} TO {role};\n"
            f"GRANT INSERT (body), SELECT (event_id) ON {place}.audit_outbox TO {role};\n"
            f"GRANT EXECUTE ON FUNCTION {place}.audit_outbox_id() TO {role};"  # where it is not everybody's
        )
    if relay is not None:
        role = quoted(relay)
        parts.append(
            f"GRANT USAGE ON SCHEMA {place} TO {role};\n"
            f"GRANT SELECT, DELETE, UPDATE (refused) ON {place}.audit_outbox TO {role};\n"
            f"GRANT SELECT ON {place}.audit_outbox_life TO {role};"
        )
    parts.append(f"UPDATE {place}.audit_outbox_life SET version = greatest(version, {VERSION});")  # noqa: S608 - quoted
    text = "\n\n".join(parts) + "\n"
    return f"BEGIN;\n{text}COMMIT;\n" if transaction else text
