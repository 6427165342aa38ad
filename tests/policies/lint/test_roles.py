"""Roles that policies name, and roles nobody names."""

from policies.lint.roles import groups, idle_roles, unknown_roles
from policies.model import EntityUid
from tests.builders.conditions import bundle_of, claims

POLICIES = (
    'permit (principal in Role::"A", action, resource);',
    'permit (principal, action, resource)\nwhen { principal in [Role::"B",\n  Role::"Typo"] };',
)


def test_an_unknown_role_is_found_where_it_stands() -> None:
    """At its own name."""
    bundle = bundle_of(*POLICIES)
    assert bundle is not None
    (found,) = unknown_roles(claims(bundle).values(), ["A", "B"])
    assert (found.line, found.column, found.code) == (6, 3, "unknown-role")
    assert found.reason == "`Typo` is not a role of the catalogue"


def test_a_role_is_idle_that_brings_nothing() -> None:
    """Neither it nor what comes with it is named."""
    bundle = bundle_of(*POLICIES)
    assert bundle is not None
    held = {"A": frozenset("A"), "C": frozenset("C"), "D": frozenset("DA"), "E": frozenset("EC")}
    assert list(idle_roles(bundle, held)) == ["C", "E"]


def test_roles_as_cedar_knows_them() -> None:
    """With all that come with them."""
    a, b = EntityUid("Role", "A"), EntityUid("Role", "B")
    assert groups({"A": frozenset("A"), "B": frozenset("AB")}) == {a: {a}, b: {a, b}}
