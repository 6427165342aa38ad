"""A matrix as rows of text."""

import csv
import io
import json

from lychgate.matrix.layout import Grid, as_json, cells, changes, changes_json, crossings
from roles.matrix import matrix
from roles.matrix_diff import Difference
from roles.matrix_model import Cell, Crossing, Matrix, May, Outcome, Row
from tests.builders.questions import real_catalogue, real_engine

ALLOW, DENY = Outcome(May.ALLOW), Outcome(May.DENY)
ODD = Outcome(May.CONDITIONAL, 'word == "a|b`c"')


def small(*crossing: Crossing) -> Matrix:
    """Two actions and one role."""
    rows = (Row("a:one", ("Doc",), (Cell(ALLOW),)), Row("a:two", ("Doc", "File"), (Cell(ODD),)))
    return Matrix("v", ("R",), rows, crossing, (), 3)


def test_cells_as_markdown() -> None:
    """Conditions and names are code; a bar does not end a cell, a backtick not the code."""
    lines = cells(small(), code=True).markdown().splitlines()
    assert lines[0] == "| action | resource | R |"
    assert lines[2] == "| `a:one` | Doc | allow |"
    assert lines[3] == r'| `a:two` | Doc, File | if `` word == "a\|b`c" `` |'


def test_cells_as_csv_can_be_read_back() -> None:
    """Quotes and all."""
    grid = cells(small())
    assert list(csv.reader(io.StringIO(grid.csv()))) == [list(grid.columns), *map(list, grid.rows)]


def test_one_type_of_resource_needs_no_column() -> None:
    """Where all rows have the same."""
    found = cells(matrix(real_engine(), real_catalogue(), actions=("order:read", "order:create")))
    assert found.columns[:2] == ("action", "Anonymous")


def test_who_crosses_by_every_action_is_said_in_one_row() -> None:
    """What is on another condition stands by itself."""
    found = crossings(matrix(real_engine(), real_catalogue()))
    assert found.rows == (
        ("Anonymous", "-", "product:browse", "allow"),
        ("SuperAdmin", "platform", "every other action", "if cross_tenant"),
        ("SuperAdmin", "platform", "order:discount", "if 0 <= percent <= 100 && cross_tenant"),
        ("SuperAdmin", "platform", "payment:refund", "if amount >= 1 && cross_tenant"),
    )


def test_where_somebody_crosses_to_is_said() -> None:
    """And it is not every action when it is only there."""
    into = Crossing("R", "", "a:one", ("Doc",), "into open", ALLOW)
    other = Crossing("R", "", "a:two", ("Doc", "File"), "into open", ALLOW)
    assert crossings(small(into, other)).rows == (("R", "any", "a:one, a:two", "into open: allow"),)


def test_changes() -> None:
    """A row a cell; the same as JSON."""
    found = [Difference("a:one", "R", "own", ("Doc",), "deny", "if x >= 1")]
    assert changes(found).rows == (("a:one", "R", "Doc", "own", "deny", "if x >= 1"),)
    assert changes(found, code=True).rows == (("`a:one`", "R", "Doc", "own", "deny", "`if x >= 1`"),)
    assert changes_json(found) == [
        {
            "action": "a:one",
            "role": "R",
            "resource_types": ["Doc"],
            "tenant": "own",
            "before": "deny",
            "after": "if x >= 1",
        }
    ]


def test_the_whole_as_json() -> None:
    """A cell an object, and who crosses."""
    told = json.loads(json.dumps(as_json(matrix(real_engine(), real_catalogue(), actions=("ops:status",)))))
    cell = next(each for each in told["cells"] if each["role"] == "Auditor")
    assert cell == {
        "action": "ops:status",
        "resource_types": ["Gateway"],
        "role": "Auditor",
        "decision": "deny",
        "condition": None,
        "policies": [],
        "apart": [
            {"where": "in platform", "decision": "allow", "condition": None, "policies": ["ops.platform-status"]}
        ],
    }
    assert told["crossings"][0]["condition"] == "cross_tenant"
    assert told["policies_not_shown"] == []


def test_an_empty_grid_is_a_heading() -> None:
    """For scripts that expect one."""
    assert Grid(("a", "b"), ()).csv() == "a,b\n"
