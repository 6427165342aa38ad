"""The ways in which conditions can hold."""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policies.expression import shown
from policies.lint.branches import conditions_of, conjuncts, ways
from policies.model import EntityUid, Json, Question
from tests.builders.conditions import CONDITIONS, applies, bundle_of, claims, requests
from tests.builders.small_world import tree


def worded(expression: str, truth: bool = True) -> list[list[tuple[str, bool]]]:
    """The ways of one expression, as text."""
    return [[(shown(node), value) for node, value in way] for way in ways([(tree(expression), truth)])]


def test_an_and_is_one_way_an_or_two() -> None:
    """And a negation turns one into the other."""
    assert worded("context.a && !context.b") == [[("context.a", True), ("context.b", False)]]
    assert worded("context.a || context.b") == [[("context.a", True)], [("context.b", True)]]
    assert worded("context.a && context.b", False) == [[("context.a", False)], [("context.b", False)]]
    assert worded("context.a || context.b", False) == [[("context.a", False), ("context.b", False)]]


def test_an_if_goes_either_way() -> None:
    """With its condition, or without."""
    expected = [[("context.a", True), ("context.b", True)], [("context.a", False), ("context.c", True)]]
    assert worded("if context.a then context.b else context.c") == expected


def test_a_type_with_a_group_is_two_conditions() -> None:
    """Both must hold, or one must fail."""
    expected = [("principal is User", True), ('principal in Role::"x"', True)]
    assert worded('principal is User in Role::"x"') == [expected]
    assert len(worded('principal is User in Role::"x"', False)) == 2


def test_too_many_ways_are_none_in_particular() -> None:
    """Two to the tenth: nothing is said, instead of the wrong thing."""
    many = " && ".join(f"(context.a{n} || context.b{n})" for n in range(10))
    found = ways([(tree(many), True)])
    assert len(found) <= 64
    assert () in ways([(tree(f"({' || '.join(f'context.a{n}' for n in range(70))})"), True)])


def test_what_is_certain() -> None:
    """Scope and clauses in their order; what an `||` says is one condition."""
    bundle = bundle_of(
        'permit (principal is User in Role::"A", action in [Action::"r"], resource == Doc::"d")'
        " when { context.b && context.l < 3 } unless { context.m > 3 || context.m < 1 };"
    )
    assert bundle is not None
    conditions = conditions_of(bundle.policies["p.p0"])
    assert [(shown(node), truth) for node, truth in conjuncts(conditions)] == [
        ('principal is User in Role::"A"', True),
        ('action in Action::"r"', True),
        ('resource == Doc::"d"', True),
        ("context.b", True),
        ("context.l < 3", True),
        ("context.m > 3", False),
        ("context.m < 1", False),
    ]


@settings(max_examples=40)
@given(CONDITIONS, st.lists(requests(("r",)), min_size=5, max_size=10))
def test_one_of_the_ways_holds_wherever_the_policy_applies(
    condition: str, asked: list[tuple[EntityUid, Question]]
) -> None:
    """Every expression of at least one way has, by Cedar's word, the value the way says."""
    scope = 'principal, action == Action::"r", resource'
    policy = f"permit ({scope}) when {{ {condition} }};"
    bundle = bundle_of(policy)
    assume(bundle is not None)
    assert bundle is not None
    found = claims(bundle)["p.p0"].ways
    for one in asked:
        if not applies(policy, [one])[0]:
            continue
        clauses = [
            [
                f"{'when' if truth else 'unless'} {{ {shown(node)} }}"
                for node, truth in way
                if "action" not in shown(node)
            ]
            for way in found
        ]
        texts = [f"permit ({scope}) {' '.join(clause)};" for clause in clauses]
        assert any(bundle_of(text) is None or applies(text, [one])[0] for text in texts)


def clause(node: Json, truth: bool) -> str:
    """A condition as a clause."""
    return f"{'when' if truth else 'unless'} {{ {shown(node)} }}"
