"""`docs/guides/decision-tables.md` is run: its tables pass, its list can be read, its commands exist."""

import re

from typer.testing import CliRunner

from lychgate import cli
from policies.engine import Engine
from roles.tables.allowed import read_allowed
from roles.tables.case_list import KEYS
from roles.tables.run import run
from tests.builders.questions import ROOT, real_bundle, real_catalogue
from tests.builders.tables import cases_of, documents

PAGE = (ROOT / "docs/guides/decision-tables.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml ?(\w*)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def test_every_table_on_the_page_passes() -> None:
    """Against the shipped policies, or the made-up ones."""
    ran = 0
    for kind, text in BLOCKS:
        if kind == "allowed":
            continue
        bundle = documents() if kind == "other" else real_bundle()
        for outcome in run(cases_of(text, bundle), Engine(bundle), real_catalogue()):
            assert outcome.differences == (), outcome.case.name
            ran += 1
    assert ran == 9


def test_the_list_on_the_page_is_one() -> None:
    """And explains a mistake of the shipped list."""
    (text,) = [text for kind, text in BLOCKS if kind == "allowed"]
    file = ROOT / "tests/cases/mutants_allowed.yaml"
    shipped = read_allowed(file.name, file.read_text(encoding="utf-8"))
    assert read_allowed("page", text).items() <= shipped.items()


def test_every_key_is_on_the_page() -> None:
    """In the table, in order."""
    assert tuple(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == KEYS


def test_every_option_on_the_page_exists() -> None:
    """A page outlives options."""
    shown = CliRunner().invoke(cli.app, ["policy", "test", "--help"], terminal_width=200).output
    options = set(re.findall(r"--[a-z][a-z-]+", PAGE))
    assert len(options) >= 7
    assert [option for option in options if option not in shown] == []
