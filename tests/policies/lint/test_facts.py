"""What is known, and what cannot be."""

from typing import Any

import pytest

from policies.expression import shown
from policies.lint.facts import Facts
from policies.model import EntityUid
from policies.schema import Schema
from tests.builders.conditions import SCHEMA
from tests.builders.small_world import tree

SCHEMA_READ = Schema(*SCHEMA)
ROLE_A, ROLE_B, ROLE_C = (EntityUid("Role", name) for name in "ABC")


def facts(*expressions: str, actions: str = "rwv", **more: Any) -> Facts:
    """Facts about a request for one of some actions, all of the expressions true."""
    found = Facts(SCHEMA_READ, [EntityUid("Action", name) for name in actions], **more)
    return found.extend((tree(expression), True) for expression in expressions)


def conflict(*expressions: str, **more: Any) -> list[str]:
    """What clashes."""
    return [shown(node) if truth else f"not {shown(node)}" for node, truth in facts(*expressions, **more).conflict]


def test_bounds_close_in() -> None:
    """The tightest count, whichever side the number stands on."""
    found = facts("context.l < 10", "3 <= context.l", "context.l < 8", "context.m == 4")
    assert (found.low["context.l"], found.high["context.l"]) == (3, 7)
    assert (found.low["context.m"], found.high["context.m"]) == (4, 4)
    assert found.conflict == ()


def test_the_first_conflict_stays() -> None:
    """And nothing is taken in after it."""
    found = facts("context.l < 1", "context.l > 1", "context.b", "!context.b")
    assert {shown(node) for node, _ in found.conflict} == {"context.l < 1", "context.l > 1"}


def test_a_copy_goes_its_own_way() -> None:
    """What is added to one is not known to the other."""
    found = facts("context.l < 1")
    twin = found.copy().add(tree("context.l > 1"))
    assert twin.conflict
    assert not found.conflict
    assert not found.copy().add(tree("context.b")).conflict


def test_types_and_actions_hang_together() -> None:
    """An action without that principal or resource is not the one."""
    assert conflict("resource is Pic", "principal is User") == []
    assert conflict("resource is Pic", "principal is Bot") == ["principal is Bot"]
    assert conflict("resource is Pic", 'action == Action::"r"') == ['action == Action::"r"']
    assert conflict("context has o", 'action == Action::"v"') == ['action == Action::"v"']
    assert conflict('principal == Bot::"x"', "principal is User") == ["principal is User"]
    assert conflict('action in Action::"everything"', "resource is Pic") == ["resource is Pic"]
    assert conflict('!(action in [Action::"r", Action::"w"])', "resource is Doc") == []


def test_roles_come_with_roles() -> None:
    """Whoever is in B is in A, where B includes A."""
    groups = {ROLE_B: frozenset({ROLE_A, ROLE_B})}
    both = ('principal in Role::"B"', '!(principal in Role::"A")')
    assert conflict(*both) == []
    assert conflict(*both, groups=groups) == list(both)


def test_roles_that_nobody_can_have() -> None:
    """A caller that can be in C at most is not in A or B; of other groups nothing is known."""
    wanted = 'principal in [Role::"A", Role::"B"]'
    assert conflict(wanted, memberships=[ROLE_C]) == [wanted]
    assert conflict(wanted, memberships=[ROLE_B, ROLE_C]) == []
    assert conflict('principal in User::"u"', memberships=[ROLE_C]) == []


@pytest.mark.parametrize(
    "expressions",
    [
        ('context.s like "a*"', '!(context.s like "a*")'),
        ('context.s == "ab"', 'context.s like "*c"'),
        ("context.l == 1", "context.l == true"),
        ("context.b == true", "context.b == false"),
        ("context.l < context.m", "context.l == context.m"),
        ("context.l == context.m", "context.m < context.l"),
        ("context.l == context.m", "context.m != context.l"),
        ("context.l < context.l", "true"),
        ("context.l >= 2 && context.l <= 2", "context.l != 2"),
        ("context.l != 2", "context.l >= 2 && context.l <= 2"),
        ('principal is User in Role::"A"', '!(principal is User in Role::"A")'),
        ('principal in Role::"A"', '!(principal in [Role::"A"])'),
    ],
)
def test_what_cannot_be(expressions: tuple[str, ...]) -> None:
    """In either order."""
    assert facts(*expressions).conflict
    assert facts(*reversed(expressions)).conflict


@pytest.mark.parametrize(
    "expressions",
    [
        ("context.l < context.m", "context.m < principal.n"),
        ('context.s like "a*"', 'context.s like "ab*"'),
        ('context.s == "b*"', 'context.s like "b\\*"'),
        ("!(context.l < context.m)", "!(context.m < context.l)"),
        ("context.l != 1", "context.l != 2"),
        ("context.l + 9223372036854775807 + 1 > 0", "context.l + 9223372036854775807 + 1 < 2"),
        ('!(principal in Role::"A")', 'principal in [Role::"A", Role::"B"]'),
        ("context.l * 2 == 4", "context.l == 3"),
    ],
)
def test_what_can_be_or_is_not_understood(expressions: tuple[str, ...]) -> None:
    """No conflict is claimed."""
    assert facts(*expressions).conflict == ()
    assert facts(*reversed(expressions)).conflict == ()


def test_what_hangs_together_is_told_apart_from_bounds() -> None:
    """For whoever looks for values (`policies.lint.failing`)."""
    assert list(facts("context.l < 3", "principal is User", "context has o").tangles()) == []
    assert "context.l" in list(facts("context.l < context.m").tangles())
    assert "context.l" in list(facts("context.l != 3").tangles())
    assert facts("principal.boss has n").says(tree("principal.boss has n"))
    assert not facts("!(principal.boss has n)").says(tree("principal.boss has n"))
