"""An expression's text says the expression."""

import json
from typing import Any

import cedarpy
import pytest
from hypothesis import given

from policies.lint.wording import entity_text, literal, wording
from tests.builders.conditions import CONDITIONS
from tests.builders.questions import real_bundle


def policy_tree(text: str) -> Any:
    """Cedar's form of a policy."""
    (policy,) = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    return policy


def tree(expression: str) -> Any:
    """Cedar's form of an expression."""
    return policy_tree(f"permit (principal, action, resource) when {{ {expression} }};")["conditions"][0]["body"]


@pytest.mark.parametrize(
    "expression",
    [
        "context.a < -5",
        "-context.a > 3",
        '!context["a b"]',
        "context has a",
        'context has "a b"',
        "(context.a + 1) * 2 - 3 == 4",
        "principal is User",
        'principal is User in Role::"x"',
        'resource in [Doc::"a", Doc::"b"]',
        'context.s like "a*\\*b"',
        'context.s == "quote \\" and \\\\ and \\n"',
        "[1, 2].contains(context.a)",
        "[1].containsAll([2]) || [1].containsAny([2]) && [1].isEmpty()",
        'principal.hasTag("x") && principal.getTag("x") == 1',
        "if context.b then 1 else 2 == 3",
        '{"a": 1, "b c": [2]}.a == 1',
        'ip("10.0.0.1").isInRange(ip("10.0.0.0/8"))',
        'context.d.offset(duration("1d")) > datetime("2026-01-01")',
        'decimal("1.5").lessThan(decimal("2.0"))',
        'User::"\\u{3bb}x".n == 1',
        "true != false",
    ],
)
def test_every_form_is_worded(expression: str) -> None:
    """Read again, the text is the same expression."""
    assert tree(wording(tree(expression))) == tree(expression)


@given(CONDITIONS)
def test_the_text_is_unambiguous(expression: str) -> None:
    """However deep: what is read again is what was meant."""
    once = tree(expression)
    assert tree(wording(once)) == once


def test_the_policies_of_the_repository_are_worded() -> None:
    """Every condition of them."""
    for policy in real_bundle().policies.values():
        conditions: Any = policy.tree["conditions"]
        for clause in conditions:
            assert tree(wording(clause["body"])) == clause["body"]


def test_literals() -> None:
    """Their value; nothing else has one."""
    assert literal({"Value": 5}) == 5
    assert literal({"Var": "context"}) is None
    assert entity_text({"type": "Role", "id": 'a"b'}) == 'Role::"a\\"b"'
    assert wording("odd") == '"odd"'
    assert wording({"Slot": "?principal"}) == '{"Slot": "?principal"}'
