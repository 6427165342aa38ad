"""The files to start from, and `lychgate init`."""

import json
from pathlib import Path

import pytest

from lychgate import starter
from lychgate.errors import ConfigurationError
from lychgate.findings import configuration_findings
from lychgate.settings import load, or_built_in
from tests.builders.command import run

ROOT = Path(__file__).parents[2]


def test_what_is_written_is_the_repositorys_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file at the place its configuration names, and all of it in order: checked and with its tables run."""
    written = starter.write(tmp_path / "new" / "folder")
    here = tmp_path / "new" / "folder"
    assert sorted(path for path in here.rglob("*") if path.is_file()) == sorted(written)
    for path in written:
        assert path.read_bytes() == (ROOT / path.relative_to(here)).read_bytes()
    cedar = {path.name for path in (ROOT / "policies").glob("*.cedar*")}
    assert {path.name for path in written if path.parent.name == "policies"} == cedar
    tables = {path.name for path in (ROOT / "tests" / "cases" / "decisions").iterdir()}
    assert {path.name for path in written if path.parent.name == "decisions"} == tables
    monkeypatch.chdir(here)
    assert run("config", "check").stdout == "the configuration is in order\n"
    assert run("policy", "check").returncode == 0
    assert run("policy", "test").returncode == 0


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    """One file that is there, even a link to nowhere, and none is written; exit code 2 with its place."""
    (tmp_path / "routes.toml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match=r"routes\.toml: is there already$"):
        starter.write(tmp_path)
    assert run("init", str(tmp_path)).returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["routes.toml"]
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be written: Not a directory"):
        starter.write(tmp_path / "file" / "folder")


def test_what_cannot_be_finished_leaves_no_file(tmp_path: Path) -> None:
    """So that the next attempt is not told of files that nobody has edited."""
    (tmp_path / "tests").touch()
    with pytest.raises(ConfigurationError, match="cannot be written"):
        starter.write(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["tests"]
    (tmp_path / "tests").unlink()
    assert starter.write(tmp_path)


def test_init_says_what_it_wrote(tmp_path: Path) -> None:
    """For people and for scripts."""
    said = run("init", str(tmp_path / "a")).stdout
    assert said.endswith(f"begin with {tmp_path / 'a' / 'lychgate.yaml'}, then `lychgate config check`\n")
    written = json.loads(run("init", str(tmp_path / "b"), "--json").stdout)
    assert str(tmp_path / "b" / "lychgate.yaml") in written["written"]


def test_a_folder_without_configuration_is_checked_with_the_built_in_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names its files wherever they are; a file of the folder or a variable comes first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LYCHGATE_CONFIG", raising=False)
    found = or_built_in(None)
    assert found == starter.config_file()
    settings = load(found, {})
    assert configuration_findings(settings) == []
    assert settings.policies.tables.is_dir()
    assert load(found, {"LYCHGATE_POLICIES__FOLDER": "mine"}).policies.folder == Path("mine")
    done = run("config", "check")
    assert (done.returncode, done.stdout) == (0, "the configuration is in order\n")
    assert "`lychgate init` writes one" in done.stderr
    (tmp_path / "lychgate.yaml").write_text("gateway: {port: 1}\n")
    assert or_built_in(None) is None
    assert or_built_in(Path("x.yaml")) == Path("x.yaml")
    (tmp_path / "lychgate.yaml").unlink()
    monkeypatch.setenv("LYCHGATE_CONFIG", "elsewhere.yaml")
    assert or_built_in(None) is None


@pytest.mark.parametrize("command", ["gateway", "query", "consumer"])
def test_a_process_that_serves_does_not_fall_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Started in the wrong folder it refuses: the built-in configuration trusts the development issuer."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LYCHGATE_CONFIG", raising=False)
    assert load(None, {}).issuers == ()
    if command != "consumer":
        done = run(command)
        assert done.returncode == 2
