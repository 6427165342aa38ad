"""The matrix: what each cell says holds, and nobody crosses tenants who is not listed."""

from functools import cache

import pytest

from policies.bundle import Bundle
from policies.engine import Engine
from policies.errors import UnknownAction
from policies.load import build_bundle
from policies.model import Json
from roles.matrix import matrix
from roles.matrix_model import Matrix, May
from tests.builders.questions import make_principal, make_question, real_bundle, real_catalogue, real_engine
from tests.builders.small_world import CATALOGUE, SCHEMA


@cache
def whole() -> Matrix:
    """Of the shipped policies."""
    return matrix(real_engine(), real_catalogue())


def cells() -> dict[tuple[str, str, str], str]:
    """Action, type and role to what the cell says."""
    return {
        (row.action, kind, role): str(cell)
        for row in whole().rows
        for role, cell in zip(whole().roles, row.cells, strict=True)
        for kind in row.resource_types
    }


def test_every_role_and_every_action_has_a_cell() -> None:
    """For every type of resource."""
    wanted = {
        (action, kind, role)
        for action in real_bundle().actions
        for kind in real_bundle().resource_types(action)
        for role in real_catalogue().names
    }
    assert cells().keys() == wanted
    assert whole().asked > len(wanted)
    assert whole().policy_version == real_bundle().version


@pytest.mark.parametrize(
    ("action", "kind", "role", "said"),
    [
        ("order:create", "Order", "Cashier", "allow"),
        ("order:create", "Order", "Support", "deny"),
        ("order:discount", "Order", "Cashier", "if 0 <= percent <= 10"),
        ("order:discount", "Order", "Manager", "if 0 <= percent <= 50"),
        ("payment:refund", "Payment", "Admin", "if amount >= 1"),
        ("ops:status", "Gateway", "Auditor", "deny; in platform: allow"),
        ("ops:status", "Gateway", "SuperAdmin", "allow"),
        ("audit:read", "AuditLog", "Support", 'allow; of AuditLog::"-": deny'),
        ("audit:read", "AuditLog", "Auditor", 'allow; of AuditLog::"-": deny; of AuditLog::"-" in platform: allow'),
        ("product:browse", "Product", "Anonymous", "allow"),
        ("data:see_pii", "Stock", "Cashier", "allow"),
    ],
)
def test_cells_of_the_shipped_policies(action: str, kind: str, role: str, said: str) -> None:
    """Allow, deny, conditions, and what a policy singles out."""
    assert cells()[action, kind, role] == said


def test_cells_are_what_the_engine_decides() -> None:
    """Every unconditional cell, asked again with numbers from all sides."""
    for (action, kind, role), said in cells().items():
        plain = said.partition(";")[0]
        known = real_catalogue().get(role)
        assert known is not None
        tenant = "platform" if known.cross_tenant else "-" if known.anonymous else "acme"
        for number in (-1, 0, 7, 2**62):
            names = real_bundle().context_type(action).keys() - {"now", "cross_tenant"}
            context: dict[str, Json] = dict.fromkeys(names, number)
            of = "acme" if known.anonymous else tenant
            asked = make_question(make_principal([role], tenant), action, of=of, resource_type=kind, context=context)
            answer = real_engine().decide(asked).effect.value
            if plain in {"allow", "deny"}:
                assert answer == plain, (action, kind, role)
            else:
                (name,) = names
                assert (answer == "allow") is eval(plain.removeprefix("if "), {name: number})  # noqa: S307 - our words


def test_who_crosses_tenants() -> None:
    """The public catalogue's readers, and the platform's own role where the setting says so; nobody else."""
    found = {(each.role, each.tenant, each.action, str(each.outcome)) for each in whole().crossings}
    assert ("Anonymous", "-", "product:browse", "allow") in found
    assert {role for role, *_ in found} == {"Anonymous", "SuperAdmin"}
    platform = {(action, said) for role, _, action, said in found if role == "SuperAdmin"}
    assert {action for action, _ in platform} == set(real_bundle().actions)
    assert all(said.endswith("cross_tenant") for _, said in platform)


def small(policies: str) -> Bundle:
    """Some policies of the small world."""
    return build_bundle([("p.cedar", policies)], SCHEMA)


def said(policies: str, **only: tuple[str, ...]) -> Matrix:
    """Their matrix."""
    return matrix(Engine(small(policies)), CATALOGUE, **only)


OWN = "when { principal.tenant == resource.tenant }"
PERMIT = f'@id("p") @reason("r") permit (principal in Role::"A", action, resource) {OWN};'


def test_a_hole_in_the_wall_is_listed() -> None:
    """For any tenant's people, into one tenant, or to one thing."""
    any_ = '@id("h") @reason("r") permit (principal in Role::"B", action, resource) when { context.flag };'
    (crossing,) = said(PERMIT + any_).crossings
    assert (crossing.role, crossing.tenant, crossing.where, str(crossing.outcome)) == ("B", "", "", "if flag")
    into = '@id("h") @reason("r") permit (principal in Role::"B", action, resource) when { resource.tenant == "open" };'
    found = {(each.role, each.tenant, each.where, str(each.outcome)) for each in said(PERMIT + into).crossings}
    assert found == {("B", "", "into open", "allow")}
    one = '@id("h") @reason("r") permit (principal in Role::"B", action, resource == Doc::"d");'
    found = {(each.role, each.tenant, each.where, str(each.outcome)) for each in said(PERMIT + one).crossings}
    assert found == {("B", "", 'of Doc::"d"', "allow")}
    shut = one.replace("permit", "forbid").replace('"h"', '"s"').replace(' in Role::"B"', "")
    found = {(each.role, each.tenant, each.where, str(each.outcome)) for each in said(any_ + shut).crossings}
    assert found == {("B", "", "", "if flag"), ("B", "", 'of Doc::"d"', "deny")}


def test_a_tenant_that_happens_to_be_named_is_not_taken_for_any() -> None:
    """The names that stand for any tenant are none that a policy has."""
    text = (
        '@id("p") @reason("r") permit (principal in Role::"A", action, resource) when { principal.tenant == "acme" };'
    )
    row = said(text).rows[0]
    assert str(row.cells[1]) == "deny; in acme: allow"


def test_policies_that_the_matrix_cannot_show_are_named() -> None:
    """Those about a single user, or a part of a tenant's name."""
    user = '@id("u") @reason("r") permit (principal == User::"i/t/s", action, resource);'
    sub = '@id("s") @reason("r") permit (principal, action, resource) when { principal.sub == "s" };'
    like = '@id("l") @reason("r") permit (principal, action, resource) when { principal.tenant like "eu-*" };'
    assert said(PERMIT + user + sub + like).unshown == ("p.l", "p.s", "p.u")
    assert whole().unshown == ()


def test_only_some_roles_and_actions() -> None:
    """In the catalogue's order, whatever is asked."""
    found = matrix(real_engine(), real_catalogue(), roles=("Admin", "Cashier"), actions=("order:read", "order:create"))
    assert found.roles == ("Cashier", "Admin")
    assert [row.action for row in found.rows] == ["order:create", "order:read"]
    with pytest.raises(UnknownAction):
        matrix(real_engine(), real_catalogue(), actions=("order:fly",))


def test_strict_engines_have_their_own_matrix() -> None:
    """A permit that fails denies there."""
    text = f'{PERMIT} @id("f") @reason("r") permit (principal, action, resource) when {{ {2**63 - 1} + 1 > 0 }};'
    plain, strict = (matrix(Engine(small(text), strict=strict), CATALOGUE).rows[0].cells[1] for strict in (False, True))
    assert (plain.outcome.may, strict.outcome.may) == (May.ALLOW, May.DENY)
