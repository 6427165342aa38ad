"""Policies that change nothing, because another says the same or the opposite."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policies.lint.claim import claims_of
from policies.lint.covered import covered, covers
from policies.lint.failing import failing
from policies.model import EntityUid, Question
from tests.builders.conditions import applies, bundle_of, claims, policy_texts, requests

READ = 'action == Action::"r"'


def found(*policies: str) -> list[tuple[int, str, str]]:
    """Line, code and reason of each finding; a policy takes two lines."""
    bundle = bundle_of(*policies)
    assert bundle is not None
    return [(it.line, it.code, it.reason) for it in covered(list(claims(bundle).values()), bundle)]


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("permit (principal, action, resource);", f"permit (principal, {READ}, resource);"),
        (f"permit (principal, {READ}, resource);",
         f"permit (principal is User, {READ}, resource) when {{ context.b }};"),
        ('permit (principal, action in [Action::"r", Action::"w"], resource);',
         f'permit (principal == User::"u", {READ}, resource);'),
        (f"permit (principal, {READ}, resource) when {{ context.l < 10 }};",
         f"permit (principal, {READ}, resource) when {{ context.b && context.l == 4 }};"),
        (f'permit (principal in Role::"A", {READ}, resource);',
         f'permit (principal, {READ}, resource) when {{ context.b }} when {{ principal in Role::"A" }};'),
        (f'permit (principal, {READ}, resource) when {{ principal in [Role::"A", Role::"B"] }};',
         f'permit (principal in Role::"B", {READ}, resource);'),
        (f"permit (principal, {READ}, resource) when {{ context.l + 1 < 3 }};",
         f"permit (principal, {READ}, resource) when {{ context.b && context.l + 1 < 3 }};"),
        (f"permit (principal, {READ}, resource) when {{ context.b || context.l < 3 }};",
         f"permit (principal, {READ}, resource) when {{ context.l < 2 }};"),
        (f"forbid (principal, {READ}, resource);", f"forbid (principal, {READ}, resource) unless {{ context.b }};"),
    ],
)  # fmt: skip
def test_what_another_says_is_shadowed(wide: str, narrow: str) -> None:
    """A scope within a scope, conditions that follow from conditions."""
    assert found(wide, narrow) == [(3, "shadowed", "says nothing that `p.p0` does not already say")]
    assert found(narrow, wide) == [(1, "shadowed", "says nothing that `p.p1` does not already say")]


def test_of_two_alike_the_first_stays() -> None:
    """One finding, not two that name each other."""
    policy = f"permit (principal, {READ}, resource) when {{ context.b && context.l < 3 }};"
    turned = f"permit (principal, {READ}, resource) when {{ context.l < 3 && context.b }};"
    assert found(policy, turned) == [(3, "shadowed", "says nothing that `p.p0` does not already say")]


@pytest.mark.parametrize(
    "forbid",
    [
        "forbid (principal, action, resource);",
        f"forbid (principal, {READ}, resource) when {{ context.l > 3 }};",
        f"forbid (principal, {READ}, resource) when {{ context.l * 2 > 3 }} when {{ context.l > 3 }};",
    ],
)
def test_what_is_always_forbidden_is_overruled(forbid: str) -> None:
    """By a forbid of wider scope; one that may fail denies then, too, but is not known to apply."""
    permit = f"permit (principal, {READ}, resource) when {{ context.l > 5 }};"
    expected = [(3, "overruled", "`p.p0` forbids everything that this permits")]
    assert found(forbid, permit) == ([] if "*" in forbid else expected)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("permit (principal, action, resource);", "forbid (principal, action, resource) when { context.b };"),
        (f"permit (principal is User, {READ}, resource);",
         f"permit (principal, {READ}, resource) when {{ context.b }};"),
        (f"permit (principal, {READ}, resource) when {{ context.l < 5 }};",
         f"permit (principal, {READ}, resource) when {{ context.l < 6 && context.b }};"),
        (f"permit (principal, {READ}, resource) when {{ context.l * 2 < 5 || true }};",
         f"permit (principal, {READ}, resource) when {{ context.b }};"),
        (f"permit (principal, {READ}, resource) when {{ context.l < context.m }};",
         f"permit (principal, {READ}, resource) when {{ context.l < 2 && context.m > 2 }};"),
    ],
)  # fmt: skip
def test_what_is_not_proved_is_left_alone(one: str, other: str) -> None:
    """Narrower on one side, wider on the other; or true only where nothing fails; or a proof we do not have."""
    assert found(one, other) == []
    assert found(other, one) == []


def test_a_role_that_comes_with_another_counts() -> None:
    """What a role may, whoever has a role that includes it may, too."""
    bundle = bundle_of(f'permit (principal in Role::"A", {READ}, resource);',
                       f'permit (principal in Role::"B", {READ}, resource);')  # fmt: skip
    assert bundle is not None
    a, b = EntityUid("Role", "A"), EntityUid("Role", "B")
    with_roles = claims_of(bundle, {a: frozenset({a}), b: frozenset({a, b})})
    assert [it.line for it in covered(with_roles, bundle)] == [3]


@settings(max_examples=30)
@given(policy_texts(), policy_texts(), st.lists(requests(), min_size=8, max_size=16))
def test_what_covers_applies_wherever_the_other_does(
    wide: str, narrow: str, asked: list[tuple[EntityUid, Question]]
) -> None:
    """By Cedar's word, on every request that is tried; the second is made narrower, or nothing would be covered."""
    narrower = narrow.removesuffix(";") + wide[wide.index(")") + 1 :]
    for one, other in ((wide, narrow), (wide, narrower)):
        bundle = bundle_of(one, other)
        assume(bundle is not None)
        assert bundle is not None
        said = claims(bundle)
        certain = not list(failing(said["p.p0"], bundle))
        if covers(said["p.p0"], said["p.p1"], certain=certain):
            for first, second in zip(applies(one, asked), applies(other, asked), strict=True):
                assert first or not second
