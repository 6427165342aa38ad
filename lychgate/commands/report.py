"""How commands speak: tables for people on standard output, the same as JSON for scripts, and typed options."""

import json
from collections.abc import Callable, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from lychgate.logs import LogFormat

if TYPE_CHECKING:
    from rich.console import Console

_FOLDED_COUNT: Final = 6
"""Columns that may be folded to fit a screen; with more, each row gets lines of its own."""
_ENDLESS: Final = 10_000

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


def plain(text: str) -> str:
    """Text of others for a terminal: what could give orders to it is spelled out."""
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


def print_json(value: object) -> None:
    """One line of JSON on standard output."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, default=str)
    # A name that is not UTF-8, or half a surrogate pair in somebody's source, is no text; JSON's escape for it is.
    typer.echo(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def print_rows(
    title: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool, render: Callable[[Any], str] | None = None
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
    render = render or _cell
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # what is in a cell is no markup: `case [17]` keeps its brackets

    console = Console()
    if not rows:
        console.print(Text(f"{plain(title)}: nothing"))
        return
    table = Table(title=Text(plain(title)), title_justify="left", box=SIMPLE_HEAD)
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(render(value))) for value in row.values()))
    needed = console.measure(table, options=console.options.update(max_width=_ENDLESS)).maximum
    if needed <= console.width:
        console.print(table)
    elif not console.is_terminal:  # a pipe or a file has no edge
        Console(width=needed).print(table)
    elif len(rows[0]) <= _FOLDED_COUNT:
        console.print(table)
    else:  # folded into columns of four letters nobody could read it
        _print_each(console, title, rows, render)


def _cell(value: object) -> str:
    """A value as people read it; of what is not there, nothing."""
    return "" if value is None else str(value)


def _print_each(
    console: "Console", title: str, rows: Sequence[Mapping[str, Any]], render: Callable[[Any], str]
) -> None:
    """Each row as lines of its own: what to do with many columns on a narrow screen."""
    console.print(plain(title), markup=False, highlight=False)
    name_chars = max(map(len, rows[0]))
    for row in rows:
        console.print()
        for name, value in row.items():
            console.print(f"  {name:{name_chars}}  {plain(render(value))}", markup=False, highlight=False, emoji=False)
