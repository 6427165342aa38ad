"""The commands from the outside: exit codes, what goes where, and how quick help is."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lychgate import cli

ROOT = Path(__file__).parents[2]


def lychgate(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-m", "lychgate", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=_environment())


def _environment() -> dict[str, str]:
    import os

    return {**{k: v for k, v in os.environ.items() if not k.startswith("LYCHGATE_")}, "PYTHONPATH": str(ROOT)}


def commands() -> list[tuple[str, ...]]:
    """Every command there is, by its words."""
    import typer.main

    found: list[tuple[str, ...]] = []

    def walk(command: object, words: tuple[str, ...]) -> None:
        inner = getattr(command, "commands", None)
        if inner is None:
            found.append(words)
            return
        for name, sub in inner.items():
            walk(sub, (*words, name))

    walk(typer.main.get_command(cli.app), ())
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(words: tuple[str, ...]) -> None:
    """`--help` says what it does and shows how it is called."""
    result = CliRunner().invoke(cli.app, [*words, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"$ lychgate {' '.join(words)}" in result.output


def test_help_is_quick() -> None:
    """`lychgate --help` imports nothing it does not need: the best of three is under a second of processor time."""
    best = 60.0
    for _ in range(3):
        began = _children_s()
        assert lychgate("--help").returncode == 0
        best = min(best, _children_s() - began)
    loaded = subprocess.run(
        [sys.executable, "-c", "import lychgate.cli, sys; print(*sys.modules)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert not {"pydantic", "fastapi", "httpx", "asyncpg", "cedarpy", "structlog", "rich.markdown"} & set(loaded)
    assert best < 1.0  # 0.2 s on a quiet machine; the line above is what keeps it so


def _children_s() -> float:
    """Processor time of all children that have ended: what the machine does beside them does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_wrong_usage_is_exit_code_2() -> None:
    """An unknown command, option or role."""
    assert lychgate("nope").returncode == 2
    assert lychgate("up", "--nope").returncode == 2
    unknown = lychgate("token", "mint", "--role", "Chashier", "--tenant", "acme", "--user", "u")
    assert unknown.returncode == 2
    assert "the nearest is `Cashier`" in unknown.stderr


def test_a_wrong_configuration_is_exit_code_2_with_its_place(tmp_path: Path) -> None:
    """Every command that reads the configuration says the same about a wrong key."""
    file = tmp_path / "lychgate.yaml"
    file.write_text("gateway:\n  prot: 1\n")
    for words in (("config", "check"), ("gateway",), ("query",), ("service", "order"), ("migrate",), ("up",)):
        done = lychgate(*words, "--config", str(file))
        assert done.returncode == 2, words
        assert f"lychgate: {file}:2: gateway.prot: there is no such key" in done.stderr


def test_findings_are_exit_code_1_with_file_and_line(tmp_path: Path) -> None:
    """A broken policy is named by `policy check` and by `config check`, for people and as JSON."""
    for file in (ROOT / "policies").glob("*.cedar*"):
        (tmp_path / file.name).write_text(file.read_text())
    order = tmp_path / "order.cedar"
    line = order.read_text().count("\n") + 2
    order.write_text(order.read_text() + '\n@id("x") @reason("y") permit (principal, action, nonsense);\n')
    people = lychgate("policy", "check", str(tmp_path))
    assert people.returncode == 1
    assert f"order.cedar:{line}:" in people.stdout
    scripts = lychgate("policy", "check", str(tmp_path), "--json")
    assert json.loads(scripts.stdout)["findings"][0]["line"] == line
    config = tmp_path / "lychgate.yaml"
    config.write_text(f"policies: {{folder: {tmp_path}}}\n")
    whole = lychgate("config", "check", "--config", str(config))
    assert whole.returncode == 1
    assert f"order.cedar:{line}:" in whole.stdout


def test_what_is_in_order_is_exit_code_0() -> None:
    """The repository's own configuration, routes, roles and policies."""
    assert lychgate("config", "check").returncode == 0
    assert lychgate("policy", "check").returncode == 0


def test_a_minted_token_is_all_that_is_printed(tmp_path: Path) -> None:
    """Standard output is the token, so that it can be put into a variable."""
    config = tmp_path / "lychgate.yaml"
    config.write_text(f"up: {{state_folder: {tmp_path}}}\ngateway: {{roles_file: {ROOT}/roles/roles.toml}}\n")
    words = ("token", "mint", "--role", "Manager", "--tenant", "acme", "--user", "mia", "--config", str(config))
    plain = lychgate(*words)
    assert plain.returncode == 0
    assert plain.stdout.strip().count(".") == 2
    assert set(json.loads(lychgate(*words, "--json").stdout)) == {"token"}


def test_spool_tools_answer_for_an_empty_and_a_missing_folder(tmp_path: Path) -> None:
    """Nothing there is no finding; no folder is wrong usage."""
    assert json.loads(lychgate("audit", "spool", "stat", "--folder", str(tmp_path), "--json").stdout) == []
    assert lychgate("audit", "spool", "verify", "--folder", str(tmp_path)).returncode == 0
    assert lychgate("audit", "spool", "stat", "--folder", str(tmp_path / "nowhere")).returncode == 2
