"""`lychgate audit spool retire`: a producer's spool is lost; readers need wait for it no longer."""

from typing import Annotated

import typer

from lychgate.commands.audit.producers import text
from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_rows
from lychgate.errors import LychgateError

_SHOWN = ("epoch", "result", "watermark", "silent_s", "last_seq", "missing_count")
"""What a terminal has room for."""


def retire(
    producer: Annotated[str, typer.Argument(help="Its id, as `lychgate audit producers` shows it.")],
    force: Annotated[bool, typer.Option("--force", help="Also if it still reports.")] = False,
    outbox: Annotated[
        bool, typer.Option("--outbox", help="It is an outbox: a gap in its numbers was rolled back, and is no loss.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be given up, and do nothing.")] = False,
    by: Annotated[str | None, typer.Option(help="Who says so.", show_default="the user logged in")] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Declare a producer's spool lost, with an audit.loss event; complete_through goes on without it.

    Refused while it still reports. If its records come back after all they are taken, and an audit.late event tells
    readers. Exit code 1 if it still reports.
    """
    from audit.keeper import retire as keeper
    from audit.keeper.jobs import Connection
    from lychgate.keeping import as_keeper, operator
    from lychgate.settings import Settings

    async def work(connection: Connection, _: Settings) -> list[dict[str, object]]:
        found = await keeper.openings(connection, producer, gaps=not outbox)
        if not found:
            raise LychgateError(f"{producer}: no such producer has ever reported; see `lychgate audit producers`")
        rows: list[dict[str, object]] = []
        for opening in found:
            if opening.state in {"ended", "retired"}:
                what = f"{opening.state} already"
            elif opening.lives and not force:
                what = "still reports"
            elif dry_run:
                what = "would be retired"
            elif await keeper.retire(connection, producer, opening, by=operator(by), force=force):
                what = "retired"
            else:
                what = "still reports"  # it has spoken between the look and the deed
            shown = opening._asdict()
            rows.append({"result": what, **shown, "silent_s": round(opening.silent_s, 1)})
        return rows

    rows = as_keeper(config, work)
    refused = any(row["result"] == "still reports" for row in rows)
    if not as_json:
        rows = [{name: row[name] for name in _SHOWN} for row in rows]
    print_rows(f"openings of {producer}", rows, as_json=as_json, render=text)
    if refused:
        typer.echo(f"{producer} has reported within {keeper.SILENT.seconds} s: stop it, or use --force", err=True)
    raise typer.Exit(ExitCode.FINDING if refused else ExitCode.SUCCESS)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog=example(
            "lychgate audit spool retire gateway-7-w0 --dry-run",
            "lychgate audit spool retire gateway-7-w0 --by ada",
            "lychgate audit spool retire outbox-shipping --outbox",
        )
    )(retire)
