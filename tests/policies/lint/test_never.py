"""Policies that can never apply: what is found, and that nothing is found of one that can."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policies.lint.never import never_applies
from policies.model import EntityUid, Question
from tests.builders.conditions import applies, bundle_of, claims, policy_texts, requests


def reasons(*policies: str) -> list[str]:
    """What is found."""
    bundle = bundle_of(*policies)
    assert bundle is not None
    findings, dead = never_applies(list(claims(bundle).values()), bundle)
    assert len(findings) == len(dead)
    return [finding.reason for finding in findings]


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ("false", "`false` is never true"),
        ("!true", "`!true` is never true"),
        ("1 + 1 == 3", "`1 + 1 == 3` is never true"),
        ("context.l < 0 && context.l > 10", "`context.l < 0` and `context.l > 10` are never true together"),
        ("context.l < 1 && 0 < context.l", "`context.l < 1` and `0 < context.l` are never true together"),
        ("context.l >= 5 && !(context.l != 4)", "`context.l >= 5` and `!(context.l != 4)` are never true together"),
        ("context.l > 9223372036854775807", "`context.l > 9223372036854775807` is never true"),
        ("context.l < -9223372036854775808", "`context.l < -9223372036854775808` is never true"),
        ("context.l < context.m && context.m < context.l",
         "`context.l < context.m` and `context.m < context.l` are never true together"),
        ("context.l < context.m && context.m == context.l",
         "`context.l < context.m` and `context.m == context.l` are never true together"),
        ("context.l != context.l", "`context.l != context.l` is never true"),
        ('context.s == "a" && context.s == "b"',
         '`context.s == "a"` and `context.s == "b"` are never true together'),
        ('context.s == "a" && context.s != "a"',
         '`context.s == "a"` and `context.s != "a"` are never true together'),
        ('context.s like "a*" && context.s == "b"',
         '`context.s like "a*"` and `context.s == "b"` are never true together'),
        ('context.s like "a*" && context.s like "b*"',
         '`context.s like "a*"` and `context.s like "b*"` are never true together'),
        ("context.b && !context.b", "`context.b` and `!context.b` are never true together"),
        ('principal in Role::"A" && !(principal in [Role::"A", Role::"B"])',
         '`principal in Role::"A"` and `!(principal in [Role::"A", Role::"B"])` are never true together'),
        ('action == Action::"w"', '`action == Action::"r"` and `action == Action::"w"` are never true together'),
        ("resource is Pic", "`resource is Pic` is never true"),
        ("context has nothing", "`context has nothing` is never true"),
        ("!(context has l)", "`!(context has l)` is never true"),
        ("(context.b || context.l > 5) && !context.b && context.l < 3",
         "`context.b` and `!context.b` are never true together; nor does any other way to meet the conditions hold"),
        ("principal has boss && principal.boss is Bot",
         "by the schema's types its conditions are always false"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_found(condition: str, why: str) -> None:
    """Each with the conditions that cannot be, as they are written."""
    policy = f'permit (principal is User, action == Action::"r", resource) when {{ {condition} }};'
    assert reasons(policy) == [f"the policy never applies: {why}"]


@pytest.mark.parametrize(
    "condition",
    [
        "context.l <= 5 && context.l >= 5",
        "context.l < 2 && context.m > 3",
        'context.s like "a*" && context.s like "*b"',
        "context.l < context.m && !(context.m < context.l)",
        "context.b || false",
        "if context.b then context.l < 0 else context.l > 0",
        'principal in Role::"A" && !(principal in Role::"B")',
        "context has o",
    ],
)
def test_what_can_be_is_left_alone(condition: str) -> None:
    """Near misses."""
    assert reasons(f'permit (principal, action == Action::"r", resource) when {{ {condition} }};') == []


def test_the_place_is_the_last_of_the_conditions_that_clash() -> None:
    """Not the policy's beginning: whoever has the choice changes what came later."""
    bundle = bundle_of(
        'permit (principal, action == Action::"r", resource)\nwhen { context.l > 10 }\nwhen {\n  context.l < 5 };'
    )
    assert bundle is not None
    (finding,), _ = never_applies(list(claims(bundle).values()), bundle)
    assert (finding.line, finding.column, finding.code) == (5, 3, "never-applies")


@settings(max_examples=60)
@given(policy_texts(), st.lists(requests(), min_size=8, max_size=16))
def test_what_is_found_never_applies(policy: str, asked: list[tuple[EntityUid, Question]]) -> None:
    """Cedar finds no request, of those that are tried, to which it does."""
    bundle = bundle_of(policy)
    assume(bundle is not None)
    assert bundle is not None
    _, dead = never_applies(list(claims(bundle).values()), bundle)
    if dead:
        assert not any(applies(policy, asked))
