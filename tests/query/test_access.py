"""Who sees how much: the real policies, asked the way the query API asks them."""

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from policies.engine import Engine
from policies.load import load_bundle
from query.access import Access, Granted, Own, Scope, View
from query.errors import Refused
from roles.load import load_catalogue
from roles.model import Principal

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)

ADA = Own("lychgate", "ada")


@cache
def access(*, cross_tenant: bool = False) -> Access:
    """The access decider on the policies and roles that ship."""
    catalogue = load_catalogue((ROOT / "roles/roles.toml").read_text(), "roles.toml")
    engine = Engine(load_bundle(ROOT / "policies"))
    return Access(engine, catalogue, platform_tenant="platform", cross_tenant=cross_tenant)


def ask(
    roles: str,
    tenant: str | None = None,
    *,
    include_redacted: bool | None = None,
    home: str = "acme",
    cross_tenant: bool = False,
) -> Granted:
    """What a reader with these roles gets."""
    reader = Principal("lychgate", home, "ada", tuple(roles.split()))
    return access(cross_tenant=cross_tenant).grant(reader, tenant, include_redacted, NOW)


@pytest.mark.parametrize(
    ("roles", "default", "full", "masked"),
    [
        ("Admin", View.FULL, View.FULL, View.MASKED),
        ("Auditor", View.MASKED, None, View.MASKED),
        ("Support", View.MASKED, None, View.MASKED),
        ("Cashier", View.OWN, None, View.OWN),
        ("InventoryClerk", View.OWN, None, View.OWN),
        ("Manager", View.OWN, None, View.OWN),
        ("Service", View.OWN, None, View.OWN),
        ("Cashier Support", View.MASKED, None, View.MASKED),
        ("Auditor Admin", View.FULL, View.FULL, View.MASKED),
    ],
)
def test_each_reader_gets_the_fullest_view_they_may_have(
    roles: str, default: View, full: View | None, masked: View
) -> None:
    """The view without a parameter, with `include_redacted=true` and with `false`, role by role."""
    assert ask(roles).view is default
    assert ask(roles, include_redacted=False).view is masked
    if full is None:
        with pytest.raises(Refused) as refused:
            ask(roles, include_redacted=True)
        assert (refused.value.code, refused.value.missing_role) == ("forbidden", "Admin")
    else:
        assert ask(roles, include_redacted=True).view is full


def test_only_the_own_view_is_narrowed_to_the_reader() -> None:
    """The own view reads the reader's rows, every other view the tenant's; the floor is always the tenant."""
    assert ask("Cashier").scope == Scope("acme", ("acme",), ADA)
    assert ask("Cashier", include_redacted=False).scope == Scope("acme", ("acme",), ADA)
    assert ask("Support").scope == Scope("acme", ("acme",))
    assert ask("Admin").scope == Scope("acme", ("acme",))


def test_a_view_names_the_policy_that_gave_it() -> None:
    """The record of a read can say on what grounds it was allowed."""
    assert ask("Support").reasons == ("audit.masked",)
    assert ask("Admin").reasons == ("tenancy.admin",)


@pytest.mark.parametrize(("include_redacted", "missing"), [(None, "Cashier"), (False, "Cashier"), (True, "Admin")])
def test_a_refusal_names_the_role_that_would_do_for_the_whole_way(include_redacted: bool | None, missing: str) -> None:
    """Someone without any role is told the least role that gives what they asked for, not just its first step."""
    with pytest.raises(Refused) as refused:
        ask("", include_redacted=include_redacted)
    assert refused.value.missing_role == missing


def test_a_caller_without_a_name_is_told_nothing() -> None:
    """An anonymous caller is refused and learns of no role."""
    with pytest.raises(Refused) as refused:
        ask("Anonymous", home="-")
    assert (refused.value.code, refused.value.missing_role) == ("forbidden", None)


@pytest.mark.parametrize("roles", ["Admin", "Auditor", "Support", "Cashier", "Manager", "Service"])
@pytest.mark.parametrize("tenant", ["globex", "platform", "-"])
@pytest.mark.parametrize("cross_tenant", [False, True])
def test_no_tenant_reads_another(roles: str, tenant: str, cross_tenant: bool) -> None:
    """Naming another tenant, or none, is a mismatch whatever the role and the configuration."""
    with pytest.raises(Refused) as refused:
        ask(roles, tenant, cross_tenant=cross_tenant)
    assert (refused.value.code, refused.value.missing_role) == ("tenant_mismatch", None)


def test_naming_the_own_tenant_changes_nothing() -> None:
    """`tenant_id` of the reader's own tenant is no crossing."""
    assert ask("Support", "acme") == ask("Support")


def test_a_super_admin_crosses_only_where_the_configuration_says_so() -> None:
    """The platform's SuperAdmin reads another tenant in full with `cross_tenant`, and not without."""
    with pytest.raises(Refused) as refused:
        ask("SuperAdmin", "acme", home="platform")
    assert refused.value.code == "tenant_mismatch"
    crossing = ask("SuperAdmin", "acme", home="platform", cross_tenant=True)
    assert (crossing.view, crossing.scope, crossing.crosses) == (View.FULL, Scope("acme", ("acme",)), True)


def test_a_super_admin_of_an_ordinary_tenant_crosses_nowhere() -> None:
    """The role alone is not enough: Cedar's wall asks for the platform tenant too."""
    with pytest.raises(Refused) as refused:
        ask("SuperAdmin", "globex", cross_tenant=True)
    assert refused.value.code == "tenant_mismatch"


@pytest.mark.parametrize(("roles", "view"), [("SuperAdmin", View.FULL), ("Auditor", View.MASKED)])
def test_the_platform_reads_what_belongs_to_nobody(roles: str, view: View) -> None:
    """The platform's SuperAdmin and Auditor see events without a tenant beside their own, and alone when they ask."""
    both, alone = ask(roles, home="platform"), ask(roles, "-", home="platform")
    assert (both.view, both.scope, both.crosses) == (view, Scope("platform", ("platform", "-")), False)
    assert (alone.view, alone.scope, alone.crosses) == (view, Scope("platform", ("-",)), False)


def test_others_of_the_platform_do_not() -> None:
    """The platform's Support sees the platform's own events, and is told who reads those of nobody."""
    assert ask("Support", home="platform").scope == Scope("platform", ("platform",))
    with pytest.raises(Refused) as refused:
        ask("Support", "-", home="platform")
    assert (refused.value.code, refused.value.missing_role) == ("forbidden", "Auditor")
