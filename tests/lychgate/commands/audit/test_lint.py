"""`lychgate audit lint` and `lychgate audit types`, as a user runs them."""

import json
import os
import subprocess
from pathlib import Path

import jsonschema
import pytest

from audit.registry.load import packaged
from lychgate.event_lint.rules import KINDS
from tests.builders.command import run
from tests.builders.event_cases import FOLDER

BAD = 'audit.emit("shop.basket.gone", tenant_id=t, actor=a, action="x")\n'
GOOD = 'audit.emit("shop.basket.opened", tenant_id=t, actor=a, action="shop:open")\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service's folder, which is where the command is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "events.toml").write_text((FOLDER / "registry.toml").read_text())
    (tmp_path / "shop.py").write_text(BAD)
    return tmp_path


def test_a_finding_has_place_rule_and_remedy(folder: Path) -> None:
    """Exit code 1; an editor jumps to the place."""
    done = run("audit", "lint", "shop.py", "--registry", "events.toml")
    assert done.returncode == 1, done
    assert done.stdout.splitlines() == [
        "shop.py:1:1: error: `shop.basket.gone` is not registered; the nearest is `shop.basket.opened` [unknown-event]",
        f"unknown-event: {KINDS['unknown-event'].remedy}",
    ]


def test_nothing_found_is_success(folder: Path) -> None:
    """Exit code 0, and a word."""
    (folder / "shop.py").write_text(GOOD)
    done = run("audit", "lint", ".", "--registry", "events.toml")
    assert (done.returncode, done.stdout) == (0, "every event is as registered\n")


def test_the_same_for_scripts_and_for_code_hosts(folder: Path) -> None:
    """`--json` and `--sarif`, to a file or here; the exit code stays."""
    done = run("audit", "lint", "shop.py", "--registry", "events.toml", "--json", "--sarif", "out.sarif")
    [row] = json.loads(done.stdout)["findings"]
    assert (row["file"], row["line"], row["column"], row["rule"]) == ("shop.py", 1, 1, "unknown-event")
    assert row["remedy"]
    [kept] = json.loads((folder / "out.sarif").read_text())["runs"]
    here = run("audit", "lint", "shop.py", "--registry", "events.toml", "--sarif", "-")
    assert here.returncode == done.returncode == 1
    assert json.loads(here.stdout)["runs"] == [kept]
    assert {rule["id"] for rule in kept["tool"]["driver"]["rules"]} == {*KINDS}
    assert kept["results"][0]["ruleId"] == "unknown-event"


def test_a_tree_with_names_and_strings_that_are_no_text(folder: Path) -> None:
    """It comes from somebody else; every form is written all the same, and can be read."""
    Path(os.fsdecode(bytes(folder) + b"/n\xff.py")).write_text('audit.emit("a\\ud800.b", action="x")\n')
    for words in ((), ("--json",), ("--sarif", "out.sarif")):
        done = run("audit", "lint", ".", "--registry", "events.toml", *words)
        assert done.returncode == 1, done
        assert "Traceback" not in done.stderr
    assert len(json.loads((folder / "out.sarif").read_text())["runs"][0]["results"]) > 1


def test_what_is_configured_need_not_be_said(folder: Path) -> None:
    """Paths, registry and release from `pyproject.toml`; the command line wins, and a part is not the whole."""
    (folder / "pyproject.toml").write_text(
        '[tool.lychgate.audit-lint]\npaths = ["shop.py"]\nregistry = ["events.toml"]\ncomplete = true\n'
    )
    whole = run("audit", "lint", "--json")
    assert {row["rule"] for row in json.loads(whole.stdout)["findings"]} == {"unknown-event", "never-emitted"}
    part = run("audit", "lint", "shop.py", "--json")
    assert {row["rule"] for row in json.loads(part.stdout)["findings"]} == {"unknown-event"}


def test_a_released_registry_is_a_file_or_a_revision(folder: Path) -> None:
    """What it breaks is said at the entry, by its rule."""
    (folder / "shop.py").write_text(GOOD)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"], ["tag", "v1.0.0"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    old = folder / "old.toml"
    old.write_text((folder / "events.toml").read_text())
    assert run("audit", "lint", "--registry", "events.toml", "--against", "v1.0.0").returncode == 0
    now = old.read_text().replace("max_length = 20", "max_length = 10")
    (folder / "events.toml").write_text(now)
    line = now.splitlines().index('[types."shop.basket.dropped"]') + 1
    for released in ("v1.0.0", "old.toml"):
        done = run("audit", "lint", "--registry", "events.toml", "--against", released)
        assert done.returncode == 1
        assert done.stdout.startswith(
            f"events.toml:{line}:1: error: `shop.basket.dropped`: `reason` max_length was 20, is 10 [field-narrowed]\n"
        ), done


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--registry", "events.toml"], "nothing to look at"),
        (["shop.py", "--registry", "none.toml"], "none.toml"),
        (["--against", "no-such-revision"], "no-such-revision"),
        (["--against", "--output=x"], "neither a file nor a Git revision"),
        (["shop.py", "--sarif", "no/such/folder.sarif"], "--sarif"),
        (["--schemas", "events.toml/x"], "--schemas"),
    ],
)
def test_a_mistake_of_the_users_is_exit_code_two(words: list[str], reason: str, folder: Path) -> None:
    """With the option that is wrong."""
    done = run("audit", "lint", *words)
    assert done.returncode == 2, done
    assert reason in done.stdout + done.stderr
    assert not (folder / "x").exists()


def test_a_registry_that_is_none_is_a_finding_at_its_line(folder: Path) -> None:
    """Not a traceback: it is what the command is there to say."""
    (folder / "events.toml").write_text('format = 1\n[types."shop.basket.open"]\nsince = "1.0.0"\nsays = "x"\n')
    done = run("audit", "lint", "shop.py", "--registry", "events.toml")
    assert done.returncode == 1
    assert done.stdout.startswith("events.toml:2:1: error: `shop.basket.open`: `open` is no past fact")


def test_the_rules_are_listed() -> None:
    """Every rule with what it means; as JSON for scripts."""
    rows = json.loads(run("audit", "lint", "--rules", "--json").stdout)
    assert [row["rule"] for row in rows] == [*KINDS]
    assert "unknown-event" in run("audit", "lint", "--rules").stdout


def test_schemas_are_written(folder: Path) -> None:
    """One a type and one for all; of our own registry where none is named, and nothing else is looked at."""
    done = run("audit", "lint", "--schemas", "schemas")
    assert done.returncode == 0, done
    files = {path.name: json.loads(path.read_text()) for path in (folder / "schemas").iterdir()}
    assert len(files) == len(packaged().types) + 1
    for document in files.values():
        jsonschema.Draft202012Validator.check_schema(document)


def test_types_are_written_and_checked(folder: Path) -> None:
    """A module that Python takes; `--check` says whether it is up to date."""
    words = ("audit", "types", "--registry", "events.toml")
    printed = run(*words)
    assert run(*words, "--out", "shop_events.py").returncode == 0
    assert (folder / "shop_events.py").read_text() == printed.stdout
    compile(printed.stdout, "shop_events.py", "exec")
    assert run(*words, "--out", "shop_events.py", "--check").returncode == 0
    (folder / "shop_events.py").write_text("")
    stale = run(*words, "--out", "shop_events.py", "--check")
    assert stale.returncode == 1
    assert "run `lychgate audit types` again" in stale.stdout
    assert run(*words, "--out", "no/such/folder.py").returncode == 2
