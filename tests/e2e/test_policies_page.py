"""docs/guides/policies.md, block by block, on a copy of the shipped files: what a newcomer reads is what happens."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.builders.pages import blocks, run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/guides/policies.md"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files the page speaks of, in a repository with one commit."""
    for folder, pattern in (("policies", "*.cedar*"), ("roles", "*.toml"), ("tests/cases/decisions", "*.yaml")):
        (tmp_path / folder).mkdir(parents=True)
        for file in (ROOT / folder).glob(pattern):
            shutil.copy(file, tmp_path / folder)
    for name in ("routes.toml", "lychgate.yaml", "tests/cases/mutants_allowed.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=n", "-c", "user.email=n@n", "commit", "-qm", "all"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True, env=environment())
    return tmp_path


def environment() -> dict[str, str]:
    """Without our own configuration, and without whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LYCHGATE_", "GIT_"))}
    return {**kept, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


def test_every_block_does_what_the_page_says(checkout: Path) -> None:
    """In order: files are written and changed, commands print what stands below them."""
    found = blocks(PAGE)
    assert len(found) > 20
    for block in found:
        run(block, checkout, environment())
