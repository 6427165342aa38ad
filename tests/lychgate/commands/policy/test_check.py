"""`lychgate policy check`, from the outside."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from lychgate import cli
from lychgate.commands.report import ExitCode

ROOT = Path(__file__).parents[4]
SHADOWED = """
@id("again")
@reason("r")
permit (principal in Role::"Cashier", action == Action::"order:create", resource);
"""
UNREACHED = """
@id("odd")
@reason("r")
permit (principal in Role::"Anonymous", action == Action::"integration:retry", resource);
"""
REASON = "says nothing that `order.sell` does not already say"


def check(*words: str | Path) -> Result:
    """Run the command."""
    config = ("--config", str(ROOT / "lychgate.yaml"))
    return CliRunner().invoke(cli.app, ["policy", "check", *map(str, words), *config])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository's policies, with one that says nothing new."""
    monkeypatch.chdir(ROOT)
    for file in (ROOT / "policies").glob("*.cedar*"):
        (tmp_path / file.name).write_text(file.read_text())
    order = tmp_path / "order.cedar"
    order.write_text(order.read_text() + SHADOWED)
    return tmp_path


def line(folder: Path) -> int:
    """Where the policy begins that says nothing new."""
    return (folder / "order.cedar").read_text().split("\n").index('@id("again")') + 1


def test_a_finding_has_place_severity_reason_and_code(folder: Path) -> None:
    """For people."""
    done = check(folder)
    assert (done.exit_code, done.output) == (
        1,
        f"{folder}/order.cedar:{line(folder)}:1: warning: {REASON} [shadowed]\n",
    )


def test_the_same_for_scripts_and_code_hosts(folder: Path) -> None:
    """`--json`, `--format json` and `--format sarif`."""
    row = {
        "file": str(folder / "order.cedar"),
        "line": line(folder),
        "column": 1,
        "severity": "warning",
        "code": "shadowed",
        "reason": REASON,
    }
    for words in (("--json",), ("--format", "json")):
        assert json.loads(check(folder, *words).output) == {"findings": [row]}
    log = json.loads(check(folder, "--format", "sarif").output)
    assert [result["ruleId"] for result in log["runs"][0]["results"]] == ["shadowed"]


def test_a_kind_is_allowed(folder: Path) -> None:
    """By its code; one that is unknown, or that the gateway refuses, is wrong usage."""
    done = check(folder, "--allow", "shadowed")
    assert (done.exit_code, done.output) == (0, "the policies are in order\n")
    for code, reason in (
        ("shadwed", "--allow: there is no finding of the code `shadwed`; the nearest is `shadowed`"),
        ("zzz", "--allow: there is no finding of the code `zzz`"),
        ("syntax", "--allow: `syntax` cannot be allowed: the gateway refuses it"),
    ):
        refused = check(folder, "--allow", code)
        assert getattr(refused.exception, "exit_code", None) == ExitCode.USAGE
        assert str(refused.exception) == reason


def test_routes_count_unless_told_otherwise(folder: Path) -> None:
    """Nothing asks for it, as far as this gateway's routes go."""
    file = folder / "integration.cedar"
    file.write_text(file.read_text() + UNREACHED)
    assert "[unreached-policy]" in check(folder, "--allow", "shadowed").output
    assert check(folder, "--allow", "shadowed", "--no-routes").exit_code == 0


def test_what_the_gateway_refuses_is_an_error(folder: Path) -> None:
    """And comes alone: what is not read cannot be looked through."""
    (folder / "order.cedar").write_text("permit (;")
    done = check(folder)
    assert done.exit_code == 1
    assert done.output == f"{folder}/order.cedar:1:9: error: unexpected token `;` [syntax]\n"


def test_a_folder_that_is_not_there_is_usage(tmp_path: Path) -> None:
    """Exit code 2."""
    done = check(tmp_path / "nowhere")
    assert getattr(done.exception, "exit_code", None) == ExitCode.USAGE
