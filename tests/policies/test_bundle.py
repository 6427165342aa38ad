"""What a bundle knows without being asked a question."""

import pytest

from policies.bundle import Policy
from policies.errors import UnknownAction
from policies.load import build_bundle
from policies.model import EntityUid
from tests.builders.questions import real_bundle

SCHEMA = (
    "schema.cedarschema",
    """
entity Role; entity User in [Role]; entity Doc;
action "all";
action "reading" in ["all"];
action "doc:read", "doc:list" in ["reading"] appliesTo { principal: [User], resource: [Doc] };
action "doc:write" in ["all"] appliesTo { principal: [User], resource: [Doc] };
""",
)


def policy(name: str, action: str, condition: str = "true") -> str:
    """A policy with an action scope."""
    return f'@id("{name}") @reason("r") permit (principal, {action}, resource) when {{ {condition} }};\n'


def slice_of(action: str, *policies: str) -> list[str]:
    """The ids of the policies that have a say in an action."""
    bundle = build_bundle([("p.cedar", "".join(policies))], SCHEMA)
    return [found.id for found in bundle.slice(EntityUid("Action", action))]


def test_a_slice_has_every_policy_whose_scope_admits_the_action() -> None:
    """No scope, the action itself, a list with it, its group and its group's group; nothing else."""
    policies = (
        policy("any", "action"),
        policy("equal", 'action == Action::"doc:read"'),
        policy("listed", 'action in [Action::"doc:read", Action::"doc:write"]'),
        policy("grouped", 'action in Action::"reading"'),
        policy("far", 'action in [Action::"all"]'),
        policy("other", 'action == Action::"doc:list"'),
    )
    assert slice_of("doc:read", *policies) == ["p.any", "p.equal", "p.far", "p.grouped", "p.listed"]
    assert slice_of("doc:write", *policies) == ["p.any", "p.far", "p.listed"]


def test_a_policy_that_names_an_action_twice_is_in_its_slice_once() -> None:
    """By itself and by two groups it is in; sorted all the same."""
    policies = (policy("b", "action"), policy("a", 'action in [Action::"doc:read", Action::"reading", Action::"all"]'))
    assert slice_of("doc:read", *policies) == ["p.a", "p.b"]


def test_a_slice_looks_at_nobody_elses_policies(monkeypatch: pytest.MonkeyPatch) -> None:
    """What scopes name is read once, not again for each action."""
    bundle = build_bundle([("p.cedar", policy("a", 'action == Action::"doc:read"'))], SCHEMA)
    monkeypatch.setattr(Policy, "scope_actions", property(lambda _: pytest.fail("read again")))
    assert [len(bundle.slice(uid)) for uid in sorted(bundle.schema.actions, key=str)] == [0, 1, 0]


def test_groups_are_not_actions() -> None:
    """Only what applies to something can be asked for."""
    bundle = build_bundle([("p.cedar", policy("any", "action"))], SCHEMA)
    assert bundle.actions == ("doc:list", "doc:read", "doc:write")


def test_the_version_follows_the_content_and_nothing_else() -> None:
    """Order of files and statements does not matter; a character of a policy or of the schema does."""
    one, two = policy("one", "action"), policy("two", "action")
    base = build_bundle([("p.cedar", one + two), ("q.cedar", one)], SCHEMA)
    same = build_bundle([("q.cedar", one), ("p.cedar", two + "// a remark\n" + one)], SCHEMA)
    assert base.version == same.version
    assert len(base.version) == 16
    changed = build_bundle([("p.cedar", one + two.replace("true", "!false")), ("q.cedar", one)], SCHEMA)
    assert changed.version != base.version
    assert changed.schema_version == base.schema_version
    moved = build_bundle([("p.cedar", one + two), ("r.cedar", one)], SCHEMA)
    assert moved.version != base.version
    other = build_bundle([("p.cedar", one + two), ("q.cedar", one)], (SCHEMA[0], SCHEMA[1] + "entity More;"))
    assert other.schema_version != base.schema_version
    assert other.version != base.version


def test_roles_are_found_wherever_a_policy_names_them() -> None:
    """In the scope and in a condition, in a list and alone."""
    text = (
        '@id("a") @reason("r") permit (principal in Role::"One", action, resource);'
        '@id("b") @reason("r") permit (principal, action, resource) when { principal in [Role::"Two", Role::"Three"] };'
        '@id("c") @reason("r") forbid (principal, action, resource) unless { principal in Role::"Four" };'
    )
    assert build_bundle([("p.cedar", text)], SCHEMA).roles == {"One", "Two", "Three", "Four"}


def test_the_context_and_resource_types_of_an_action() -> None:
    """A refund needs an amount, as a Long; everything has the common part."""
    context = real_bundle().context_type("payment:refund")
    assert {name: (kind.type, kind.required) for name, kind in context.items()} == {
        "amount": ("Long", True),
        "cross_tenant": ("Boolean", True),
        "now": ("datetime", True),
    }
    assert real_bundle().resource_types("payment:refund") == ("Payment",)


def test_an_unknown_action_is_said_to_be_one() -> None:
    """Both lookups name it."""
    for lookup in (real_bundle().context_type, real_bundle().resource_types):
        with pytest.raises(UnknownAction, match="`order:destroy`"):
            lookup("order:destroy")


def test_every_action_has_the_common_context_and_one_kind_of_resource() -> None:
    """What the gateway gives with every question fits every action; classes of fields are asked about any resource."""
    for action in real_bundle().actions:
        assert {"now", "cross_tenant"} <= set(real_bundle().context_type(action))
        kinds = real_bundle().resource_types(action)
        assert len(kinds) == 1 or (action.startswith("data:see_") and "Gateway" not in kinds)
