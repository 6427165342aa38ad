"""Policy sets, entities and questions at random, over one schema: most sets fit it, many questions are alike.

The schema has what makes reading hard to follow: optional attributes, records, sets, entities as attributes, an entity
that may be principal and resource, groups of resources, groups of actions, extension types, arithmetic that overflows.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from policies.model import Entity, EntityUid, Json, Question

SCHEMA = (
    "schema.cedarschema",
    """
entity Role in [Role];
entity Team;
entity User in [Role, Team] = { tenant: String, name: String, level: Long, boss?: User };
entity Folder in [Folder] = { tenant: String };
entity Doc in [Folder] = { tenant: String, owner: User, tags: Set<String>, size?: Long,
  meta: { kind: String, n?: Long } };
action "any";
action "read" in [Action::"any"] appliesTo {
  principal: [User], resource: [Doc, Folder, User],
  context: { now: datetime, n: Long, s?: String, at?: ipaddr, on: Bool, r: { a: Long, b?: String }, by?: User }
};
action "list" in [Action::"any"] appliesTo {
  principal: [User], resource: [Doc],
  context: { now: datetime, n: Long, s?: String, at?: ipaddr, on: Bool, r: { a: Long, b?: String }, by?: User }
};
action "drop" appliesTo {
  principal: [User], resource: [Doc],
  context: { now: datetime, n: Long, s?: String, at?: ipaddr, on: Bool, r: { a: Long, b?: String }, by?: User }
};
""",
)

_GUARDED: Final = (
    '(context has s && context.s == "a")',
    "(context has s && [context.s].contains(principal.name))",
    "(context has s)",
    '(context has s && context.s like "a*")',
    "(context has at && context.at.isLoopback())",
    '(context has at && context.at.isInRange(ip("10.0.0.0/8")))',
    "(context has by && context.by == principal)",
    '(context has by && context.by.name == "a")',
    '(context has by && context.by in Role::"R")',
    '(context.r has b && context.r.b == "a")',
    "(context.r has b)",
    "(principal has boss)",
    "(principal has boss && principal.boss == resource)",
    '(principal has boss && principal.boss.name == "b")',
    '(principal has boss && principal.boss in Role::"R")',
    "(resource is Doc && resource has size && resource.size < 5)",
    '(resource is Doc && resource.owner == User::"v")',
    "(resource is Doc && resource.owner == principal)",
    "(resource is Doc && principal == resource.owner)",
    '(resource is Doc && resource.owner in Role::"R")',
    "(resource is Doc && resource.owner in [principal])",
    "(resource is Doc && resource.owner.tenant == principal.tenant)",
    '(resource is Doc && resource.tags.contains("a"))',
    "(resource is Doc && resource.tags.containsAny([principal.name]))",
    '(resource is Doc && resource.meta.kind == "a")',
    "(resource is Doc && resource.meta has n && resource.meta.n == 1)",
    '(resource is Doc && resource in Folder::"f")',
    '(resource is Doc in Folder::"f")',
    "(resource is User && resource.level > 1)",
    '(resource is User && resource == User::"u")',
    '({ x: principal.name, y: context.n }.x == "a")',
    '(context.now < datetime("2026-06-01"))',
    "(resource is Doc && [principal].contains(resource.owner))",
    "(resource is User && principal in resource)",
    "true",
    "false",
    "context.on",
    "resource is Doc",
    "principal == resource",
)
_TEXTS: Final = ("principal.tenant", "principal.name", "resource.tenant", '"a"', '"b"')
_LONGS: Final = ("context.n", "principal.level", "context.r.a", 'context["n"]', "0", "1", "2")
_USERS: Final = ("principal", 'User::"u"', 'User::"v"')
_PLACES: Final = (
    'Role::"R"',
    '[Role::"R", Role::"S"]',
    'Team::"t"',
    'User::"u"',
    '[User::"u", Role::"S"]',
    "principal",
)
_PRINCIPALS: Final = (
    *["principal"] * 6,
    'principal in Role::"R"',
    'principal == User::"u"',
    "principal is User",
    'principal is User in Role::"S"',
)
_ACTIONS: Final = (
    *["action"] * 3,
    'action == Action::"read"',
    'action in Action::"any"',
    'action in [Action::"list", Action::"drop"]',
)
_RESOURCES: Final = (*["resource"] * 6, "resource is Doc", 'resource in Folder::"f"', 'resource == Doc::"d"')


def policies(dice: random.Random) -> str:
    """One to three policies, as the text of a file: the fewer they are, the less they read."""
    written = []
    for number in range(dice.choice([1, 1, 1, 2, 3])):
        effect = dice.choice(["permit", "permit", "forbid"])
        scope = f"{dice.choice(_PRINCIPALS)}, {dice.choice(_ACTIONS)}, {dice.choice(_RESOURCES)}"
        clauses = [
            f"{dice.choice(['when', 'unless'])} {{ {_condition(dice, dice.choice([0, 0, 0, 1, 2]))} }}"
            for _ in range(dice.choice([0, 1, 1, 1, 2]))
        ]
        written.append(f'@id("p{number}") @reason("r") {effect} ({scope}) {" ".join(clauses)};')
    return "\n".join(written)


def _condition(dice: random.Random, depth: int) -> str:
    """An expression of type Bool."""
    match dice.choice(["leaf", "leaf", "not", "and", "or", "if"]) if depth else "leaf":
        case "not":
            return f"!({_condition(dice, depth - 1)})"
        case "and" | "or" as form:
            word = "&&" if form == "and" else "||"
            return f"({_condition(dice, depth - 1)} {word} {_condition(dice, depth - 1)})"
        case "if":
            one, two, three = (_condition(dice, depth - 1) for _ in range(3))
            return f"(if {one} then {two} else {three})"
        case _:
            return _leaf(dice)


def _leaf(dice: random.Random) -> str:
    """A comparison, a membership, or one of the forms that must be asked for before they are read."""
    match dice.randrange(5):
        case 0:
            return f"({dice.choice(_TEXTS)} {dice.choice(['==', '!='])} {dice.choice(_TEXTS)})"
        case 1:
            return f"({_long(dice)} {dice.choice(['<', '<=', '==', '>', '>=', '!='])} {_long(dice)})"
        case 2:
            return f"({dice.choice(_USERS)} in {dice.choice(_PLACES)})"
        case _:
            return dice.choice(_GUARDED)


def _long(dice: random.Random) -> str:
    """An expression of type Long; one in four can overflow."""
    one, other = dice.choice(_LONGS), dice.choice(_LONGS)
    return f"({one} {dice.choice('+-*')} {other})" if dice.randrange(4) == 0 else one


_NAMES: Final = ("a", "b")
_CHANCES: Final[Mapping[str, Sequence[Any]]] = {
    "action": ("read", "list", "drop"),
    "user": ("u", "v"),
    "roles": ((), ("R",), ("S",), ("R", "S")),
    "user.tenant": _NAMES,
    "user.name": _NAMES,
    "user.level": (0, 1, 2),
    "user.boss": (None, None, "u", "w"),
    "resource": (("Doc", "d"), ("Doc", "d"), ("Doc", "e"), ("Folder", "f"), ("User", "u"), ("User", "v")),
    "resource.tenant": _NAMES,
    "doc.owner": ("u", "v", "w"),
    "doc.tags": ([], ["a"], ["a", "b"]),
    "doc.meta": ({"kind": "a"}, {"kind": "b", "n": 1}),
    "doc.size": (None, 1, 9),
    "doc.in": ((), ("f",), ("g",)),
    "third": (None, (), ("R",)),
    "now": ("2026-01-01", "2026-12-01"),
    "n": (0, 1, 2, 2**62, 2**63 - 1),
    "on": (True, False),
    "r.a": (0, 1, 2**62),
    "r.b": (None, "a", "b"),
    "s": (None, "a", "b"),
    "at": (None, "127.0.0.1", "10.1.1.1"),
    "by": (None, "u", "w"),
    "fault": (None, ("n", True), ("n", "1"), ("on", 1), ("more", 1), ("s", 1), ("r", {"a": "x"}), "alone"),
}
"""Every feature of a question with what it may be; the first is the plainest."""


def questions(dice: random.Random, count: int = 40) -> list[Question]:
    """A question and others that differ from it in one or two features, faulty ones among them."""
    base = {name: dice.choice(values) for name, values in _CHANCES.items()} | {"fault": None}
    asked = [_question(base)]
    for _ in range(count - 1):
        features = dict(base)
        for name in dice.sample(list(_CHANCES), dice.choice([1, 1, 2])):
            features[name] = dice.choice(_CHANCES[name])
        asked.append(_question(features))
    return asked


def _question(of: Mapping[str, Any]) -> Question:
    """A question with these features."""
    user, resource = EntityUid("User", of["user"]), EntityUid(*of["resource"])
    entities = [_user(of, user, of["roles"])]
    if resource.type == "Doc":
        entities.append(_doc(of, resource))
    elif resource.type == "Folder":
        entities.append(Entity(resource, {"tenant": of["resource.tenant"]}))
    elif resource != user:
        entities.append(_user(of, resource, ()))
    if of["third"] is not None:
        entities.append(_user(of, EntityUid("User", "w"), of["third"]))
    context: dict[str, Json] = {"now": extension("datetime", of["now"]), "n": of["n"], "on": of["on"]}
    context["r"] = {"a": of["r.a"], **_given("b", of["r.b"])}
    context |= _given("s", of["s"])
    context |= {"at": extension("ip", of["at"])} if of["at"] else {}
    context |= {"by": entity("User", of["by"])} if of["by"] else {}
    fault = of["fault"]
    if fault == "alone":
        del entities[1:]
    elif fault is not None:
        context[fault[0]] = fault[1]
    return Question(user, of["action"], resource, context, tuple(entities))


def _user(of: Mapping[str, Any], who: EntityUid, roles: Sequence[str]) -> Entity:
    attrs: dict[str, Json] = {"tenant": of["user.tenant"], "name": of["user.name"], "level": of["user.level"]}
    attrs |= {"boss": entity("User", of["user.boss"])} if of["user.boss"] else {}
    return Entity(who, attrs, tuple(EntityUid("Role", role) for role in roles))


def _doc(of: Mapping[str, Any], which: EntityUid) -> Entity:
    attrs: dict[str, Json] = {
        "tenant": of["resource.tenant"],
        "owner": entity("User", of["doc.owner"]),
        "tags": of["doc.tags"],
        "meta": of["doc.meta"],
        **_given("size", of["doc.size"]),
    }
    return Entity(which, attrs, tuple(EntityUid("Folder", name) for name in of["doc.in"]))


def _given(name: str, value: Json) -> dict[str, Json]:
    return {} if value is None else {name: value}


def extension(function: str, text: str) -> Json:
    """A time or an address as Cedar takes it."""
    return {"__extn": {"fn": function, "arg": text}}


def entity(kind: str, name: str) -> Json:
    """An entity as the value of an attribute."""
    return {"__entity": {"type": kind, "id": name}}
