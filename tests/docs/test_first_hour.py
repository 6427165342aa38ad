"""docs/tutorial/first-hour.md, block by block, on a stack of its own: what a newcomer types is what happens."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.pages import Block, blocks, run
from tests.servers.up import Up, launch, state_folder

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tutorial/first-hour.md"
AFTERWARDS = [ROOT / "docs/guides/who-did-this.md", ROOT / "docs/runbook/metrics-and-alerts.md"]


@pytest.fixture
def stack() -> Iterator[tuple[Up, Path]]:
    """`lychgate up` on free ports, in a folder with the files that the page changes."""
    with state_folder() as state:
        folder = state.parent / "checkout"
        for name, pattern in (("policies", "*.cedar*"), ("roles", "*.toml"), ("tests/cases/decisions", "*.yaml")):
            (folder / name).mkdir(parents=True)
            for file in (ROOT / name).glob(pattern):
                shutil.copy(file, folder / name)
        for name in ("routes.toml", "lychgate.yaml", "tests/cases/mutants_allowed.yaml"):
            shutil.copy(ROOT / name, folder / name)
        up = launch(state, cwd=folder, LYCHGATE_GATEWAY__WORKERS="2")
        try:
            up.await_ready()
            yield up, folder
        finally:
            up.close()


def placed(block: Block, up: Up) -> Block:
    """The block as it reads on a stack with other ports and another folder."""
    text = block.text.replace("http://127.0.0.1:8080", up.gateway).replace("http://127.0.0.1:8081", up.ops)
    return block._replace(text=text.replace("STATE=.lychgate", f"STATE={up.state}"))


@pytest.mark.timeout(240)
def test_every_block_does_what_the_page_says(stack: tuple[Up, Path]) -> None:
    """In order; each command in a shell that has read the page's first file."""
    up, folder = stack
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LYCHGATE_")}
    environment = {**kept, "BASH_ENV": str(folder / "first-hour.sh")}
    found = blocks(PAGE)
    assert len(found) > 15
    for block in [*found, *(block for page in AFTERWARDS for block in blocks(page))]:
        run(placed(block, up), folder, environment)
    sold = (folder / "sold.txt").read_text().split()
    assert sold.count("201") >= 5
    assert len((folder / "answered.txt").read_text().split()) == sold.count("201")
    assert len(re.findall("starting it again", up.said())) == 1
