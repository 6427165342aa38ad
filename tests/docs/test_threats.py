"""docs/threat-model.md: each threat has its class, an answer, what is left, and tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/threat-model.md"
ROW = re.compile(r"^\| (?P<id>[A-Z]\d+) \| (?P<cells>.*) \|$", re.MULTILINE)


def rows() -> dict[str, list[str]]:
    """Id to cells: class, threat, answer, rest, test."""
    found: dict[str, list[str]] = {}
    for row in ROW.finditer(PAGE.read_text(encoding="utf-8")):
        assert row["id"] not in found, row["id"]
        found[row["id"]] = row["cells"].split(" | ")
    return found


@cache
def functions(file: str) -> set[str]:
    """The test functions of a file, those of classes too; by parsing it, because a name in a comment is no test."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_there_are_threats_of_every_class_on_both_ways() -> None:
    """Sixty at least, each of the six letters many times."""
    found = rows()
    assert len(found) >= 60
    letters = [letter for cells in found.values() for letter in cells[0].split(", ")]
    assert set(letters) == set("STRIDE")
    assert min(letters.count(letter) for letter in "STRIDE") >= 8


def test_every_threat_is_answered_and_tested() -> None:
    """Five cells that say something, the last one tests that are there."""
    for name, cells in rows().items():
        assert len(cells) == 5, name
        _, threat, answer, rest, test = cells
        assert len(threat.split()) > 3, name
        assert len(answer.split()) > 2, name
        assert rest, name
        named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", test)
        assert named, name
        for file, function in named:
            assert (ROOT / file).is_file(), f"{name}: {file}"
            assert function in functions(file), f"{name}: {file}::{function}"
