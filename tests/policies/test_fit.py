"""Many policies are held against their schema in batches, and refused as one look at all would."""

import random
from collections.abc import Collection

import cedarpy
import pytest

from policies.bundle import Policy
from policies.errors import PolicyErrors
from policies.fit import Scoped, refused
from policies.load import build_bundle, policy_tree
from policies.model import Effect, EntityUid
from policies.schema import Schema

KINDS = 60


def reads(n: int) -> str:
    """What the reading actions of a kind apply to."""
    return f"appliesTo {{ principal: [User], resource: [Kind{n}], context: {{ n: Long }} }}"


SCHEMA = (
    "entity Role; entity User in [Role] = { tenant: String };\n"
    'action "everything"; action "reading" in ["everything"]; action "nothing";\n'
    + "\n".join(
        f"entity Kind{n} = {{ tenant: String, size{n}: Long }};\n"
        f'action "k{n}" in ["everything"]; action "k{n}:read" in ["reading", "k{n}"] {reads(n)};\n'
        f'action "k{n}:list" in ["k{n}"] {reads(n)};\n'
        f'action "k{n}:write" appliesTo {{ principal: [User], resource: [Kind{n}, Kind{(n + 1) % KINDS}], '
        f"context: {{ n: Long, m?: Long }} }};"
        for n in range(KINDS)
    )
    + "\nnamespace Far { entity Thing = { tenant: String }; action x; action y in [x] appliesTo { "
    "principal: [User], resource: [Thing] }; }"
)
SCOPES = (
    "action",
    'action == Action::"k{n}:read"',
    'action == Action::"k{n}:write"',
    'action in [Action::"k{n}:list", Action::"k{o}:write"]',
    'action in Action::"k{n}"',
    'action in [Action::"reading", Action::"k{n}:write"]',
    'action in Action::"everything"',
    'action in Action::"nothing"',
    'action == Action::"k{n}:raed"',
    'action in [Far::Action::"x"]',
)
CONDITIONS = (
    "true",
    "principal.tenant == resource.tenant",
    "resource.size{n} > context.n",
    "context has m && context.m > 1",
    "context.m > 1",
    'action == Action::"k{o}:list"',
    'action in Action::"reading"',
    'action == Action::"k{o}:gone"',
    "resource is Kind{o} && resource.size{o} == 1",
    "resource is Gone",
    "principal.tenent == resource.tenant",
    "1",
)


def policies(seed: int, count: int) -> list[Scoped]:
    """So many at random, of which about every second fits."""
    chosen = random.Random(seed)
    made: list[Scoped] = []
    for _ in range(count):
        n, o = chosen.randrange(KINDS), chosen.randrange(KINDS)
        scope = chosen.choices(SCOPES, weights=[2, 9, 9, 9, 9, 1, 1, 1, 1, 1])[0]
        text = f"permit (principal, {scope}, resource) when {{ {chosen.choice(CONDITIONS)} }};"
        text = text.replace("{n}", str(n)).replace("{o}", str(o))
        made.append((text, scope_of(text)))
    return made


def scope_of(text: str) -> frozenset[EntityUid] | None:
    """What a policy's scope names."""
    tree = policy_tree(text)
    return Policy(id="p", effect=Effect.ALLOW, reason="r", file="f", line=1, text=text, tree=tree).scope_actions


@pytest.mark.parametrize("seed", range(2))
def test_batches_refuse_what_one_look_refuses(seed: int, narrowings: list[int]) -> None:
    """Scopes by name, list and group, of two namespaces; names and attributes that are not there, wrong types."""
    schema, asked = Schema("s", SCHEMA), policies(seed, 400)
    whole = cedarpy.validate_policies("\n".join(text for text, _ in asked), schema.handle)
    expected = {int(error.policy_id.removeprefix("policy")) for error in whole.errors}
    assert 100 < len(expected) < 300
    assert refused(asked, schema) == expected
    assert len(narrowings) > 3  # or nothing was tried


def test_batches_are_narrow(narrowings: list[int]) -> None:
    """Policies of few actions are looked at with few: the looks grow with n times its root, not with its square."""
    schema = Schema("s", SCHEMA)
    asked = [one for one in policies(1, 900) if len(schema.admitted(one[1])) <= 3]
    refused(asked, schema)
    assert sum(narrowings) < 4 * KINDS * 4
    assert max(narrowings) <= 3 * 30


def test_few_policies_are_looked_at_at_once(narrowings: list[int]) -> None:
    """To narrow a schema costs more than it saves."""
    assert refused(policies(2, 100), Schema("s", SCHEMA))
    assert narrowings == []


def test_a_refusal_among_many_has_its_place() -> None:
    """What is found in a batch is said as if there were none."""
    rows = [
        f'@id("p{at}-{kind}") @reason("r") permit (principal, action == Action::"k{at}:{kind}", resource);'
        for at in range(KINDS)
        for kind in ("read", "list", "write")
    ]
    rows[100] = rows[100].replace(";", " when { resource.sise > 1 };")
    with pytest.raises(PolicyErrors) as caught:
        build_bundle([("p.cedar", "\n".join(rows))], ("s", SCHEMA))
    (found,) = caught.value.findings
    assert (found.file, found.line, found.code) == ("p.cedar", 101, "unknown-attribute")


@pytest.fixture
def narrowings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many actions each narrowed schema has kept."""
    seen: list[int] = []
    narrowed = Schema.narrowed

    def watched(self: Schema, actions: Collection[EntityUid]) -> cedarpy.Schema:
        seen.append(len(actions))
        return narrowed(self, actions)

    monkeypatch.setattr(Schema, "narrowed", watched)
    return seen
