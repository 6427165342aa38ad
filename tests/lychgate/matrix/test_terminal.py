"""A matrix on a terminal."""

import pytest

from lychgate.matrix.layout import Grid
from lychgate.matrix.terminal import compact, grid_width, listed, show, table
from roles.matrix import matrix
from roles.matrix_model import Matrix
from tests.builders.questions import real_catalogue, real_engine


def some() -> Matrix:
    """Two actions."""
    return matrix(real_engine(), real_catalogue(), actions=("payment:refund", "ops:status"))


def test_long_cells_are_notes() -> None:
    """Each note once, in the order they are met."""
    grid, notes = compact(some())
    assert grid.columns[0] == "action"
    assert grid.rows[0][5] == "deny [1]"
    assert grid.rows[1][6:9] == ("if [2]", "if [3]", "deny")
    assert notes == ["[1] deny; in platform: allow", "[2] if 1 <= amount <= 50000", "[3] if amount >= 1"]


def test_a_narrow_terminal_gets_a_list() -> None:
    """Roles with the same answer together, denials last."""
    assert list(listed(some()))[-3:] == [
        "  Manager: if 1 <= amount <= 50000",
        "  Admin, SuperAdmin: if amount >= 1",
        "  Anonymous, Cashier, Support, InventoryClerk, Auditor, Service: deny",
    ]


def test_a_pipe_gets_the_whole_width(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is folded or cut."""
    show(some())
    out = capsys.readouterr().out
    assert "InventoryClerk" in out
    assert "[2] if 1 <= amount <= 50000" in out
    assert "who may touch what is another tenant's" in out


def test_nobody_crossing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """It is not left out."""
    show(matrix(real_engine(), real_catalogue(), roles=("Cashier",)))
    assert "nobody may touch what is another tenant's" in capsys.readouterr().out


def test_a_cell_is_text_and_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets stay."""
    grid = Grid(("a",), (("[bold]x[/bold]",),))
    assert grid_width(grid) == 18
    table("t", grid)
    assert "[bold]x[/bold]" in capsys.readouterr().out
