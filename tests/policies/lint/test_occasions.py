"""What is asked, held against what the policies say."""

from typing import Any

import pytest

from policies.lint.claim import claims_of
from policies.lint.occasions import Occasion, unallowed, unreached
from tests.builders.conditions import bundle_of

READ = 'action == Action::"r"'


def asked(**more: Any) -> Occasion:
    """A route that reads a document."""
    given: dict[str, Any] = {
        "name": "doc.read", "action": "r", "resource_type": "Doc", "route": True, "file": "routes.toml", "line": 7,
    }  # fmt: skip
    return Occasion(**{**given, **more})


def unreached_by(occasion: Occasion, *policies: str) -> list[str]:
    """Policies nothing reaches."""
    bundle = bundle_of(*policies)
    assert bundle is not None
    return [it.reason for it in unreached(claims_of(bundle, {}), [occasion], bundle)]


def unallowed_by(occasion: Occasion, *policies: str) -> list[tuple[str, str]]:
    """Code and reason of what is found about the occasion."""
    bundle = bundle_of(*policies)
    assert bundle is not None
    found = list(unallowed(claims_of(bundle, {}), [occasion], bundle))
    assert all((it.file, it.line) == ("routes.toml", 7) for it in found)
    return [(it.code, it.reason) for it in found]


@pytest.mark.parametrize(
    ("policy", "more"),
    [
        ('permit (principal, action == Action::"w", resource);', {}),
        ('permit (principal, action in [Action::"r", Action::"v"], resource is Pic);', {}),
        (f'permit (principal, {READ}, resource == Doc::"d");', {"resource_id": "*"}),
        (f"permit (principal, {READ}, resource) when {{ context has o && context.o > 1 }};", {"context": frozenset()}),
        (f'permit (principal in Role::"A", {READ}, resource);', {"roles": frozenset({"B", "C"})}),
        (f"permit (principal, {READ}, resource) when {{ principal.n == 1 }};", {"attributes": {"n": 2}}),
    ],
)
def test_a_policy_that_the_occasion_does_not_reach(policy: str, more: dict[str, Any]) -> None:
    """By action, type, id, context, role or attribute: neither reached, nor does it allow."""
    occasion = asked(**more)
    assert unreached_by(occasion, policy) == ["nothing that is asked can make `p.p0` apply"]
    code, reason = "route-without-permit", "no permit can ever allow `doc.read` (`r`), whichever roles the caller has"
    assert unallowed_by(occasion, policy) == [(code, reason)]


@pytest.mark.parametrize(
    ("policy", "more"),
    [
        ("permit (principal, action, resource);", {}),
        (f'permit (principal, {READ}, resource == Doc::"d");', {}),
        (
            f"permit (principal, {READ}, resource) when {{ context has o && context.o > 1 }};",
            {"context": frozenset("o")},
        ),
        (f"permit (principal, {READ}, resource) when {{ context has o && context.o > 1 }};", {}),
        (f'permit (principal in Role::"A", {READ}, resource);', {"roles": frozenset("A")}),
        (f"permit (principal, {READ}, resource) when {{ principal.n == 2 }};", {"attributes": {"n": 2}}),
    ],
)
def test_a_policy_that_it_reaches(policy: str, more: dict[str, Any]) -> None:
    """Or may, for all that is known."""
    assert unreached_by(asked(**more), policy) == []
    assert unallowed_by(asked(**more), policy) == []


def test_what_a_forbid_always_takes_is_not_allowed() -> None:
    """Whether it applies or fails; one that applies now and then takes nothing for certain."""
    permit = "permit (principal, action, resource) when { context.l > 5 };"
    for taken, condition in ((1, "context.l > 3"), (0, "context.l > 6"), (1, "true"), (0, "context.b")):
        forbid = f"forbid (principal, {READ}, resource) when {{ {condition} }};"
        assert len(unallowed_by(asked(), permit, forbid)) == taken


def test_those_without_a_credential_are_told_apart() -> None:
    """The route may be good for others."""
    occasion = asked(anonymous=True, roles=frozenset({"C"}))
    reason = "`doc.read` is open to callers without a credential, and no permit can allow them"
    assert unallowed_by(occasion, f'permit (principal in Role::"A", {READ}, resource);') == [
        ("anonymous-never-passes", reason)
    ]


def test_an_action_that_is_not_declared_is_others_business() -> None:
    """The routes' own check names it; and what is not a route is not said to be one without a permit."""
    policy = "permit (principal, action, resource);"
    assert unallowed_by(asked(action="nope"), policy) == []
    nothing = 'permit (principal, action == Action::"w", resource);'
    assert unallowed_by(asked(route=False), nothing) == []
