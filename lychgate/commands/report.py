"""How commands speak: tables for people on standard output, the same as JSON for scripts, and typed options."""

import json
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from lychgate.logs import LogFormat

ConfigOption: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="The configuration file.", show_default="lychgate.yaml")
]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="The same as JSON, for scripts.")]
LogFormatOption: TypeAlias = Annotated[
    LogFormat, typer.Option("--log-format", help="Lines for machines or for people.", case_sensitive=False)
]


class ExitCode(IntEnum):
    """How a command ends (DESIGN section 2)."""

    SUCCESS = 0
    FINDING = 1
    USAGE = 2


def example(*lines: str) -> str:
    """The example under a command's help."""
    # \b keeps the lines as they are.
    return "\b\nExample:\n" + "\n".join(f"  $ {line}" for line in lines)


def print_json(value: object) -> None:
    """One line of JSON on standard output."""
    typer.echo(json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str))


def print_rows(
    title: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool, render: Callable[[Any], str] = str
) -> None:
    """A table, or the rows as a JSON array.

    Args:
        title: Above the table.
        rows: All with the same keys, which are the columns.
        as_json: JSON instead.
        render: A cell's value as text.
    """
    if as_json:
        print_json(list(rows))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in rows[0] if rows else ():
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(render(value) for value in row.values()))
    Console().print(table if rows else f"{title}: nothing")
