"""`lychgate audit spool stat | verify | dump`: what is on this machine's disk and not yet in the store."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json, print_rows
from lychgate.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Records that are not delivered yet.")

FolderOption: TypeAlias = Annotated[
    Path | None, typer.Option("--folder", help="The spool folder; the configured one if not given.")
]


def _root(folder: Path | None, config: Path | None) -> Path:
    """The spool folder to look into."""
    from lychgate.settings import load

    root = folder or load(config).audit.spool.folder
    if not root.is_dir():
        raise ConfigurationError(f"{root}: there is no such folder")
    return root


@app.command(epilog=example("lychgate audit spool stat", "lychgate audit spool stat --json"))
def stat(folder: FolderOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show each producer's folder: epoch, numbers taken, segments, bytes."""
    from audit.spool.inspect import stat as look

    root = _root(folder, config)
    print_rows(f"spool folders in {root}", [entry._asdict() for entry in look(root)], as_json=as_json)


@app.command(epilog=example("lychgate audit spool verify"))
def verify(folder: FolderOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Read every record and name what is damaged or missing; exit code 1 if anything is."""
    from audit.spool.inspect import verify as look

    root = _root(folder, config)
    findings = [finding._asdict() for finding in look(root)]
    print_rows(f"findings in {root}", findings, as_json=as_json)
    raise typer.Exit(ExitCode.FINDING if findings else ExitCode.SUCCESS)


@app.command(epilog=example("lychgate audit spool dump --producer gateway-w0 | jq .event_type"))
def dump(
    producer: Annotated[str | None, typer.Option(help="Of this producer only.")] = None,
    folder: FolderOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the records, one JSON object a line; with --json as one array."""
    import json

    from audit.spool.inspect import dump as look

    records = look(_root(folder, config), producer)
    if as_json:
        print_json([json.loads(record) for record in records])
        return
    for record in records:
        typer.echo(record)
