"""The short guides: their files are put in place and their commands run, on a copy of the shipped files."""

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.builders.pages import blocks, run

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs/guides"
PACKAGES = ("audit", "gateway", "lychgate", "query")
RUN = ["add-a-route", "add-a-role", "connect-an-identity-provider", "tls"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that the guides speak of."""
    for folder, pattern in (("policies", "*.cedar*"), ("roles", "*.toml"), ("tests/cases/decisions", "*.yaml")):
        (tmp_path / folder).mkdir(parents=True)
        for file in (ROOT / folder).glob(pattern):
            shutil.copy(file, tmp_path / folder)
    for name in ("routes.toml", "lychgate.yaml", "tests/cases/mutants_allowed.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", RUN)
def test_a_guide_does_what_it_says(name: str, checkout: Path) -> None:
    """In order; what is only shown is marked as text or as a query."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LYCHGATE_")}
    found = [block for block in blocks(GUIDES / f"{name}.md") if block.language not in {"text", "promql"}]
    assert found
    for block in found:
        run(block, checkout, kept)


def test_log_lines_that_are_explained_exist() -> None:
    """Each word in the table of docs/guides/read-the-logs.md is one that some module logs."""
    code = "\n".join(path.read_text("utf-8") for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    page = (GUIDES / "read-the-logs.md").read_text("utf-8").partition("| `event` |")[2]
    words = {
        word for row in page.splitlines() if row.startswith("| `") for word in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert len(words) > 20
    assert [word for word in sorted(words) if f'"{word}"' not in code] == []
