"""A policy's text cut into what must all hold, each part with its place."""

import pytest

from policies.load import build_bundle
from policies.parts import Kind, parts
from tests.builders.questions import ROOT, real_bundle
from tests.builders.small_world import SCHEMA

CUT = [
    ("when { context.x > 1 }", [("when", 0, "context.x > 1")]),
    ("when { context.flag && context.x > 1 && context.y > 2 }", ["context.flag", "context.x > 1", "context.y > 2"]),
    ("when { (context.flag && (context.x > 1)) && context.y > 2 }", ["context.flag", "context.x > 1", "context.y > 2"]),
    ("when { context.flag || context.x > 1 && context.y > 2 }", ["context.flag || context.x > 1 && context.y > 2"]),
    ("when { (context.flag || context.x > 1) && context.y > 2 }", ["context.flag || context.x > 1", "context.y > 2"]),
    (
        "when { if context.flag then true else context.flag && true }",
        ["if context.flag then true else context.flag && true"],
    ),
    ("when { !(context.flag && context.x > 1) }", ["!(context.flag && context.x > 1)"]),
    ('when { context.word == "a && (b" && context.flag }', ['context.word == "a && (b"', "context.flag"]),
    ("when { [1, 2].contains(context.x) && {a: true}.a }", ["[1, 2].contains(context.x)", "{a: true}.a"]),
    (
        "when { context.flag } unless { context.x > 1 && context.y > 1 } when { true }",
        [
            ("when", 0, "context.flag"),
            ("unless", 1, "context.x > 1"),
            ("unless", 1, "context.y > 1"),
            ("when", 2, "true"),
        ],
    ),
    ("when { context.flag // && not this\n && context.x > 1 // } nor this\n }", ["context.flag", "context.x > 1"]),
    ("", []),
]


@pytest.mark.parametrize(("clauses", "expected"), CUT)
def test_conditions_are_cut_at_their_conjunctions(clauses: str, expected: list[str | tuple[str, int, str]]) -> None:
    """Only at those that stand outside everything else."""
    text = f'@id("p") @reason("(") permit (principal, action, resource) {clauses};'
    (policy,) = build_bundle([("p.cedar", text)], SCHEMA).policies.values()
    found = [part for part in parts(policy) if part.clause >= 0]
    wanted = [each if isinstance(each, tuple) else ("when", 0, each) for each in expected]
    assert [(part.kind.value, part.clause, part.text) for part in found] == wanted


def test_the_scope_is_three_parts() -> None:
    """Commas inside a list of actions do not count."""
    policy = real_bundle().policies["order.sell"]
    assert [(part.kind, " ".join(part.text.split())) for part in parts(policy)] == [
        (Kind.PRINCIPAL, 'principal in Role::"Cashier"'),
        (Kind.ACTION, 'action in [Action::"order:create", Action::"order:update"]'),
        (Kind.RESOURCE, "resource"),
    ]


def test_every_part_stands_where_it_says() -> None:
    """The file's text at line and column is the part, for all shipped policies."""
    for policy in real_bundle().policies.values():
        lines = (ROOT / "policies" / policy.file).read_text().splitlines()
        for part in parts(policy):
            rest = "\n".join([lines[part.line - 1][part.column - 1 :], *lines[part.line :]])
            assert rest.startswith(part.text)


def test_two_policies_on_one_line_have_their_own_columns() -> None:
    """A column is counted in the file, not in the policy."""
    one = '@id("a") @reason("r") permit (principal, action, resource) when { context.flag };'
    two = one.replace('"a"', '"b"')
    _, second = build_bundle([("p.cedar", f"{one}  {two}")], SCHEMA).policies.values()
    assert [part.column for part in parts(second)][-1] == len(one) + 2 + two.index("context.flag") + 1
