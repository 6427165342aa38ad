"""What questions are made with: checked whole, with the file and the reason of whatever is wrong."""

from typing import Any

import pytest

from gateway.ops.authzen.sheets import Names, Sheets, split_id
from gateway.snapshot import build_snapshot
from policies.errors import PolicyErrors
from policies.load import read_folder
from policies.model import EntityUid
from tests.builders import plane
from tests.builders.decisions import FIXTURE

LIVE = ("schema.cedarschema", (plane.ROOT / "policies" / "schema.cedarschema").read_text())
ENTITIES = (FIXTURE / "entities.json").read_text()
NOBODY = (
    '[{"uid": {"type": "User", "id": "%s"}, "attrs": {"issuer": "dev", "tenant": "acme", "sub": "u"}, "parents": []}]'
)


def build(**changes: Any) -> Sheets:
    """Sheets of the fixture, changed."""
    parts: dict[str, Any] = {
        "names": Names(),
        "live_schema": LIVE,
        "own": read_folder(FIXTURE),
        "entities": ("entities.json", ENTITIES),
        "strict": False,
        **changes,
    }
    return Sheets.build(parts["names"], parts["live_schema"], parts["own"], parts["entities"], strict=parts["strict"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"names": Names({"person": "usr"})}, "types.person: the schema declares no entity type `usr`"),
        ({"names": Names({}, {"view": "raed"})}, "actions.view: the schema declares no action `raed`"),
        ({"entities": ("e.json", "[")}, "e.json: not JSON: expecting value: line 1 column 2 (char 1)"),
        ({"own": None}, "entities.json: entity 1: the schema declares no entity type `group`"),
        (
            {
                "own": None,
                "entities": ("e.json", '[{"uid": {"type": "Role", "id": "Clerk"}, "attrs": {}, "parents": []}]'),
            },
            'e.json: Role::"Clerk": roles stand in the catalogue',
        ),
        (
            {"own": None, "entities": ("e.json", NOBODY % "dev/globex/u")},
            'e.json: User::"dev/globex/u": the id is not `<issuer>/<tenant>/<sub>`',
        ),
        (
            {"own": None, "entities": ("e.json", NOBODY % "u")},
            'e.json: User::"u": the id is not `<issuer>/<tenant>/<sub>`',
        ),
        (
            {"own": ([("p.cedar", "permit (principal, action, resource);")], LIVE)},
            "p.cedar:1: a policy without an `@id`",
        ),
    ],
)
def test_what_is_refused(changes: dict[str, Any], reason: str) -> None:
    """Everything that would make answers differ from what whoever configured it expects."""
    with pytest.raises(PolicyErrors) as caught:
        build(**changes)
    assert reason in str(caught.value)


def test_names_may_be_full_names() -> None:
    """Of a namespace's actions."""
    schema = "namespace S { entity U; action go appliesTo { principal: [U], resource: [U] }; }"
    own = ([("p.cedar", '@id("a") @reason("r") permit (principal, action, resource);')], ("s.cedarschema", schema))
    sheets = build(names=Names({"user": "S::U"}, {"walk": "S::go"}), own=own, entities=None)
    court = sheets.court(build_snapshot(plane.sources(9002)))
    assert court.action("S::go") == court.action("go")
    assert court.actions("S::U", "S::U", sheets.names) == ["walk"]


def test_what_callers_call_an_action() -> None:
    """Every name that leads to it; its own where none does, and where that is not another's."""
    names = Names({}, {"view": "read", "look": "read", "write": "delete"})
    court = build(names=names).court(build_snapshot(plane.sources(9002)))

    def called(action: str) -> list[str]:
        return sorted(court.called(EntityUid("Action", action), names))

    assert called("read") == ["look", "view"]
    assert called("open") == ["open"]
    assert called("write") == [], "what is called so is `delete`"
    assert called("delete") == ["write"]


def test_a_version_is_of_everything_in_it() -> None:
    """Names, entities, policies and strictness."""
    versions = {
        build().version,
        build(names=Names({"person": "user"})).version,
        build(names=Names({}, {"view": "read"})).version,
        build(entities=None).version,
        build(strict=True).version,
        build(own=None, entities=None).version,
    }
    assert len(versions) == 6
    assert build().version in versions


def test_who_decides() -> None:
    """Its own policies where it has some, those in force where it has none; always those of the moment."""
    one, two = (build_snapshot(plane.sources(9002)) for _ in range(2))
    live = build(own=None, entities=None)
    assert live.court(one).memo is one.decisions
    assert live.court(two).memo is two.decisions
    own = build()
    assert own.court(one) is own.court(two)
    assert own.court(one).bundle is own.bundle


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("dev/acme/u", ("dev", "acme", "u")),
        ("dev/acme/u/v/", ("dev", "acme", "u/v/")),
        ("-/-/anonymous", ("-", "-", "anonymous")),
        ("dev/acme/", None),
        ("dev/acme", None),
        ("/acme/u", None),
        ("dev//u", None),
        ("dev/Acme/u", None),
        ("", None),
    ],
)
def test_a_principals_id_is_read_in_one_way(text: str, parts: tuple[str, str, str] | None) -> None:
    """Only a sub may hold slashes."""
    assert split_id(text) == parts
