"""`lychgate audit producers`: who reports to the store, and who holds readers back."""

import typer

from lychgate.commands.report import ConfigOption, JsonOption, example, print_rows

_ROWS = """
SELECT producer, epoch, state, holds, watermark, claimed, reported_at, round(silent_s::numeric, 1)::float8 AS silent_s
FROM audit_producer_states()
"""


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
    print_rows(f"producers; complete through {through or 'nobody has reported yet'}", rows, as_json=as_json)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog=example("lychgate audit producers", "lychgate audit producers --json | jq '.[] | select(.holds)'")
    )(producers)
