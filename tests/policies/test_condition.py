"""Conditions said shortly: the same condition, in fewer words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.condition import ALWAYS, NEVER, Alternatives, TooManyAlternatives, alternatives, both, either, said
from policies.model import Json
from tests.builders.small_world import conditions, tree

SAID = [
    ("0 <= context.p && context.p <= 10 && !(context.p < 0 || context.p > 100)", "0 <= p <= 10"),
    ("context.p <= 10 || 5 <= context.p && context.p <= 50", "p <= 50"),
    ("context.p < 3 || context.p == 3 || context.p == 4", "p <= 4"),
    ("context.p == 7", "p == 7"),
    ("context.p != 7", "p <= 6 || p >= 8"),
    ("!(context.p >= 7)", "p <= 6"),
    ("context.x <= 10 || context.x > 10", "true"),
    ("context.x < 3 && context.x > 5", "false"),
    ("context.a || !context.a", "true"),
    ("context.a && !context.a", "false"),
    ("context.a || (context.b && context.a)", "a"),
    ('!context.a && !(context.s == "x")', '!a && !(s == "x")'),
    ("if context.a then context.b else context.p > 3", "(a && b) || (p >= 4 && !a)"),
    ("true && context.a || false", "a"),
    ("context.r.n > 2", "r.n >= 3"),
    ("context.p > 9223372036854775807", "false"),
    ("context.p <= context.q", "p <= q"),
]


@pytest.mark.parametrize(("text", "short"), SAID)
def test_said_shortly(text: str, short: str) -> None:
    """Bounds are put together, what is said twice is said once."""
    assert said(alternatives(tree(text))) == short


def evaluated(node: Json, context: dict[str, int | bool]) -> int | bool:
    """An expression over numbers and flags, worked out here."""
    assert isinstance(node, dict)
    ((operator, of),) = node.items()
    if operator == "Value":
        assert isinstance(of, int)
        return of
    assert isinstance(of, dict)
    if operator == ".":
        return context[str(of["attr"])]
    if operator == "!":
        return not evaluated(of["arg"], context)
    if operator == "if-then-else":
        return evaluated(of["then"] if evaluated(of["if"], context) else of["else"], context)
    left, right = evaluated(of["left"], context), evaluated(of["right"], context)
    return {
        "&&": left and right,
        "||": left or right,
        "==": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]


def meant(condition: Alternatives, context: dict[str, int | bool]) -> bool:
    """Whether one of the alternatives holds."""
    return any(
        all(low <= context[name] <= high for name, (low, high) in way.ranges.items())
        and all(context[name] is holds for name, holds in way.others.items())
        for way in condition
    )


ATOMS = (
    "context.x <= 3",
    "context.x > 7",
    "4 == context.x",
    "context.y != 4",
    "5 < context.y",
    "context.f",
    "context.g",
)


@given(conditions(ATOMS), st.integers(2, 9), st.integers(3, 7), st.booleans(), st.booleans(), st.booleans())
def test_the_short_form_means_the_same(text: str, x: int, y: int, f: bool, g: bool, holds: bool) -> None:
    """And so does that of the opposite."""
    context: dict[str, int | bool] = {"x": x, "y": y, "f": f, "g": g}
    assert meant(alternatives(tree(text), holds), context) is (evaluated(tree(text), context) is holds)


def test_two_conditions_together() -> None:
    """Both at once, and one of them."""
    small, large = alternatives(tree("context.p < 5")), alternatives(tree("context.p > 3"))
    assert said(both(small, large)) == "p == 4"
    assert either((*small, *large)) == ALWAYS
    assert both(small, NEVER) == NEVER


def test_what_cannot_be_said_shortly_says_so() -> None:
    """Seven pairs of choices are more than 64 alternatives."""
    text = " && ".join(f"(context.a{n} || context.b{n})" for n in range(7))
    with pytest.raises(TooManyAlternatives):
        alternatives(tree(text))
