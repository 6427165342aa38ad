"""The mistakes that are made in policies, one at a time."""

import pytest

from policies.model import Effect, EntityUid
from policies.mutate import fitting, mutants
from tests.builders.questions import real_bundle
from tests.builders.tables import checked

SCHEMA = """
entity Role; entity User in [Role]; entity Doc = { n: Long, open: Bool };
action read, write, burn appliesTo { principal: [User], resource: [Doc], context: { n: Long } };
action list appliesTo { principal: [User], resource: [Doc] };
"""
HEAD = '@id("a") @reason("r")\n'
NEIGHBOURS = {EntityUid("Role", "B"): [EntityUid("Role", "A"), EntityUid("Role", "C")]}


def changes(policy: str) -> list[str]:
    """The mistakes in one policy."""
    return [mutant.change for mutant in mutants(checked(HEAD + policy, SCHEMA), NEIGHBOURS)]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("permit (principal, action, resource);", []),
        ('permit (principal in Role::"Z", action, resource);', ['widened principal in Role::"Z" to any principal']),
        (
            'permit (principal in Role::"B", action, resource);',
            [
                'widened principal in Role::"B" to any principal',
                'principal in Role::"B" became principal in Role::"A"',
                'principal in Role::"B" became principal in Role::"C"',
            ],
        ),
        (
            'permit (principal, action in [Action::"read", Action::"write"], resource is Doc);',
            [
                'widened action in [Action::"read", Action::"write"] to any action',
                'dropped Action::"read" from the actions',
                'dropped Action::"write" from the actions',
                "widened resource is Doc to any resource",
            ],
        ),
        (
            "permit (principal, action, resource) when { resource.n <= 5 };",
            [
                "dropped when { resource.n <= 5 }",
                "negated when { resource.n <= 5 }",
                "resource.n <= 5 became resource.n < 5",
                "resource.n <= 5 became resource.n <= 4",
                "resource.n <= 5 became resource.n <= 6",
            ],
        ),
        (
            "permit (principal, action, resource) unless { resource.n > 0 };",
            [
                "dropped unless { resource.n > 0 }",
                "negated unless { resource.n > 0 }",
                "resource.n > 0 became resource.n >= 0",
                "resource.n > 0 became resource.n > -1",
                "resource.n > 0 became resource.n > 1",
            ],
        ),
        (
            "permit (principal, action, resource) when { resource.open && !(resource.open != true) };",
            [
                "dropped when { resource.open && !(resource.open != true) }",
                "negated when { resource.open && !(resource.open != true) }",
                "resource.open && !(resource.open != true) became resource.open || !(resource.open != true)",
                "resource.open && !(resource.open != true) became resource.open",
                "resource.open && !(resource.open != true) became !(resource.open != true)",
                "!(resource.open != true) became resource.open != true",
                "resource.open != true became resource.open == true",
                "resource.open != true became resource.open != false",
            ],
        ),
        (
            'permit (principal, action, resource) when { principal in [Role::"B", Role::"Z"] };',
            [
                'dropped when { principal in [Role::"B", Role::"Z"] }',
                'negated when { principal in [Role::"B", Role::"Z"] }',
                'dropped Role::"B"',
                'dropped Role::"Z"',
                'Role::"B" became Role::"A"',
                'Role::"B" became Role::"C"',
            ],
        ),
        (
            'permit (principal, action, resource) when { resource.open || principal in [Role::"Z", Role::"Z"] };',
            [
                'dropped when { resource.open || principal in [Role::"Z", Role::"Z"] }',
                'negated when { resource.open || principal in [Role::"Z", Role::"Z"] }',
                (
                    'resource.open || principal in [Role::"Z", Role::"Z"] became '
                    'resource.open && principal in [Role::"Z", Role::"Z"]'
                ),
                'resource.open || principal in [Role::"Z", Role::"Z"] became resource.open',
                'resource.open || principal in [Role::"Z", Role::"Z"] became principal in [Role::"Z", Role::"Z"]',
                'dropped Role::"Z"',  # either of them: the same tree
            ],
        ),
        (
            "permit (principal, action, resource) when { (if resource.open then resource.n else 1) < 2 };",
            [
                "dropped when { (if resource.open then resource.n else 1) < 2 }",
                "negated when { (if resource.open then resource.n else 1) < 2 }",
                "(if resource.open then resource.n else 1) < 2 became (if resource.open then resource.n else 1) <= 2",
                "if resource.open then resource.n else 1 became if resource.open then resource.n else 0",
                "if resource.open then resource.n else 1 became if resource.open then resource.n else 2",
                "(if resource.open then resource.n else 1) < 2 became (if resource.open then resource.n else 1) < 1",
                "(if resource.open then resource.n else 1) < 2 became (if resource.open then resource.n else 1) < 3",
            ],
        ),
    ],
)
def test_every_kind_of_mistake(policy: str, expected: list[str]) -> None:
    """The policy gone and its effect flipped, and whatever can be mistaken in its scope and conditions."""
    assert changes(policy) == ["dropped", "permit became forbid", *expected]


def test_a_forbid_becomes_a_permit() -> None:
    """Its tree and its effect say the same."""
    flipped = mutants(checked(HEAD + "forbid (principal, action, resource);", SCHEMA), {})[1]
    assert flipped.change == "forbid became permit"
    assert flipped.policy is not None
    assert (flipped.policy.effect, flipped.policy.tree["effect"]) == (Effect.ALLOW, "permit")


def test_numbers_stay_in_64_bits() -> None:
    """Cedar has no larger ones."""
    text = "permit (principal, action, resource) when { resource.n < 9223372036854775807 };"
    assert [change for change in changes(text) if change.endswith("808")] == []
    assert "resource.n < 9223372036854775807 became resource.n < 9223372036854775806" in changes(text)


def test_the_same_words_twice_have_two_names() -> None:
    """A list of allowed mistakes must be able to tell them apart."""
    text = "permit (principal, action, resource) when { resource.n < 5 || resource.open } unless { resource.n < 5 };"
    names = [mutant.name for mutant in mutants(checked(HEAD + text, SCHEMA), {})]
    assert "doc.a: resource.n < 5 became resource.n <= 5" in names
    assert "doc.a: resource.n < 5 became resource.n <= 5 (2)" in names
    assert len(set(names)) == len(names)


def test_each_is_a_policy_of_its_own() -> None:
    """No two of one policy are the same tree, none is the original, and each has its own id."""
    bundle = real_bundle()
    found = [mutant for mutant in mutants(bundle, {}) if mutant.policy]
    trees = [(mutant.origin, mutant.policy.tree) for mutant in found if mutant.policy]
    assert all(tree not in trees[:index] for index, tree in enumerate(trees))
    assert all(tree != bundle.policies[origin].tree for origin, tree in trees)
    assert len({mutant.policy.id for mutant in found if mutant.policy}) == len(found)


def test_places_are_those_of_the_pieces() -> None:
    """A change in the third line of a policy is said to be there."""
    text = "permit (\n  principal,\n  action,\n  resource\n)\nwhen { resource.open }\nwhen { resource.n < 5 };"
    lines = {mutant.change: mutant.line for mutant in mutants(checked(HEAD + text, SCHEMA), {})}
    assert lines["permit became forbid"] == 1
    assert lines["dropped when { resource.open }"] == 7
    assert lines["resource.n < 5 became resource.n <= 5"] == 8


def test_what_the_schema_refuses_is_left_out() -> None:
    """A policy that reads what one action alone has cannot be widened to all."""
    text = 'permit (principal, action == Action::"read", resource) when { context.n < 5 };'
    bundle = checked(HEAD + text, SCHEMA)
    found = mutants(bundle, {})
    left = fitting(found, bundle.schema)
    gone = [mutant.change for mutant in found if mutant not in left]
    assert gone == ['widened action == Action::"read" to any action']
    assert left[0].policy is None  # a policy that is gone always fits
