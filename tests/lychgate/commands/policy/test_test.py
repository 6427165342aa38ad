"""`lychgate policy test` from the outside: exit codes, what is printed, and what is written."""

import json
import os
import pty
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from lychgate import cli
from lychgate.errors import ConfigurationError
from tests.builders.questions import ROOT, real_bundle
from tests.builders.tables import POLICIES, SCHEMA, folder_of

GOOD = "- {name: a Manager reads, roles: [Manager], action: order:read, expect: allow, policies: [order.read]}\n"
BAD = "- {name: a Manager exports, roles: [Manager], action: order:export, expect: deny}\n"


@pytest.fixture(autouse=True)
def _at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration's paths start where the command runs."""
    monkeypatch.chdir(ROOT)


def run(*words: object) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(cli.app, ["policy", "test", *map(str, words)])


def refusal(*words: object) -> str:
    """Why it ends with exit code 2."""
    error = run(*words).exception
    assert isinstance(error, ConfigurationError)
    assert error.exit_code == 2
    return str(error)


def table(tmp_path: Path, text: str) -> Path:
    """A table on disk."""
    file = tmp_path / "table.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_the_shipped_tables_pass_and_hold_the_policies() -> None:
    """Every case, every policy both ways, every mistake that can be noticed."""
    done = run("--min-coverage", 100, "--max-survivors", 0)
    assert done.exit_code == 0, done.output
    last = done.output.splitlines()[-1]
    assert ", 0 failed; " in last
    assert "100.0 % covered" in last
    assert "unseen " not in done.output
    assert done.output.count("unnoticed ") == done.output.count(" (allowed: ") > 0


def test_a_failure_is_exit_code_1_and_a_diff(tmp_path: Path) -> None:
    """Without colours where there is no terminal; the passing case is told only when asked."""
    file = table(tmp_path, GOOD + BAD)
    done = run(file)
    assert done.exit_code == 1
    assert f"FAIL {file}:2: a Manager exports" in done.output
    assert "  - expect: deny\n  + expect: allow\n" in done.output
    assert "decided by policies/order.cedar:" in done.output
    assert "2 cases: 1 passed, 1 failed" in done.output
    assert "a Manager reads" not in done.output
    assert "\x1b" not in done.output
    assert f"ok   {file}:1: a Manager reads" in run(file, "-v").output


def test_colours_on_a_terminal(tmp_path: Path) -> None:
    """And none that a table brings along."""
    file = table(tmp_path, BAD.replace("a Manager exports", '"red \\e[31m"'))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "lychgate", "policy", "test", str(file)]
    with subprocess.Popen(command, cwd=ROOT, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                more = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not more:
                break
            shown += more
        assert process.wait(60) == 1
    os.close(ours)
    assert b"\x1b[31mFAIL " in shown
    assert b"red \\x1b[31m" in shown


def test_a_filter_takes_a_part(tmp_path: Path) -> None:
    """A piece of the name, or a pattern that fits it whole; none at all is wrong usage."""
    file = table(tmp_path, GOOD + BAD)
    assert "1 cases: 1 passed" in run(file, "--filter", "reads").output
    assert "1 cases: 1 passed" in run(file, "--filter", "*Manager r?ads").output
    assert "2 cases" in run(file, "--filter", "a Manager*").output
    assert refusal(file, "--filter", "nobody") == "no case fits `nobody`"


def test_a_part_answers_for_what_it_asks_about() -> None:
    """Policies of other actions are neither holes nor survivors."""
    done = run("tests/cases/decisions/conditions.yaml", "--filter", "per cent", "--coverage", "--mutate")
    assert done.exit_code == 0
    assert "order.cashier-discount" in done.output
    assert "customer.till" not in done.output


def test_junit_is_written_also_for_failures(tmp_path: Path) -> None:
    """With the diff in it."""
    file, report = table(tmp_path, GOOD + BAD), tmp_path / "report.xml"
    assert run(file, "--junit", report).exit_code == 1
    root = ET.parse(report).getroot()  # noqa: S314 -- our own
    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    (failure,) = root.iter("failure")
    assert failure.text is not None
    assert "  + expect: allow" in failure.text
    assert refusal(file, "--junit", tmp_path) == f"{tmp_path}: cannot be written: Is a directory"


def test_coverage_below_the_threshold_is_exit_code_1(tmp_path: Path) -> None:
    """With the holes named; without a threshold it is only told."""
    file = table(tmp_path, GOOD)
    told = run(file, "--coverage")
    assert told.exit_code == 0
    assert "order.read" in told.output
    order = real_bundle().policies["order.sell"]
    assert f"unseen policies/order.cedar:{order.line}: order.sell: no case asks about its actions\n" in told.output
    low = run(file, "--min-coverage", 50)
    assert low.exit_code == 1
    assert "coverage is 0.0 %, below 50 %" in low.output


PUBLIC = """
- name: the public reads
  principal: {type: Person, id: p, attrs: {level: 1}}
  action: view
  resource: {type: Doc, id: d, attrs: {owner: {__entity: {type: Person, id: q}}, public: true}}
  context: {hour: 3}
  expect: allow
  policies: [doc.public]
"""


def test_more_survivors_than_allowed_is_exit_code_1(tmp_path: Path) -> None:
    """Each with its place; a list of explained ones is taken off, and held to what survives."""
    folder = folder_of(tmp_path, POLICIES, SCHEMA)
    words = (table(tmp_path, PUBLIC), "--policies", folder)
    told = run(*words, "--mutate", "--json")
    assert told.exit_code == 0
    survivors = json.loads(told.output)["mutation"]["survivors"]
    assert run(*words, "--max-survivors", len(survivors)).exit_code == 0
    allowed = tmp_path / "allowed.yaml"
    entries = [{"mutant": each["mutant"], "reason": "so"} for each in survivors[1:]]
    allowed.write_text(json.dumps(entries), encoding="utf-8")
    assert run(*words, "--max-survivors", 1, "--allowed", allowed).exit_code == 0
    over = run(*words, "--max-survivors", 0, "--allowed", allowed)
    assert over.exit_code == 1
    assert "1 mistakes would go unnoticed, more than 0" in over.output
    place = f"unnoticed {folder}/{survivors[0]['file']}:{survivors[0]['line']}: {survivors[0]['mutant']}\n"
    assert place in over.output
    allowed.write_text(json.dumps([*entries, {"mutant": "gone", "reason": "so"}]), encoding="utf-8")
    stale = run(*words, "--mutate", "--allowed", allowed)
    assert stale.exit_code == 1
    assert f"{allowed}: `gone` is listed as allowed and does not survive" in stale.output
    assert refusal(*words, "--allowed", tmp_path / "nowhere") == (
        f"{tmp_path / 'nowhere'}: cannot be read: No such file or directory"
    )
    allowed.write_text("a: b", encoding="utf-8")
    assert refusal(*words, "--allowed", allowed) == f"{allowed}:1: a list of `mutant` and `reason` is expected"


def test_mistakes_are_not_tried_while_a_case_fails(tmp_path: Path) -> None:
    """It would notice all of them."""
    done = run(table(tmp_path, GOOD + BAD), "--mutate")
    assert done.exit_code == 1
    assert "mistakes were not tried: they are held against cases that pass" in done.output
    assert "mutants" not in done.output


def test_json_is_one_document(tmp_path: Path) -> None:
    """Failures, coverage, mistakes and findings."""
    done = run(table(tmp_path, GOOD + BAD), "--coverage", "--min-coverage", 10, "--json")
    assert done.exit_code == 1
    told = json.loads(done.output)
    assert (told["cases"], told["failed"]) == (2, 1)
    assert told["failures"][0]["differences"] == [{"field": "expect", "expected": "deny", "got": "allow"}]
    assert told["findings"] == ["coverage is 0.0 %, below 10 %"]


def test_other_policies_with_another_schema(tmp_path: Path) -> None:
    """A folder that knows neither our users nor our roles, by YAML and by Cedar's own JSON; no list of ours applies."""
    folder = folder_of(tmp_path, POLICIES, SCHEMA)
    yaml = table(tmp_path, PUBLIC)
    cedar = tmp_path / "cedar.json"
    request = {
        "principal": 'Person::"p"',
        "action": 'Action::"edit"',
        "resource": 'Doc::"d"',
        "context": {"hour": 3},
    }
    attrs = {"owner": {"__entity": {"type": "Person", "id": "q"}}, "public": True}
    entities = [
        {"uid": {"type": "Person", "id": "p"}, "attrs": {"level": 1}, "parents": []},
        {"uid": {"type": "Doc", "id": "d"}, "attrs": attrs, "parents": []},
    ]
    cedar.write_text(
        json.dumps([{"request": request, "entities": entities, "decision": "deny", "reason": [], "num_errors": 0}])
    )
    done = run(yaml, cedar, "--policies", folder, "--mutate")
    assert done.exit_code == 0, done.output
    assert "2 cases: 2 passed, 0 failed" in done.output


def test_strict_policies_are_tested_strictly(tmp_path: Path) -> None:
    """As the gateway would decide: with `policies.strict` an erroring permit denies, also with a mistake elsewhere."""
    senior = '@id("senior") @reason("fails") permit (principal, action, resource)'
    senior += " when { principal.level + 9223372036854775807 > 0 };"
    folder = folder_of(tmp_path, POLICIES + senior, SCHEMA)
    file = table(tmp_path, PUBLIC.replace("[doc.public]", "[doc.public]\n  errors: [doc.senior]"))
    config = tmp_path / "lychgate.yaml"
    for strict, failed, unnoticed in (("false", 0, True), ("true", 1, False)):
        config.write_text(f"policies: {{folder: {folder}, strict: {strict}}}\n", encoding="utf-8")
        done = run(file, "--config", config, "--mutate")
        assert f"1 cases: {1 - failed} passed, {failed} failed" in done.output
        assert ("unnoticed " in done.output) is unnoticed
    denied = PUBLIC.replace("allow", "deny").replace("[doc.public]", "[doc.senior]\n  errors: [doc.senior]")
    strictly = run(table(tmp_path, denied), "--config", config, "--mutate")
    assert strictly.exit_code == 0
    assert "unnoticed" in strictly.output  # in strict mode what is public makes no difference
    assert f"unnoticed {folder}/doc.cedar:2: doc.public: dropped\n" in strictly.output


def test_what_cannot_be_read_is_exit_code_2(tmp_path: Path) -> None:
    """Tables, policies and folders, with their places."""
    wrong = table(tmp_path, "- {name: a}\n- 5\n")
    assert refusal(wrong) == f"{wrong}:1: a case needs `action`\n{wrong}:2: a case is a mapping, here it is a number"
    assert refusal(tmp_path / "nowhere") == f"{tmp_path / 'nowhere'}: there is no such file or folder"
    assert refusal("--policies", tmp_path / "nowhere") == f"{tmp_path / 'nowhere'}: there is no such folder"
    folder = folder_of(tmp_path, POLICIES + "permit (", SCHEMA)
    assert refusal("--policies", folder).startswith("doc.cedar:")
    assert run("--min-coverage", 101).exit_code == 2


def test_the_configuration_says_where_tables_are(tmp_path: Path) -> None:
    """`policies.tables`, when no path is given."""
    config = tmp_path / "lychgate.yaml"
    config.write_text(f"policies: {{tables: {table(tmp_path, GOOD)}}}\n", encoding="utf-8")
    done = run("--config", config)
    assert (done.exit_code, done.output) == (0, "1 cases: 1 passed, 0 failed\n")
