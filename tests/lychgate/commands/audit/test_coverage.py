"""`lychgate audit coverage`, as a person runs it."""

import json
import subprocess
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lychgate.cli import app
from tests.builders.scanned import FASTAPI, write

ROOT = Path(__file__).parents[4]
OPEN = '@app.post("/{0}")\ndef {0}(db):\n    db.commit()\n'
SHUT = '@app.post("/{0}")\ndef {0}(db):\n    with audit.recording("a.b.c", **WHO):\n        db.commit()\n'


def _run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["audit", "coverage", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return getattr(done.exception, "exit_code", 99), f"{done.output}{done.exception}"
    return done.exit_code, done.output


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service with one handler of two covered, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "shop", app=FASTAPI + OPEN.format("a") + SHUT.format("b"))


def test_the_services_pass_their_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `make check` runs, and how long it takes: seconds would keep people from running it."""
    monkeypatch.chdir(ROOT)
    began = time.process_time()
    code, output = _run("services", "--fail-under", "0.90")
    assert code == 0, output
    assert time.process_time() - began < 10
    assert {"order", "payment", "integration"} <= set(output.split())


@pytest.mark.parametrize(("words", "code"), [((), 1), (("--fail-under", "0.5"), 0), (("--fail-under", "0.51"), 1)])
def test_the_gate(shop: Path, words: tuple[str, ...], code: int) -> None:
    """Without a number every uncovered handler is one too many."""
    assert _run(str(shop), *words)[0] == code


def test_every_finding_says_where_what_and_how_to_mend(shop: Path) -> None:
    """File, line, handler, method and path, the path through it, the remedy."""
    _, output = _run(str(shop))
    assert "shop/app.py:9: no-event: app.a (POST /a): nothing is emitted on any path" in output
    assert "help: no-event: Put the change into `with audit.recording(...)`" in output
    assert "too low: shop: 50.0% is below 100.0%" in output


def test_json_sarif_and_textfile_agree(shop: Path, tmp_path: Path) -> None:
    """One scan, three forms."""
    code, output = _run(str(shop), "--json", "--sarif", "out.sarif", "--textfile", "out.prom")
    values = json.loads(output)
    assert code == 1
    assert (values["total"]["ratio"], values["failed"]) == (0.5, ["shop: 50.0% is below 100.0%"])
    assert len(json.loads((tmp_path / "out.sarif").read_text())["runs"][0]["results"]) == len(values["findings"])
    assert 'audit_coverage_ratio{service="shop"} 0.5' in (tmp_path / "out.prom").read_text()


def test_the_least_ratio_may_be_the_services_own(shop: Path) -> None:
    """In the file beside it; the option wins."""
    (shop / "coverage.toml").write_text("fail_under = 0.5\n")
    assert _run(str(shop))[0] == 0
    assert _run(str(shop), "--fail-under", "0.9")[0] == 1


@pytest.mark.parametrize(
    "words", [("nowhere",), ("shop", "--fail-under", "1.1"), ("--service", "x"), ("shop", "--diff", "no-such")]
)
def test_a_wrong_question_is_2(shop: Path, words: tuple[str, ...]) -> None:
    """And never a traceback."""
    assert shop.exists()
    assert _run(*words)[0] == 2


def test_a_wrong_configuration_is_2(shop: Path) -> None:
    """It names the key."""
    (shop / "coverage.toml").write_text("emiters = []\n")
    code, output = _run(str(shop))
    assert code == 2
    assert "coverage.toml: emiters: there is no such key" in output


def _git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_no_new_uncovered_handler_above_the_gate_either(shop: Path, tmp_path: Path) -> None:
    """Against a revision: what was uncovered stays, what is new is a finding; a rename is not."""
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    gate = ("--fail-under", "0.1", "--diff", "HEAD")
    assert _run(str(shop), *gate)[0] == 0
    write(shop, app=FASTAPI + OPEN.format("a").replace("def a(", "def renamed(") + SHUT.format("b"))
    assert _run(str(shop), *gate)[0] == 0
    write(shop, app=FASTAPI + OPEN.format("a") + SHUT.format("b") + OPEN.format("c"))
    code, output = _run(str(shop), *gate)
    assert code == 1
    assert "shop/app.py:16: newly-uncovered: app.c (POST /c): is new, and uncovered" in output
    (tmp_path / "later").mkdir()
    write(tmp_path / "later", app=FASTAPI + OPEN.format("a"))
    assert _run("later", *gate)[0] == 1  # a service that was not there


def test_a_revision_is_not_taken_for_an_option(shop: Path, tmp_path: Path) -> None:
    """A hostile name reaches git as a name."""
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "first")
    code, _ = _run(str(shop), "--diff", f"--output={tmp_path / 'written'}")
    assert code == 2
    assert not (tmp_path / "written").exists()


def test_a_former_report_will_do(shop: Path, tmp_path: Path) -> None:
    """Where there is no repository."""
    (tmp_path / "before.json").write_text(_run(str(shop), "--json")[1])
    write(shop, app=FASTAPI + OPEN.format("a") + OPEN.format("b"))
    code, output = _run(str(shop), "--fail-under", "0", "--diff", "before.json")
    assert code == 1
    assert "app.b (POST /b): was covered before (shop/app.py:12), and is uncovered now" in output


def test_runs_are_held_against_the_claim(shop: Path, tmp_path: Path) -> None:
    """A covered handler that was silent is a finding; no run at all proves nothing."""
    line = '{"handler":"app.b","failed":false,"events":[],"refused":false}\n'
    (tmp_path / "runs.jsonl").write_text(line)
    code, output = _run(str(shop), "--fail-under", "0", "--observed", "runs.jsonl")
    assert code == 1
    assert "observed-silent: app.b (POST /b): succeeded 1 times without an event" in output
    assert "not seen: app.a: success and failure" in output
    (tmp_path / "runs.jsonl").write_text("")
    assert _run(str(shop), "--observed", "runs.jsonl")[0] == 2


def test_handlers_are_listed_when_asked_for(shop: Path) -> None:
    """All of them, with their state; those a person excused, with the reason, always."""
    write(shop, app=FASTAPI + OPEN.format("a").replace('"/a")', '"/a")  # audit:ignore a probe') + SHUT.format("b"))
    code, output = _run(str(shop), "--handlers")
    assert code == 0
    assert "app.b" in output
    assert "ignored: shop/app.py:9: app.a: a probe" in output


def test_a_name_gives_no_orders_to_the_terminal(shop: Path) -> None:
    """What a stranger's code says is spelled out."""
    code = FASTAPI + '@app.post("/\\x1b[31mred")\ndef a(db):\n    db.commit()\n'
    write(shop, app=code)
    assert "\x1b" not in _run(str(shop))[1]


def test_what_a_service_keeps_from_being_looked_at_is_said(shop: Path) -> None:
    """A file that is excluded in the tree itself must not go unseen."""
    (shop / "coverage.toml").write_text('exclude = ["more.py", "gone.py"]\n')
    (shop / "more.py").write_text(FASTAPI + OPEN.format("c"))
    _, output = _run(str(shop))
    assert "not looked at: shop: files that its configuration excludes: 1" in output
    _, output = _run(str(shop), "--json")
    assert json.loads(output)["services"][0]["excluded"] == 1
