"""A small world of policies, generated: two roles, a document, a few values of the context, and conditions on them."""

from collections.abc import Iterator
from itertools import product
from typing import Final

import cedarpy
import msgspec
from hypothesis import strategies as st

from policies.bundle import Bundle
from policies.load import build_bundle, policy_tree
from policies.model import Entity, EntityUid, Json, Question
from roles.catalogue import Catalogue
from roles.load import load_catalogue
from roles.model import Principal

SCHEMA: Final = (
    "schema.cedarschema",
    """
entity Role;
entity User in [Role] = { issuer: String, tenant: String, sub: String };
entity Doc = { tenant: String };
action "doc:read" appliesTo {
  principal: [User], resource: [Doc], context: { x: Long, y: Long, flag: Bool, word: String, extra?: Long }
};
""",
)
CATALOGUE: Final[Catalogue] = load_catalogue(
    "".join(
        f'[[role]]\nname = "{name}"\ndescription = "d"\n{more}\n'
        for name, more in (("Nobody", "anonymous = true\noffered = false"), ("A", ""), ("B", ""), ("C", ""))
    ),
    "roles.toml",
)
ATOMS: Final = (
    "context.x <= 3",
    "context.x > 7",
    "context.y == 2",
    "5 < context.y",
    "context.y != 4",
    "context.flag",
    'context.word == "a"',
    'context.word like "b*"',
    "context has extra && context.extra > 1",
    'principal in Role::"A"',
    'principal in Role::"B"',
    "principal.tenant == resource.tenant",
    "principal.tenant == context.word",
    "context.x + 1 > 4",
)
BIG: Final = 2**63 - 1


def conditions(atoms: tuple[str, ...] = ATOMS) -> st.SearchStrategy[str]:
    """Boolean expressions over atoms."""
    return st.recursive(
        st.sampled_from(atoms),
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda pair: f"({pair[0]} && {pair[1]})"),
            st.tuples(inner, inner).map(lambda pair: f"({pair[0]} || {pair[1]})"),
            inner.map(lambda one: f"!({one})"),
            st.tuples(inner, inner, inner).map(lambda three: f"(if {three[0]} then {three[1]} else {three[2]})"),
        ),
        max_leaves=5,
    )


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    """One to five policies."""
    texts = []
    for number in range(draw(st.integers(1, 5))):
        effect = draw(st.sampled_from(["permit", "permit", "forbid"]))
        scope = draw(st.sampled_from(["principal", 'principal in Role::"A"', 'principal in Role::"B"']))
        clauses = draw(st.lists(st.tuples(st.sampled_from(["when", "unless"]), conditions()), max_size=2))
        written = " ".join(f"{kind} {{ {text} }}" for kind, text in clauses)
        texts.append(f'@id("p{number}") @reason("r") {effect} ({scope}, action, resource) {written};')
    return build_bundle([("p.cedar", "\n".join(texts))], SCHEMA)


@st.composite
def questions(draw: st.DrawFn) -> tuple[Question, Principal]:
    """A question to any of them, and whose it is."""
    roles = draw(st.sampled_from([(), ("A",), ("B",), ("C",), ("A", "B")]))
    context = draw(st.sampled_from(CONTEXTS))
    return ask(roles, context, of=draw(st.sampled_from(["t", "u"])))


def ask(roles: tuple[str, ...], context: dict[str, Json], of: str = "t") -> tuple[Question, Principal]:
    """Somebody of the tenant `t` asks to read a document of `of`."""
    from roles.entities import principal_entities

    principal = Principal("i", "t", "s", roles)
    doc = Entity(EntityUid("Doc", "d"), {"tenant": of})
    entities = (*principal_entities(principal, CATALOGUE), doc)
    return Question(principal.uid, "doc:read", doc.uid, context, entities), principal


def _contexts() -> Iterator[dict[str, Json]]:
    for x, y, flag, word in product((3, 4, 8, BIG), (2, 4, 6), (True, False), ("a", "bc", "t")):
        extra: dict[str, Json] = {"extra": y} if (x + y) % 3 else {}
        yield {"x": x, "y": y, "flag": flag, "word": word, **extra}


CONTEXTS: Final = tuple(_contexts())
"""Every one at a boundary of some atom."""


def tree(text: str) -> Json:
    """An expression as Cedar parses it."""
    parsed = policy_tree(f"permit (principal, action, resource) when {{ {text} }};")
    match parsed["conditions"]:
        case [{"body": body}]:
            return body
        case _:
            raise AssertionError(text)


def holds(text: str, question: Question) -> bool | None:
    """What Cedar says of an expression; None where it cannot say."""
    request = {
        "principal": msgspec.to_builtins(question.principal),
        "action": {"type": "Action", "id": question.action},
        "resource": msgspec.to_builtins(question.resource),
        "context": msgspec.json.encode(question.context).decode(),
    }
    policy = f"permit (principal, action, resource) when {{ {text} }};"
    entities = msgspec.json.encode(question.entities).decode()
    result = cedarpy.is_authorized(request, policy, entities, cedarpy.Schema.from_str(SCHEMA[1]))
    return None if result.diagnostics.errors else result.decision is cedarpy.Decision.Allow
