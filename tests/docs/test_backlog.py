"""docs/backlog.md: every item of the programme is there, and what is done has its code, tests, metrics and pages."""

import re
from pathlib import Path

import pytest

from lychgate.reference.metrics import described
from tests.docs.test_threats import functions

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/backlog.md"
TEXT = PAGE.read_text(encoding="utf-8")
METRICS = {metric.name for metrics in described().values() for metric in metrics}
OBSERVED = {"TA-AUD-2", "TA-AUD-4", "TA-AUD-5", "TA-AUD-6", "TA-AUD-7", "TA-OPS-1", "TA-OPS-3", "TA-PERF-2"}
"""Items that ask for metrics."""


def table(heading: str) -> list[list[str]]:
    """The rows of the table under a heading, without its head."""
    part = TEXT if not heading else TEXT.partition(f"## {heading}")[2]
    rows = [line for line in part.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


ITEMS = {row[0].split()[0]: row for row in table("")}


def links(cell: str) -> list[str]:
    """What a cell links to."""
    return re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", cell)


def exists(target: str) -> bool:
    """Whether a link from the page leads to something: `docs/runbook/alerts` is an index that the site makes."""
    return (PAGE.parent / target).exists()


def is_test(name: str) -> bool:
    """Whether `tests/file.py` or `tests/file.py::test_name` is there."""
    file, _, function = name.partition("::")
    return (ROOT / file).exists() and (not function or function in functions(file))


def test_every_item_of_the_programme_is_there() -> None:
    """None is left out, none is made up: how many of each kind the programme has, numbered from 1."""
    kinds = {"FND": 3, "ROL": 5, "AUD": 8, "OPS": 3, "PERF": 2, "POL": 2, "DOC": 2, "FUT": 2}
    assert set(ITEMS) == {f"TA-{kind}-{number + 1}" for kind, count in kinds.items() for number in range(count)}
    assert set(ITEMS) >= OBSERVED
    backlog = ROOT.parent / "shared" / "BACKLOG.md"  # the programme's own list, where it is at hand
    if backlog.exists():
        assert set(ITEMS) == set(re.findall(r"^\| (TA-[A-Z]+-\d+) ", backlog.read_text(encoding="utf-8"), re.MULTILINE))


@pytest.mark.parametrize("item", sorted(ITEMS))
def test_what_is_done_is_linked(item: str) -> None:
    """Code and a page, each there; a test that exists; metrics that somebody counts, where the item asks for some."""
    _, state, code, shown, metric, page = ITEMS[item]
    assert state == "done"
    for cell in (code, shown, page, *([] if metric.startswith("none: ") else [metric])):
        assert links(cell), f"{item}: {cell}"
        assert [link for link in links(cell) if not exists(link)] == [], item
    tests = re.findall(r"`(tests/[^`]+)`", shown)
    assert [name for name in tests if not is_test(name)] == [], item
    assert links(shown) == [f"../{name.partition('::')[0]}" for name in tests]
    named = re.findall(r"`([a-z_]+)`", metric)
    assert named or (metric.startswith("none: ") and item not in OBSERVED), item
    assert [name for name in named if name not in METRICS] == [], item


@pytest.mark.parametrize("heading", ["Dashboard figures", "Risks", "Open questions"])
def test_figures_risks_and_questions_are_answered(heading: str) -> None:
    """Every link, test and metric of the other tables exists; a question has its decision."""
    rows = table(heading)
    assert len(rows) == {"Dashboard figures": 6, "Risks": 3, "Open questions": 3}[heading]
    for row in rows:
        text = " | ".join(row)
        assert [link for link in links(text) if not exists(link)] == [], text
        assert [name for name in re.findall(r"`(tests/[^`]+)`", text) if not is_test(name)] == [], text
        if heading == "Open questions":
            assert links(row[-1])[0].startswith("adr/02"), text
        else:
            named = re.findall(r"`((?:audit|auth)_[a-z_]+)`", " | ".join(row[1:]))
            assert named, text
            assert [name for name in named if name not in METRICS] == [], text
