"""The HTTP page: every row is held to the code by a case that is run or a test that is there."""

import re
from pathlib import Path

import yaml

from gateway.errors import Code
from lychgate.reference import http

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "cases" / "http"


def test_every_supported_row_names_a_test_that_is_there() -> None:
    """A claim without a test is a wish."""
    rows = [row for part in yaml.safe_load((CASES / "supported.yaml").read_text("utf-8")) for row in part["rows"]]
    assert len(rows) > 15
    for row in rows:
        name, _, function = row["test"].partition("::")
        text = (ROOT / "tests" / "gateway" / name).read_text("utf-8")
        assert re.search(rf"^(?:async )?def {function}\(", text, re.MULTILINE), row["what"]


def test_every_refusal_has_cases_and_a_code_that_there_is() -> None:
    """Rows are run by `test_conformance_story.py`, which takes them from the same file."""
    words = {code.word for code in Code}
    for part in yaml.safe_load((CASES / "refused.yaml").read_text("utf-8")):
        for row in part["rows"]:
            assert row["code"] in words
            assert sum(len(row.get(kind, ())) for kind in ("heads", "after", "answers")) > 0, row["what"]


def test_the_page_says_it_all() -> None:
    """Each row stands in it, with status and code."""
    text = http.page()
    for name in ("supported.yaml", "refused.yaml"):
        for part in yaml.safe_load((CASES / name).read_text("utf-8")):
            assert f"### {part['section']}\n" in text
            assert all(row["what"].replace("|", "\\|") in text for row in part["rows"])
    assert "405 `method_not_allowed`" in text
    assert text.count("\n| 9112") + text.count("\n| 9110") + text.count("\n| 3986") >= 14
