"""Expressions as text: what is written parses to the same tree."""

import pytest
from hypothesis import given

from policies.expression import entity, quoted, shown, written
from policies.model import Json
from tests.builders.questions import real_bundle
from tests.builders.small_world import conditions, tree

HARD = [
    r'principal.a.b["x y"] has "q r" && principal has a.b.c',
    'decimal("1.0").lessThan(context.d) && ip("10.0.0.1").isLoopback()',
    'datetime("2024-01-01") < context.now.offset(duration("1h")) && context.now.toTime() < duration("3h")',
    '[1, "a", User::"q"].containsAny(context.z) && [].isEmpty() && context.s.containsAll([1])',
    'context.t.hasTag("a") && context.t.getTag("k") == 3',
    "!principal.y && -principal.z == -(3) && -5 < context.x && --context.c < 3",
    'principal is User in Role::"x" || principal is A::User',
    r'"a*b" like "a\*b*c" && context.w like "*"',
    "(if context.a then 1 else 2) == (1 + 2) * 3 - (4 - 5)",
    "if context.a || context.b then !(context.a && context.b) else false",
    "(context.a == 1) == (context.b == 2) && (context.a || context.b) && context.c",
    '{a: 1, "b c": [true]}.a == 1 && context.r == {}',
    r'User::"x\"y\n\\\u{1}é" in [User::"c"] && "\0\t" != "\'"',
    "context.a - (context.b - 1) * -1 > 0 && context.a >= 2",
    "!(-1) && -(!context.a) == -(-2) && !(!context.b)",
    'principal["if"] == 1 && context has "in" && {"then": 1}["then"] == 1',
]


@pytest.mark.parametrize("text", HARD)
def test_what_is_written_is_parsed_to_the_same(text: str) -> None:
    """Operators, precedence, escapes, functions, records."""
    assert tree(written(tree(text))) == tree(text)


@given(conditions())
def test_generated_conditions_survive(text: str) -> None:
    """However they are nested."""
    assert tree(written(tree(text))) == tree(text)


def test_every_shipped_condition_survives() -> None:
    """The policies of this repository."""
    for policy in real_bundle().policies.values():
        conditions_of = policy.tree["conditions"]
        assert isinstance(conditions_of, list)
        for condition in conditions_of:
            assert isinstance(condition, dict)
            assert tree(written(condition["body"])) == condition["body"]


def test_the_unknown_context_is_written_as_the_context() -> None:
    """With its attributes by name alone where the reader knows."""
    left: Json = {
        "<=": {"left": {".": {"left": {"unknown": [{"Value": "context"}]}, "attr": "n"}}, "right": {"Value": 1}}
    }
    assert written(left) == "context.n <= 1"
    assert written(left, bare_context=True) == "n <= 1"
    odd: Json = {".": {"left": {"Var": "context"}, "attr": "a b"}}
    assert written(odd, bare_context=True) == 'context["a b"]'


@pytest.mark.parametrize(
    "tree_",
    [None, 1, {}, {"a": 1, "b": 2}, {"Value": None}, {"Value": 1.5}, {"nonsense": {"left": 1}}, {"unknown": [1]}],
)
def test_what_is_no_expression_is_refused(tree_: Json) -> None:
    """Nothing is made up for it."""
    with pytest.raises(ValueError, match=r"not an expression|not a value|no such expression"):
        written(tree_)


def test_what_is_no_expression_can_be_shown() -> None:
    """As it is, for a message."""
    assert shown("odd") == '"odd"'
    assert shown({"Slot": "?principal"}) == '{"Slot": "?principal"}'
    assert shown({"Var": "context"}) == "context"


def test_a_pattern_that_is_none_is_refused() -> None:
    """As Cedar's JSON form would never have it."""
    with pytest.raises(ValueError, match="not a pattern of Cedar's"):
        written({"like": {"left": {"Value": "a"}, "pattern": [{"Other": 1}]}})


def test_names_are_quoted_as_cedar_has_it() -> None:
    """Backslashes, quotes and control characters."""
    assert quoted('a"\\\n') == r'"a\"\\\u{a}"'
    assert entity("User", "x") == 'User::"x"'
