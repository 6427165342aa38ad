"""A request line in, a decision line out: in process, and by the command as a user runs it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from lychgate import cli
from policies.decide import Decider, EntitiesRefused
from policies.load import build_bundle

SCHEMA = """
entity User in [Team] = { name: String };
entity Team;
entity Photo = { private: Bool };
action "view" appliesTo { principal: [User], resource: [Photo], context: { n: Long } };
"""
POLICIES = """
@id("team") @reason("r") permit (principal in Team::"t", action, resource);
@id("many") @reason("r") forbid (principal, action, resource) when { context.n * 2 > 10 };
@id("odd") @reason("r") permit (principal, action, resource) when { context.n * 3 == 9 };
"""
ENTITIES: list[dict[str, Any]] = [
    {"uid": {"type": "User", "id": "a"}, "attrs": {"name": "a"}, "parents": [{"type": "Team", "id": "t"}]},
    {"uid": {"type": "Photo", "id": "p"}, "attrs": {"private": False}, "parents": []},
]
HUGE = 2**62
NEITHER = 'is neither `{"type": ..., "id": ...}` nor text like `User::"alice"`'


def decider(**more: Any) -> Decider:
    """Over the policies above."""
    return Decider(build_bundle([("photos.cedar", POLICIES)], ("s", SCHEMA)), json.dumps(ENTITIES), **more)


def line(**changes: Any) -> str:
    """A request that is allowed, with something changed."""
    request = {"principal": 'User::"a"', "action": 'Action::"view"', "resource": 'Photo::"p"', "context": {"n": 1}}
    return json.dumps(request | changes)


def said(text: str | bytes, **more: Any) -> Any:
    """The answer as it is printed."""
    return json.loads(msgspec.json.encode(decider(**more).decide(text)))


def test_an_allow_names_its_policies() -> None:
    """Ids as everywhere: file and `@id`."""
    assert said(line()) == {"decision": "allow", "policies": ["photos.team"], "errors": []}


def test_a_forbid_that_fails_denies_and_a_permit_that_fails_is_told() -> None:
    """As the gateway decides, each error with the policy's effect."""
    answer = said(line(context={"n": HUGE}))
    assert (answer["decision"], answer["policies"]) == ("deny", ["photos.many"])
    assert [(error["policy"], error["effect"]) for error in answer["errors"]] == [
        ("photos.many", "deny"),
        ("photos.odd", "allow"),
    ]
    assert all("overflow" in error["message"] for error in answer["errors"])


def test_strict_denies_on_any_error() -> None:
    """Also a permit's."""
    only = build_bundle([("p.cedar", POLICIES.replace("forbid", "permit"))], ("s", SCHEMA))
    text = line(context={"n": HUGE})
    assert Decider(only, json.dumps(ENTITIES)).decide(text).decision == "allow"
    assert Decider(only, json.dumps(ENTITIES), strict=True).decide(text).decision == "deny"


@pytest.mark.parametrize("name", ["a", 'quo"te', "back\\slash", "new\nline", "\x00", "ü💥"])
def test_both_spellings_of_an_entity_mean_the_same(name: str) -> None:
    """`{"type", "id"}` and Cedar's own text, escapes included."""
    quoted = json.dumps(name, ensure_ascii=False).replace("\\u0000", "\\0")
    for spelled in ({"type": "User", "id": name}, f"User::{quoted}"):
        added = [
            {"uid": {"type": "User", "id": name}, "attrs": {"name": "x"}, "parents": [{"type": "Team", "id": "t"}]}
        ]
        entities = [] if name == "a" else added
        assert said(line(principal=spelled, entities=entities))["decision"] == "allow"


def test_the_id_of_a_request_is_handed_back() -> None:
    """Whatever it is, also where nothing could be decided."""
    assert said(line(id={"n": 7}))["id"] == {"n": 7}
    assert said(line(id="x", context={}))["id"] == "x"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nope", "not a request: JSON is malformed: invalid character (byte 4)"),
        ("[]", "not a request: Expected `object`, got `array`"),
        ('{"principal": 1}', "not a request: Object missing required field `action`"),
        (line(contxt={}), "not a request: Object contains unknown field `contxt`"),
        (b'{"principal": "\xff"}', "not a request: "),
        ("[" * 100_000, "not a request: "),
        (line(principal="alice"), 'principal: is neither `{"type": ..., "id": ...}` nor text like `User::"alice"`'),
        (
            line(action={"type": "Action"}),
            'action: is neither `{"type": ..., "id": ...}` nor text like `User::"alice"`',
        ),
        (line(resource=7), 'resource: is neither `{"type": ..., "id": ...}` nor text like `User::"alice"`'),
        (line(action='Action::"drop"'), "the schema declares no such action"),
        (line(context={}), "expected the record to have an attribute `n`, but it does not"),
        (line(context={"n": 1.5}), "failed to build request: "),
        (line(entities=[{"uid": 1}]), "entities: "),
        (line(entities=[{**ENTITIES[0], "attrs": {"name": "b"}}]), "entities: "),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_decided_is_denied_and_says_why(text: str | bytes, reason: str) -> None:
    """Never an allow, never an exception."""
    answer = said(text)
    assert (answer["decision"], answer["policies"]) == ("deny", [])
    assert reason in answer["no_decision"]


@pytest.mark.parametrize(
    ("entities", "reason"),
    [
        ("[", "entities: Expecting value: line 1 column 2 (char 1)"),
        ("{}", "entities: "),
        ('[{"uid": {"type": "User", "id": "a"}, "attrs": {"name": 1}, "parents": []}]', "entities: "),
    ],
)
def test_entities_that_do_not_fit_are_refused_at_once(entities: str, reason: str) -> None:
    """Before any request is read."""
    with pytest.raises(EntitiesRefused) as refused:
        Decider(build_bundle([("photos.cedar", POLICIES)], ("s", SCHEMA)), entities)
    assert str(refused.value).startswith(reason)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Policies, schema, entities and two requests in files."""
    (tmp_path / "photos.cedar").write_text(POLICIES)
    (tmp_path / "schema.cedarschema").write_text(SCHEMA)
    (tmp_path / "entities.json").write_text(json.dumps(ENTITIES))
    (tmp_path / "requests.jsonl").write_text(f"{line(id=1)}\n\n{line(id=2, context={'n': 9})}\n")
    return tmp_path


def run(folder: Path, *words: str, requests: str = "requests.jsonl", stdin: str | None = None) -> Any:
    """The command."""
    where = requests if requests == "-" else str(folder / requests)
    return CliRunner().invoke(cli.app, ["policy", "decide", where, "--policies", str(folder), *words], input=stdin)


def test_a_line_for_a_line(folder: Path) -> None:
    """In order, blank lines left out; the schema is the folder's own."""
    result = run(folder, "--entities", str(folder / "entities.json"))
    assert [json.loads(each)["decision"] for each in result.output.splitlines()] == ["allow", "deny"]
    assert result.exit_code == 0


def test_requests_come_from_standard_input(folder: Path) -> None:
    """And a request that cannot be decided makes the command end with 1."""
    result = run(folder, "--entities", str(folder / "entities.json"), requests="-", stdin=f"{line()}\nnope\n")
    assert [json.loads(each)["decision"] for each in result.output.splitlines()] == ["allow", "deny"]
    assert result.exit_code == 1


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        ("photos.cedar", "photos.cedar:1: unexpected token `nonsense`"),
        ("schema.cedarschema", "schema.cedarschema:1: "),
        ("entities.json", "entities: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_files_that_are_broken_end_it_with_2(folder: Path, spoil: str, reason: str) -> None:
    """With the place, before anything is answered."""
    (folder / spoil).write_text("nonsense nonsense")
    result = run(folder, "--entities", str(folder / "entities.json"))
    assert (result.output, result.exception.exit_code) == ("", 2)
    assert reason in str(result.exception)


@pytest.mark.parametrize("missing", ["requests.jsonl", "entities.json", "schema.cedarschema"])
def test_files_that_are_missing_end_it_with_2(folder: Path, missing: str) -> None:
    """By name."""
    (folder / missing).unlink()
    result = run(folder, "--entities", str(folder / "entities.json"))
    assert result.exception.exit_code == 2
    assert str(result.exception) == f"{folder / missing}: cannot be read: No such file or directory"
