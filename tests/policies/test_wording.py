"""Words for parsed policies: what is written means the same, and stands where it is said to stand."""

import json
from typing import Any

import cedarpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.expression import shown
from policies.wording import condition, condition_lines, line_of, scope, uid
from tests.builders.questions import real_bundle

EXPRESSIONS = [
    "context.a <= 5 && -5000 <= context.b",
    "!(a is Gateway)".replace("a ", "resource "),
    "(context.a || context.b) && context.c",
    "context.a || context.b && context.c",
    "context.a - (context.b - 1) == 3",
    "context.a - context.b - 1 == 3",
    "(context.a + 1) * 2 > 4",
    "(context.a == 1) == (context.b == 2)",
    "-context.a < 3",
    "!(context.a && true)",
    'principal in [Role::"A", Role::"B"]',
    'principal is User in Group::"x"',
    'principal has tenant && principal.tenant like "a*\\*b"',
    'principal has "odd name" && principal["odd name"] == "\\"quoted\\""',
    'principal["if"] == 1',
    "principal has a.b.c",
    "[1, 2].contains(context.a) && context.s.containsAll([3]) && context.s.containsAny([4]) && context.s.isEmpty()",
    'if context.a then {"x": 1, "y": [true]} == {"x": 2} else false',
    "(if context.a then 1 else 2) == 1",
    'ip("10.0.0.1").isInRange(ip("10.0.0.0/8"))',
    'decimal("1.5").lessThan(context.d)',
    'context.now.offset(duration("1h")) < datetime("2026-01-01")',
    'principal.hasTag("x") && principal.getTag("x") == 1',
    'context["a b"].c == action',
]


def tree(text: str) -> dict[str, Any]:
    """A policy in Cedar's JSON form."""
    (found,) = json.loads(cedarpy.policies_to_json_str(text))["staticPolicies"].values()
    return dict(found)


def body(text: str) -> Any:
    """An expression in that form."""
    return tree(f"permit (principal, action, resource) when {{ {text} }};")["conditions"][0]["body"]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_words_mean_what_was_parsed(text: str) -> None:
    """Read again, they are the same expression; written again, the same words."""
    first = body(text)
    assert body(shown(first)) == first
    assert shown(body(shown(first))) == shown(first)


@pytest.mark.parametrize("text", ["context.a <= 5 && -5000 <= context.b", 'principal in [Role::"A", Role::"B"]'])
def test_words_are_those_people_write(text: str) -> None:
    """No bracket that is not needed."""
    assert shown(body(text)) == text


_LEAVES = st.sampled_from(["context.a", "context.b", "true", "1", "-1", '"x"', "principal", 'Role::"A"', "[1]"])
_OPERATORS = st.sampled_from(["&&", "||", "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.builds(lambda left, operator, right: f"(({left}) {operator} ({right}))", inner, _OPERATORS, inner)
    return binary | inner.map(lambda each: f"(!({each}))") | inner.map(lambda each: f"(if {each} then {each} else 1)")


@given(st.recursive(_LEAVES, _grown, max_leaves=12))
def test_brackets_stand_where_they_are_needed(text: str) -> None:
    """Whatever the nesting, the words read again are the same expression."""
    first = body(text)
    assert body(shown(first)) == first


@pytest.mark.parametrize(
    "head",
    [
        'principal in Role::"Cashier"',
        'principal == User::"u"',
        "principal is User",
        'principal is User in Role::"A"',
        "principal",
    ],
)
def test_scopes_are_worded_as_written(head: str) -> None:
    """The head of a policy."""
    assert scope("principal", tree(f"permit ({head}, action, resource);")["principal"]) == head


def test_a_list_of_actions_is_worded_as_written() -> None:
    """So is one."""
    many = 'action in [Action::"a:b", Action::"c:d"]'
    assert scope("action", tree(f"permit (principal, {many}, resource);")["action"]) == many


def test_what_is_no_expression_is_shown_as_it_is() -> None:
    """A form of a later Cedar is not an error here: these are words for people."""
    assert shown({"later": {"new": 1}}) == '{"later": {"new": 1}}'
    assert shown(None) == "null"
    assert condition("x") == '"x"'
    assert uid({"type": "Role", "id": 'a"b'}) == 'Role::"a\\"b"'


def test_a_piece_is_found_where_it_stands() -> None:
    """On its own line of the file, however it is broken; else at the policy's start."""
    wall = real_bundle().policies["tenancy.wall"]
    assert line_of(wall, 'principal.tenant == "platform" && context.cross_tenant') == wall.line + 6
    assert line_of(wall, "context.nothing") == wall.line
    refund = real_bundle().policies["payment.request-refund"]
    assert line_of(refund, 'Action::"payment:read_refund"') == refund.line + 7


def test_conditions_are_found_where_they_stand() -> None:
    """Each of them, in order."""
    wall = real_bundle().policies["tenancy.wall"]
    assert [number - wall.line for number in condition_lines(wall)] == [3, 4, 8]
