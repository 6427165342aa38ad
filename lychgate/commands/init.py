"""`lychgate init`: the files to start from, written into a folder."""

from pathlib import Path
from typing import Annotated

import typer

from lychgate.commands.report import JsonOption, example, print_json


def init(
    folder: Annotated[Path, typer.Argument(help="Where to.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Write configuration, routes, roles, policies and decision tables that `lychgate up` starts with, to be edited.

    Overwrites nothing: if one of them is there already, none is written.
    """
    from lychgate.starter import CONFIG, write

    written = write(folder)
    if as_json:
        print_json({"written": [str(path) for path in written]})
    else:
        typer.echo(f"wrote {len(written)} files; begin with {folder / CONFIG}, then `lychgate config check`")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=example("lychgate init", "lychgate init /etc/lychgate"))(init)
