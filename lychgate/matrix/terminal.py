"""A matrix on a terminal: as a grid where it fits, else action by action; what is long stands in notes below."""

import sys
from collections import defaultdict
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lychgate.matrix.layout import Grid, crossings
from roles.matrix_model import Cell, Matrix, May, Row

_STYLES = {"allow": "green", "deny": "dim"}


def show(matrix: Matrix) -> None:
    """Print the whole matrix on standard output."""
    grid, notes = compact(matrix)
    title = f"policies {matrix.policy_version}, {matrix.asked} questions"
    if not sys.stdout.isatty() or grid_width(grid) <= Console().width:
        table(title, grid)
        for note in notes:
            typer.echo(note)
    else:
        typer.echo(title)
        for line in listed(matrix):
            typer.echo(line)
    across = crossings(matrix)
    typer.echo("")
    if across.rows:
        table("who may touch what is another tenant's", across)
    else:
        typer.echo("nobody may touch what is another tenant's")
    if matrix.unshown:
        typer.echo(f"not shown: whom {', '.join(matrix.unshown)} may mean besides by role and tenant")


def compact(matrix: Matrix) -> tuple[Grid, list[str]]:
    """The matrix in short words, and the notes they refer to."""
    rows_of: defaultdict[str, int] = defaultdict(int)
    for row in matrix.rows:
        rows_of[row.action] += 1
    notes: dict[str, int] = {}
    rows = [
        (_named(row, whole=rows_of[row.action] == 1), *(_short(cell, notes) for cell in row.cells))
        for row in matrix.rows
    ]
    return Grid(("action", *matrix.roles), tuple(rows)), [f"[{number}] {text}" for text, number in notes.items()]


def listed(matrix: Matrix) -> Iterator[str]:
    """The matrix action by action, roles with the same answer together."""
    for row in matrix.rows:
        yield ""
        yield f"{row.action} ({', '.join(row.resource_types)})"
        answers: defaultdict[str, list[str]] = defaultdict(list)
        for role, cell in zip(matrix.roles, row.cells, strict=True):
            answers[str(cell)].append(role)
        for answer, roles in sorted(answers.items(), key=lambda each: (each[0] == May.DENY, each[0])):
            yield f"  {', '.join(roles)}: {answer}"


def table(title: str, grid: Grid) -> None:
    """Print text in rows and columns; into a pipe as wide as it is, on a terminal as wide as that."""
    shown = Table(title=title, title_justify="left")
    for column in grid.columns:
        shown.add_column(column, overflow="fold")
    for row in grid.rows:
        shown.add_row(*(Text(cell, style=_STYLES.get(cell, "yellow" if "if " in cell else "")) for cell in row))
    console = Console() if sys.stdout.isatty() else Console(width=max(grid_width(grid), len(title)))
    console.print(shown)


def grid_width(grid: Grid) -> int:
    """In characters, with its frame."""
    columns = zip(grid.columns, *grid.rows, strict=True)
    return sum(max(map(len, column)) + 3 for column in columns) + 1


def _named(row: Row, *, whole: bool) -> str:
    return row.action if whole else f"{row.action} ({', '.join(row.resource_types)})"


def _short(cell: Cell, notes: dict[str, int]) -> str:
    """`allow`, `deny` or `if`, with the number of the note that says the rest."""
    said = str(cell)
    if said in _STYLES:
        return said
    number = notes.setdefault(said, len(notes) + 1)
    return f"{'if' if cell.outcome.may is May.CONDITIONAL else cell.outcome.may.value} [{number}]"
