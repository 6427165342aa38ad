"""Literals: their worth, and which are the same."""

import pytest

from policies.lint.values import all_roles, compatible, entities, entity, literal, matches, number, plain, typed
from policies.model import EntityUid
from tests.builders.small_world import tree


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-(4) - 1", -5),
        ("9223372036854775807", 2**63 - 1),
        ("9223372036854775807 + 1", None),
        ("-(-9223372036854775808)", None),
        ("true", None),
        ("context.a + 1", None),
        ('"1"', None),
    ],
)
def test_numbers(expression: str, value: int | None) -> None:
    """Arithmetic on literals, as Cedar does it; what overflows has no value."""
    assert number(tree(expression)) == value


def test_true_is_not_one() -> None:
    """Nor is text a number."""
    assert typed(True) != typed(1)
    assert typed("1") != typed(1)
    assert typed(1) == typed(1)
    assert plain(tree("1 + 1")) == 2
    assert plain(tree('ip("1.1.1.1")')) is None


def test_entities() -> None:
    """Of a literal, or of a set of nothing else."""
    a, b = EntityUid("Role", "a"), EntityUid("Role", "b")
    assert entities(tree('Role::"a"')) == {a}
    assert entities(tree('[Role::"a", Role::"b"]')) == {a, b}
    assert entities(tree('[Role::"a", context.r]')) is None
    assert entities(tree("context.r")) is None
    assert entity("a") is None
    assert all_roles(frozenset({a, b}))
    assert not all_roles(frozenset({a, EntityUid("Team", "t")}))


@pytest.mark.parametrize(
    ("text", "pattern", "matched"),
    [
        ("abc", "a*", True),
        ("abc", "*c", True),
        ("abc", "a*b*c", True),
        ("abc", "*", True),
        ("", "*", True),
        ("", "", True),
        ("abc", "ab", False),
        ("abc", "b*", False),
        ("aab", "a*ab", True),
        ("a*c", "a\\*c", True),
        ("abc", "a\\*c", False),
        ("abcbc", "a*bc", True),
    ],
)
def test_patterns(text: str, pattern: str, matched: bool) -> None:
    """As Cedar matches them."""
    assert matches(text, tree(f'context.s like "{pattern}"')["like"]["pattern"]) is matched


def test_beginnings() -> None:
    """Two patterns that no text begins with."""
    one, other, third = (tree(f'context.s like "{it}"')["like"]["pattern"] for it in ("ab*", "a*c", "b*"))
    assert compatible(one, other)
    assert not compatible(one, third)


def test_literals() -> None:
    """Their value; nothing else has one."""
    assert literal({"Value": 5}) == 5
    assert literal({"Var": "context"}) is None
