"""`lychgate policy matrix` as it is called."""

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from lychgate.cli import app
from lychgate.errors import ConfigurationError
from tests.builders.questions import ROOT


def matrix(*words: str) -> Result:
    """Run it in this process, at the repository's top."""
    return CliRunner().invoke(app, ["policy", "matrix", *words])


@pytest.fixture(autouse=True)
def _at_the_top(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The shipped policies with another limit."""
    shutil.copytree(ROOT / "policies", tmp_path / "other")
    payment = tmp_path / "other/payment.cedar"
    payment.write_text(payment.read_text().replace("<= 50000", "<= 60000"))
    return tmp_path / "other"


def test_the_formats_say_the_same() -> None:
    """Table, Markdown, CSV and JSON of one action."""
    only = ("--action", "payment:refund", "--role", "Manager", "--role", "Cashier")
    assert "[1] if 1 <= amount <= 50000" in matrix(*only).stdout
    assert "| `payment:refund` | deny | if `1 <= amount <= 50000` |" in matrix(*only, "--format", "markdown").stdout
    rows = list(csv.DictReader(io.StringIO(matrix(*only, "--format", "csv").stdout)))
    assert rows == [{"action": "payment:refund", "Cashier": "deny", "Manager": "if 1 <= amount <= 50000"}]
    told: dict[str, Any] = json.loads(matrix(*only, "--json").stdout)
    assert [(cell["role"], cell["condition"]) for cell in told["cells"]] == [
        ("Cashier", None),
        ("Manager", "1 <= amount <= 50000"),
    ]
    assert matrix(*only, "--format", "json").stdout == matrix(*only, "--json").stdout


def test_actions_by_pattern() -> None:
    """All of a kind."""
    told = json.loads(matrix("--action", "order:*", "--role", "Cashier", "--json").stdout)
    assert {cell["action"].partition(":")[0] for cell in told["cells"]} == {"order"}
    assert len(told["cells"]) == 8


def test_what_changes_against_another_folder(other: Path) -> None:
    """One cell; the exit code only when it is asked for."""
    words = (str(other), "--against", "policies", "--action", "payment:*", "--role", "Manager")
    plain = matrix(*words)
    assert (plain.exit_code, "changes: 1" in plain.stdout) == (0, True)
    found = matrix(*words, "--exit-code", "--json")
    assert found.exit_code == 1
    (change,) = json.loads(found.stdout)["changes"]
    assert (change["role"], change["before"], change["after"]) == (
        "Manager",
        "if 1 <= amount <= 50000",
        "if 1 <= amount <= 60000",
    )
    assert "| `if 1 <= amount <= 50000` |" in matrix(*words, "--format", "markdown").stdout
    assert matrix(*words, "--format", "csv").stdout.count("\n") == 2


def test_what_has_changed_since_a_revision() -> None:
    """Of this repository, where it is one; the newest commit knows its policies."""
    found = matrix("--diff", "HEAD", "--action", "order:read", "--role", "Cashier", "--json")
    assert (found.exit_code, found.stdout) == (0, '{"changes":[]}\n')


def test_nothing_changes_is_said() -> None:
    """And is success."""
    found = matrix("--against", "policies", "--exit-code", "--action", "order:read")
    assert (found.exit_code, found.stdout) == (0, "nothing changes\n")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--role", "Boss"), "there is no role `Boss`; there are Anonymous, Cashier"),
        (("--action", "x:*"), r"the schema declares no action `x:\*`"),
        (("--format", "pdf"), "--format: `pdf` is none of table, markdown, csv, json"),
        (("--diff", "HEAD", "--against", "policies"), "--diff and --against: one of them"),
        (("--diff", "nosuch"), "`nosuch` is no revision that git knows here"),
        (("nowhere",), "nowhere: there is no such folder"),
        (("--against", "nowhere"), "nowhere: there is no such folder"),
        (("docs",), "schema.cedarschema: cannot be read"),
    ],
)
def test_wrong_usage_says_why(words: tuple[str, ...], reason: str) -> None:
    """Exit code 2, through `lychgate.cli.main`."""
    with pytest.raises(ConfigurationError, match=reason):
        raise matrix(*words).exception or AssertionError("it ran")
