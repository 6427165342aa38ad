"""How often the scanner is right, on handlers that people have labelled."""

import re
from functools import cache
from pathlib import Path

import pytest

from lychgate.coverage.labels import Measured, measure

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests/cases"
FRAMEWORKS = {"fastapi", "starlette", "flask", "django", "aiohttp"}
SETS = {
    "coverage": "labelled",
    "coverage_held_out": "held out",
    "coverage_second_reader": "second reader's",
    "coverage_strangers": "strangers'",
}
KNOWN_WRONG = {"coverage": {"api.task_then_await", "views.track"}, "coverage_strangers": {"shop.pay"}}
"""What the scanner gets wrong and we know of: kept in the set, and in its numbers."""


@cache
def measured(name: str) -> Measured:
    """A labelled set, once."""
    return measure(CASES / name)


@pytest.mark.parametrize("name", SETS)
def test_the_scanner_is_right_nineteen_times_of_twenty(name: str) -> None:
    """Precision and recall of both claims, over all five frameworks."""
    found = measured(name)
    assert {label.framework for label, _ in found.pairs} == FRAMEWORKS
    for score in (found.uncovered(), found.changing()):
        assert score.precision >= 0.95
        assert score.recall >= 0.95


def test_the_set_is_large_and_has_both_kinds() -> None:
    """At least 120 handlers; each framework has some of every verdict."""
    found = measured("coverage")
    assert len(found.pairs) >= 120
    for framework in FRAMEWORKS:
        labels = [label for label, _ in found.pairs if label.framework == framework]
        assert len(labels) >= 20
        assert {(it.changes, it.covered) for it in labels} >= {(True, True), (True, False), (False, False)}


@pytest.mark.parametrize("name", SETS)
def test_what_it_gets_wrong_is_known(name: str) -> None:
    """A case that goes wrong, or right, is noticed; so is a handler that nobody has labelled."""
    found = measured(name)
    assert {label.name for label, _ in found.wrong()} == KNOWN_WRONG.get(name, set())
    assert found.unlabelled == ()


def table() -> str:
    """What stands in the guide."""
    lines = [
        "| handlers | of them | uncovered: precision | recall | changing: precision | recall |",
        "|---|---|---|---|---|---|",
    ]
    for name, title in SETS.items():
        found = measured(name)
        for framework in (*sorted(FRAMEWORKS), None):
            count = sum(framework in {None, label.framework} for label, _ in found.pairs)
            uncovered, changing = found.uncovered(framework), found.changing(framework)
            numbers = (uncovered.precision, uncovered.recall, changing.precision, changing.recall)
            cells = " | ".join(f"{number:.3f}" for number in numbers)
            lines.append(f"| {title}, {framework or 'all'} | {count} | {cells} |")
    return "\n".join(lines)


def test_the_guide_has_these_numbers() -> None:
    """The table of docs/guides/coverage.md is this one; when it differs, this prints the right one."""
    page = (ROOT / "docs/guides/coverage.md").read_text()
    block = re.search(r"<!-- measured -->\n(.*?)\n<!-- /measured -->", page, re.DOTALL)
    assert block
    assert block[1] == table()
