"""Random Cedar conditions over a small schema, and random requests: for what is proved of policies."""

from collections.abc import Iterable
from functools import cache

from hypothesis import strategies as st

from policies.bundle import Bundle
from policies.engine import Engine
from policies.errors import NoDecision, PolicyErrors
from policies.lint.claim import Claim, claims_of
from policies.load import build_bundle
from policies.model import Entity, EntityUid, Json, Question

SCHEMA = (
    "schema.cedarschema",
    """
entity Role in [Role];
entity User in [Role] = { n: Long, boss: User };
entity Bot in [Role] = { n: Long };
entity Doc = { n: Long, owner: User };
entity Pic = { n: Long };
action everything;
action r, w in [everything] appliesTo {
  principal: [User, Bot], resource: [Doc],
  context: { l: Long, m: Long, s: String, b: Bool, o?: Long, d: datetime, long: duration }
};
action v appliesTo {
  principal: [User], resource: [Doc, Pic],
  context: { l: Long, m: Long, s: String, b: Bool, d: datetime, long: duration }
};
""",
)
EXTREME = (-(2**63), 2**63 - 1)
ROLES = ("A", "B", "C")

_one = st.sampled_from
_longs = _one(["context.l", "context.m", "resource.n", "context.l + 1", "principal.n * 2", "-context.m"])
_numbers = _one(["-2", "0", "1", "2", "3", "1 + 1", "9223372036854775807", "-9223372036854775808", "-(1)"])
_texts = _one(['""', '"a"', '"ab"', '"b*"'])
_orders = _one(["<", "<=", ">", ">=", "==", "!="])
_atoms = st.one_of(
    st.builds("{} {} {}".format, _longs, _orders, _numbers),
    st.builds("{} {} {}".format, _numbers, _orders, _longs),
    st.builds("{} {} {}".format, _longs, _orders, _longs),
    st.builds("context.s {} {}".format, _one(["==", "!="]), _texts),
    st.builds("context.s like {}".format, _one(['"a*"', '"*b"', '"b*"', '"a"', '"b\\*"', '"*"'])),
    _one(["context.b", "true", "false", "context.b == true"]),
    _one(["context has o", "context has o && context.o > 1", "context has l", "context has nothing"]),
    _one(["principal is User", "principal is Bot", "resource is Doc", "resource is Pic"]),
    _one(['principal in Role::"A"', 'principal in [Role::"A", Role::"B"]', 'principal is User in Role::"B"']),
    _one(['principal == User::"u"', 'principal != User::"u"', 'resource == Doc::"d"']),
    _one(['action == Action::"r"', 'action in Action::"everything"', 'action in [Action::"r", Action::"v"]']),
    _one(['context.d < datetime("2026-01-01")', 'datetime("2026-01-01") <= context.d']),
)
CONDITIONS = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        st.builds("({}) && ({})".format, inner, inner),
        st.builds("({}) || ({})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("if {} then {} else {}".format, st.builds("({})".format, inner), _atoms, _atoms),
    ),
    max_leaves=6,
)
"""Boolean expressions, most of the right types."""

SCOPES = _one([
    "principal, action, resource",
    'principal in Role::"A", action == Action::"r", resource',
    'principal, action in [Action::"r", Action::"w"], resource is Doc',
    'principal is User, action in Action::"everything", resource',
    'principal == User::"u", action == Action::"v", resource',
])  # fmt: skip
"""Scopes of policies."""


@st.composite
def policy_texts(draw: st.DrawFn, effect: str = "permit") -> str:
    """A policy without annotations: a scope and up to two clauses."""
    clauses = draw(st.lists(st.builds("{} {{ {} }}".format, _one(["when", "unless"]), CONDITIONS), max_size=2))
    return f"{effect} ({draw(SCOPES)}) {' '.join(clauses)};"


@st.composite
def requests(
    draw: st.DrawFn, actions: tuple[str, ...] = ("r", "w", "v"), principals: tuple[str, ...] = ("User", "Bot")
) -> tuple[EntityUid, Question]:
    """An action and a question that fits the schema, from so few values that conditions hold now and then."""
    action = draw(_one(actions))
    principal = EntityUid(draw(_one(principals if action != "v" else ["User"])), draw(_one(["u", "x"])))
    resource = EntityUid(draw(_one(["Doc", "Pic"] if action == "v" else ["Doc"])), draw(_one(["d", "e"])))
    number = _one([-2, -1, 0, 1, 2, 3, *EXTREME])
    context: dict[str, Json] = {
        "l": draw(number),
        "m": draw(number),
        "s": draw(_one(["", "a", "ab", "b*", "c"])),
        "b": draw(st.booleans()),
        "d": {"__extn": {"fn": "datetime", "arg": draw(_one(["2025-01-01", "2026-01-01", "9999-12-31"]))}},
        "long": {"__extn": {"fn": "duration", "arg": draw(_one(["1d", f"{EXTREME[1]}ms"]))}},
    }
    if action != "v" and draw(st.booleans()):
        context["o"] = draw(number)
    held = tuple(EntityUid("Role", name) for name in draw(st.sets(_one(ROLES))))
    user: Json = {"__entity": {"type": "User", "id": "u"}}
    attrs: dict[str, Json] = {"n": draw(number)} | ({"boss": user} if principal.type == "User" else {})
    about: dict[str, Json] = {"n": draw(number)} | ({"owner": user} if resource.type == "Doc" else {})
    entities = (Entity(principal, attrs, held), Entity(resource, about))
    return EntityUid("Action", action), Question(principal, action, resource, context, entities)


def bundle_of(*policies: str) -> Bundle | None:
    """A bundle of policies `p.p0`, `p.p1`, ...; None where the schema has something against one."""
    text = "\n".join(f'@id("p{number}") @reason("r")\n{policy}' for number, policy in enumerate(policies))
    try:
        return build_bundle([("p.cedar", text)], SCHEMA)
    except PolicyErrors:
        return None


def claims(bundle: Bundle) -> dict[str, Claim]:
    """What each policy says, by id."""
    return {claim.policy.id: claim for claim in claims_of(bundle, {})}


@cache
def only(policy: str) -> Engine:
    """An engine with one policy."""
    bundle = bundle_of(policy)
    assert bundle is not None
    return Engine(bundle)


def applies(policy: str, asked: Iterable[tuple[EntityUid, Question]]) -> list[bool]:
    """Whether a policy, alone, applies to each question, by Cedar's word; a forbid that fails does."""
    found = []
    for action, question in asked:
        try:
            found.append("p.p0" in only(policy).decide_action(action, question).reasons)
        except NoDecision:
            found.append(False)
    return found
