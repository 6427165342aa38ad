"""`lychgate audit spool stat | verify | dump | replay`: what is on this machine's disk and not yet in the store."""

from typing import Any

import typer

from lychgate.commands.audit import replay
from lychgate.commands.audit.wanted import (
    FolderOption,
    ProducerOption,
    SinceOption,
    TenantOption,
    TypeOption,
    root_of,
    unreadable,
    wanted_of,
)
from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json, print_rows

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Records that are not delivered yet.")


@app.command(epilog=example("lychgate audit spool stat", "lychgate audit spool stat --json | jq .[].oldest_seconds"))
def stat(folder: FolderOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show each producer's folder: who owns it, numbers taken, bytes, what each sink has not got, the disk's room."""
    from audit.spool.inspect import stat as look
    from lychgate.clock import utc_now

    now_ms = int(utc_now().timestamp() * 1e3)
    root = root_of(folder, config)
    print_rows(
        f"spool folders in {root}", [entry._asdict() for entry in look(root, now_ms)], as_json=as_json, render=_cell
    )


@app.command(epilog=example("lychgate audit spool verify", "lychgate audit spool verify --folder /mnt/rescued"))
def verify(folder: FolderOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Read every record and name what is damaged, missing or open to others; exit code 1 if anything is."""
    from audit.spool.inspect import verify as look

    root = root_of(folder, config)
    try:
        findings = [finding._asdict() for finding in look(root)]
    except OSError as exc:
        raise unreadable(exc) from exc
    print_rows(f"findings in {root}", findings, as_json=as_json)
    raise typer.Exit(ExitCode.FINDING if findings else ExitCode.SUCCESS)


@app.command(
    epilog=example(
        "lychgate audit spool dump --producer gateway-w0 | jq .event_type",
        "lychgate audit spool dump --type audit.loss --since 24h",
    )
)
def dump(
    producer: ProducerOption = None,
    tenant: TenantOption = None,
    event_type: TypeOption = None,
    since: SinceOption = None,
    folder: FolderOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the records, one JSON object a line; with --json as one array.

    Records are as they were written: what is secret never was in them, what is personal is.
    """
    import json

    from audit.errors import SpoolFormat
    from audit.spool.inspect import dump as look

    wanted = wanted_of(producer, tenant, event_type, since)
    records = look(root_of(folder, config), wanted)
    try:
        if as_json:
            print_json([json.loads(record) for record in records])
            return
        for record in records:
            typer.echo(record)
    except (OSError, SpoolFormat) as exc:
        if isinstance(exc, BrokenPipeError):
            raise
        raise unreadable(exc) from exc


replay.add_to(app)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return "\n".join(f"{key} {each}" for key, each in value.items())
    return "" if value is None else str(value)
