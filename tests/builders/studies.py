"""The studies in `spikes/`, run and looked into: their scripts live by themselves and are no package."""

import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from spikes import kept

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-spikes" / "bin" / "python"


def needed(missing: str | None) -> None:
    """Skip for what is missing; fail where CI is set."""
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)


def run(study: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run a study's script as the README says, from the root."""
    needed(None if PYTHON.exists() else "there is no .venv-spikes; run `spikes/setup`")
    command = [str(PYTHON), f"spikes/{study}/run.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def results(study: str) -> dict[str, Any]:
    """What a study found when its README was written."""
    found: dict[str, Any] = json.loads((ROOT / "spikes" / study / "results.json").read_text(encoding="utf-8"))
    return found


@contextmanager
def imported(study: str, *names: str) -> Iterator[list[ModuleType]]:
    """Modules of a study, under the names by which they know each other; gone again afterwards."""
    folder, before = str(ROOT / "spikes" / study), set(sys.modules)
    sys.path.insert(0, folder)
    try:
        yield [importlib.import_module(name) for name in names]
    finally:
        sys.path.remove(folder)
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(folder):
                del sys.modules[name]


def unfounded(page: str, found: Any) -> list[str]:
    """Which cells of the tables between a page's marks are no value of what was measured, shown as the scripts do."""
    told: set[str] = set()

    def look(value: Any) -> None:
        told.add(kept.cell(value))
        for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            look(each)

    look(found)
    tables = page.partition(kept.BEGIN)[2].partition(kept.END)[0].split("\n\n")
    rows = [line for table in tables if table.startswith("| ") for line in table.splitlines()[2:]]
    cells = [cell for row in rows for cell in re.split(r" (?<!\\)\| ", row.removeprefix("| ").removesuffix(" |"))[1:]]
    return [cell for cell in cells if re.match(r"[\d.]", cell) and cell not in told]
