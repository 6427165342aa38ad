"""`lychgate audit producers`: who reports to the store, and who holds readers back."""

from datetime import datetime

import typer

from lychgate.commands.report import ConfigOption, JsonOption, example, print_rows

_ROWS = """
SELECT producer, epoch, state, holds, watermark, claimed, reported_at, round(silent_s::numeric, 1)::float8 AS silent_s
FROM audit_producer_states()
"""


_SHOWN = ("producer", "epoch", "state", "holds", "watermark", "silent_s")
"""What a terminal has room for."""


def text(value: object) -> str:
    """A cell's value for people."""
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)


def producers(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the producers: how far each is delivered, when it last reported, and who holds `complete_through`.

    States: reporting, silent (holds readers back until it reports again or is retired), ahead (its clock is wrong),
    retired, ended.
    """
    from audit.keeper.jobs import Connection
    from lychgate.keeping import as_keeper
    from lychgate.settings import Settings

    async def look(connection: Connection, _: Settings) -> tuple[object, list[dict[str, object]]]:
        through = await connection.fetchval("SELECT audit_complete_through()")
        return through, [dict(row) for row in await connection.fetch(_ROWS)]

    through, rows = as_keeper(config, look)
    if not as_json:
        rows = [{name: row[name] for name in _SHOWN} for row in rows]
    title = f"complete through {text(through) if through else 'nothing: nobody has reported yet'}"
    print_rows(title, rows, as_json=as_json, render=text)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog=example("lychgate audit producers", "lychgate audit producers --json | jq '.[] | select(.holds)'")
    )(producers)
