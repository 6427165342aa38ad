"""What in a policy can fail, and that it does for the values named."""

import re

import msgspec
import pytest
from hypothesis import assume, given, settings

from policies.expression import shown
from policies.lint.failing import failing, failures
from policies.model import EntityUid, Json, Question
from tests.builders.conditions import CONDITIONS, EXTREME, bundle_of, claims, only, requests

_NAMED = re.compile(r"`(context|principal|resource)\.(\w+)` = (-?\d+)")
READ = 'action == Action::"r"'


def found(policy: str) -> list[tuple[str, str]]:
    """Code and reason of each finding."""
    bundle = bundle_of(policy)
    assert bundle is not None
    return [(it.code, it.reason) for it in failures(claims(bundle)["p.p0"], bundle)]


def of_forbid(condition: str, scope: str = f"principal is User, {READ}, resource") -> list[tuple[str, str]]:
    """What is found in a forbid with a condition."""
    return found(f"forbid ({scope}) when {{ {condition} }};")


@pytest.mark.parametrize(
    ("condition", "expression", "values"),
    [
        ("context.l + 1 > 0", "context.l + 1", f"`context.l` = {EXTREME[1]}"),
        ("context.l - 1 > 0", "context.l - 1", f"`context.l` = {EXTREME[0]}"),
        ("-context.l > 0", "-context.l", f"`context.l` = {EXTREME[0]}"),
        ("context.l * context.l > 1", "context.l * context.l", f"`context.l` = {EXTREME[0]}"),
        ("resource.n * context.m > 1", "resource.n * context.m",
         f"`resource.n` = {EXTREME[0]}, `context.m` = {EXTREME[0]}"),
        ("context.l > 5 || context.l < 3 && context.l - 1 > 0", "context.l - 1", f"`context.l` = {EXTREME[0]}"),
        ("if context.l > 3 then context.l * 2 > 3 else false", "context.l * 2", f"`context.l` = {EXTREME[1]}"),
    ],
)  # fmt: skip
def test_arithmetic_that_overflows(condition: str, expression: str, values: str) -> None:
    """With the values for which it does."""
    reason = f"`{expression}` overflows for {values}, and a forbid that fails denies"
    assert of_forbid(condition) == [("forbid-can-fail", reason)]


def test_a_date_that_leaves_its_range() -> None:
    """By a duration nobody has bounded."""
    reason = "`context.d.offset(context.long)` fails where `context.long` is long, and a forbid that fails denies"
    assert of_forbid("context.d.offset(context.long) > context.d") == [("forbid-can-fail", reason)]


@pytest.mark.parametrize(
    "condition",
    [
        "context.l < 100 && context.l > -100 && context.l * 2 > 3",
        "context.l < 100 && context.l + 1 > 3",
        "context.l - context.l == 0",
        "1 + 1 == 2 && context.b",
        "context.l != 3 && context.l * 2 > 3",
        "context.l < context.m && context.l * 2 > 3",
        "context.l > 5 && context.b || context.l - 1 > 0",
        'context.d.offset(duration("1d")) > context.d',
        "resource.owner has n && resource.owner.n == 1",
        "false && context.l * 2 > 3",
        "context.d.durationSince(context.d) == context.long",
    ],
)
def test_what_cannot_fail_or_is_not_known_to(condition: str) -> None:
    """Bounded, guarded, never reached; or hanging together with something else, of which nothing is said."""
    assert of_forbid(condition) == []


@pytest.mark.parametrize(
    ("condition", "read", "of"),
    [
        ("resource.owner.n == 1", "resource.owner.n", "resource.owner"),
        ("resource.owner.boss.boss.n == 1", "resource.owner.boss", "resource.owner"),
        ('User::"u".n == 1', 'User::"u".n', 'User::"u"'),
    ],
)
def test_an_entity_nobody_gives(condition: str, read: str, of: str) -> None:
    """Named in permits as well: such a permit never does anything."""
    fails = f"`{read}` fails where `{of}` is not among the entities Cedar is given; the policy then "
    assert of_forbid(condition) == [("entity-not-given", fails + "denies")]
    permit = found(f"permit (principal, {READ}, resource) when {{ {condition} }};")
    assert permit == [("entity-not-given", fails + "is ignored")]


def test_a_permit_may_fail() -> None:
    """It is ignored then, which is what its author would want."""
    assert found(f"permit (principal, {READ}, resource) when {{ context.l * 2 > 3 }};") == []


@settings(max_examples=60)
@given(CONDITIONS, requests(("r",), ("User",)))
def test_what_is_found_does_fail(condition: str, asked: tuple[EntityUid, Question]) -> None:
    """With the values named, Cedar cannot evaluate the expression."""
    policy = f"forbid (principal is User, {READ}, resource is Doc) when {{ {condition} }};"
    bundle = bundle_of(policy)
    assume(bundle is not None)
    assert bundle is not None
    action, question = asked
    for _, node, how in failing(claims(bundle)["p.p0"], bundle):
        alone = f"forbid (principal is User, {READ}, resource is Doc) when {{ ({shown(node)}) == 0 }};"
        answer = only(alone).decide_action(action, with_values(question, how))
        assert answer.errors, (shown(node), how)


def with_values(question: Question, how: str) -> Question:
    """A question with the values that a finding names."""
    for variable, name, value in _NAMED.findall(how):
        number: Json = int(value)
        if variable == "context":
            question = msgspec.structs.replace(question, context={**question.context, name: number})
            continue
        uid = question.principal if variable == "principal" else question.resource
        entities = tuple(
            msgspec.structs.replace(it, attrs={**it.attrs, name: number}) if it.uid == uid else it
            for it in question.entities
        )
        question = msgspec.structs.replace(question, entities=entities)
    return question
