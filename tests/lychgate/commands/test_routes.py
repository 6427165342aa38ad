"""`lychgate routes import`, as it is run."""

import io
import json
import re
import sys
import tomllib
from pathlib import Path
from unittest import mock

import pytest
import yaml

from tests.builders.command import Done, run
from tests.builders.openapi import endpoint, make_document
from tests.builders.questions import real_bundle

PLAIN = {"type": "object", "properties": {"id": {"type": "string"}}}
KNOWN = {"/orders": {"get": endpoint(PLAIN)}}
OPEN = {**KNOWN, "/orders/{order_id}/frobnicate": {"post": endpoint(deprecated=True)}}


def document(folder: Path, paths: dict[str, object], name: str = "openapi.json") -> str:
    """A document in a file."""
    file = folder / name
    file.write_text(json.dumps(make_document(paths).values))
    return str(file)


def ask(*words: str) -> Done:
    """Run the command for the order service."""
    return run("routes", "import", *words, "--service", "order")


def test_routes_go_to_a_file_and_the_exit_code_says_whether_somebody_is_needed(tmp_path: Path) -> None:
    """0 with nothing open, 1 with something; the table says what."""
    done = ask(document(tmp_path, KNOWN), "--out", str(tmp_path / "a.toml"))
    assert (done.returncode, done.stdout.strip()) == (
        0,
        f"{tmp_path}/a.toml: 1 new routes, 0 of them closed; 0 questions for a person",
    )
    done = ask(document(tmp_path, OPEN), "--out", str(tmp_path / "b.toml"))
    assert done.returncode == 1
    assert "2 new routes, 1 of them closed; 2 questions" in done.stdout
    assert "deprecated: is it still to be reached" in done.stdout
    assert 'action = "undecided"  # suggested: "order:frobnicate"' in (tmp_path / "b.toml").read_text()


def test_without_a_file_the_routes_are_printed_and_the_questions_beside_them(tmp_path: Path) -> None:
    """So that standard output is a routes file."""
    done = ask(document(tmp_path, OPEN))
    assert done.stdout.count("[[route]]") == 2
    assert done.stderr.splitlines()[0].startswith("POST /orders/{order_id}/frobnicate: action (closed): ")
    told = json.loads(ask(document(tmp_path, OPEN), "--json").stdout)
    assert told["text"] == done.stdout
    assert [it["closed"] for it in told["questions"]] == [True, True]
    assert told["routes"][0] == {"id": "order.list", "method": "GET", "path": "/orders", "action": "order:list"}


def test_a_document_comes_from_standard_input(tmp_path: Path) -> None:
    """As a pipe brings it."""
    raw = Path(document(tmp_path, KNOWN)).read_bytes()
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw))):
        assert ask("-").returncode == 0
    with mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(b" " * 9_000_000))):
        done = ask("-")
    assert (done.returncode, done.stderr) == (2, "lychgate: input: larger than 8388608 bytes\n")


def test_a_second_import_adds_to_the_first(tmp_path: Path) -> None:
    """In its place; without being told, it would not write over it."""
    file = tmp_path / "routes.toml"
    assert ask(document(tmp_path, KNOWN), "--out", str(file)).returncode == 0
    first = file.read_text()
    done = ask(document(tmp_path, OPEN), "--out", str(file))
    assert (done.returncode, file.read_text()) == (2, first)
    assert ask(document(tmp_path, OPEN), "--against", str(file), "--out", str(file)).returncode == 1
    assert file.read_text().startswith(first)
    assert file.read_text().count("[[route]]") == 2


def test_the_schema_is_suggested_what_it_lacks(tmp_path: Path) -> None:
    """In a file of its own, which is not written over either."""
    file = tmp_path / "new.cedarschema"
    ask(document(tmp_path, OPEN), "--schema-out", str(file))
    assert 'action "order:frobnicate"\n' in file.read_text()
    assert ask(document(tmp_path, OPEN), "--schema-out", str(file)).returncode == 2


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--service", "Order"], "--service: small letters, digits and hyphens, beginning with a letter"),
        (["--service", 'x"'], "--service: small letters, digits and hyphens, beginning with a letter"),
        (["--action-prefix", "a:b"], "--action-prefix: small letters, digits and underscores, beginning with a letter"),
        (["--base-path", "api"], "--base-path: begins with a slash"),
        (["--base-path", "/{a}"], "--base-path: a parameter in it"),
        (["--base-path", "/a//b"], "--base-path: an empty segment, or a slash at the end"),
        (["--against", "nowhere.toml"], "nowhere.toml: cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, words: list[str], reason: str) -> None:
    """Exit code 2, and nothing is written."""
    out = tmp_path / "out.toml"
    done = run("routes", "import", document(tmp_path, KNOWN), "--out", str(out), "--service", "order", *words)
    assert done.returncode == 2
    assert done.stderr.startswith(f"lychgate: {reason}")
    assert not out.exists()


def test_a_service_that_is_not_configured_is_asked_about(tmp_path: Path) -> None:
    """Its routes would be refused by the gateway until it is; its actions have its name, or the given one."""
    done = run("routes", "import", document(tmp_path, KNOWN), "--service", "new-thing", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["questions"][0]["about"] == "service"
    assert told["routes"][0]["action"] == "new_thing:orders"
    done = run(
        "routes", "import", document(tmp_path, KNOWN), "--service", "new-thing", "--action-prefix", "order", "--json"
    )
    assert json.loads(done.stdout)["routes"][0]["action"] == "order:orders"


def test_the_word_for_undecided_may_be_no_action(tmp_path: Path) -> None:
    """Or what nobody decided would be open to whoever may do that."""
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "p.cedar").write_text('@id("p") @reason("r") permit (principal, action, resource);')
    (policies / "schema.cedarschema").write_text(
        'entity User; entity Doc; action "undecided" appliesTo { principal: [User], resource: [Doc], context: {} };'
    )
    config = tmp_path / "lychgate.yaml"
    config.write_text(f"policies:\n  folder: {policies}\n")
    done = ask(document(tmp_path, KNOWN), "--config", str(config))
    assert done.returncode == 2
    assert "the schema declares the action `undecided`" in done.stderr


CASES = Path(__file__).parents[2] / "cases" / "openapi"
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace", "query"}


@pytest.mark.parametrize(("name", "base", "written"), [("parcels.yaml", "/parcels/v2", 9), ("directory.json", "", 6)])
def test_documents_in_the_manner_of_public_ones_open_nothing(name: str, base: str, written: int) -> None:
    """References, callbacks, webhooks, bases, odd paths, no security: each endpoint is closed, or not there."""
    document = yaml.safe_load((CASES / name).read_text(encoding="utf-8"))
    asked = {
        f"{method.upper()} {path}"
        for path, item in document["paths"].items()
        for method in item.keys() & METHODS
        if path.startswith("/")
    }
    told = json.loads(ask(str(CASES / name), "--json").stdout)
    routes = tomllib.loads(told["text"])["route"]
    assert len(routes) == len(told["routes"]) == written
    assert not any("anonymous" in route or route["action"] in real_bundle().actions for route in routes)
    closed = {it["where"] for it in told["questions"] if it["closed"]}
    for route in routes:
        assert f"{route['method']} {route['path']}" in closed
    spoken = {re.sub(r"[{][a-zA-Z_]+[}]", "{}", where.replace(base, "", 1).lower()) for where in closed}
    silent = {it for it in asked if re.sub(r"[{][a-zA-Z_]+[}]", "{}", it.lower()) not in spoken}
    assert silent == ({"GET /own"} if base else set())  # its own server puts it elsewhere: `/elsewhere/own`
    assert not any("Lost" in where or "callback" in where for where in closed)  # the service asks those of others
