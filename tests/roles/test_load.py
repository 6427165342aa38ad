"""`roles.toml`: the repository's own, and every way to get it wrong."""

import pytest

from roles.errors import CatalogueError
from roles.load import load_catalogue
from tests.builders.questions import real_catalogue

BASE = """\
[[role]]
name = "Nobody"
description = "d"
offered = false
anonymous = true

[[role]]
name = "Low"
description = "d"

[[role]]
name = "Root"
description = "d"
offered = false
cross_tenant = true
"""


def refusal(text: str) -> str:
    """What is wrong with a catalogue."""
    with pytest.raises(CatalogueError) as caught:
        load_catalogue(text, "roles.toml")
    return str(caught.value)


def test_the_repository_s_catalogue() -> None:
    """The nine roles of the design, from least to most, and who is never named as missing."""
    catalogue = real_catalogue()
    assert catalogue.names == (
        "Anonymous",
        "Cashier",
        "Support",
        "InventoryClerk",
        "Auditor",
        "Manager",
        "Admin",
        "Service",
        "SuperAdmin",
    )
    assert set(catalogue.names) - set(catalogue.offered) == {"Anonymous", "Service", "SuperAdmin"}
    assert catalogue.anonymous == "Anonymous"
    assert [role.name for role in catalogue.roles if role.cross_tenant] == ["SuperAdmin"]
    assert [role.name for role in catalogue.roles if role.machine] == ["Service"]


def test_a_manager_does_not_inherit_support_s_view_of_the_audit() -> None:
    """The design gives the masked view to Auditor and Support alone."""
    assert real_catalogue().with_included(["Manager"]) == ("Cashier", "InventoryClerk", "Manager")


@pytest.mark.parametrize(
    ("foreign", "ours"),
    [
        ("member_agent", "Cashier"),
        ("loyalty_supervisor", "Manager"),
        ("POS_OPERATOR", "Cashier"),
        ("helpdesk.agent", "Support"),
        ("wms_picker", "InventoryClerk"),
        ("finance:audit", "Auditor"),
        ("tenant_admin", "Admin"),
        ("service_account", "Service"),
    ],
)
def test_foreign_names_mean_ours(foreign: str, ours: str) -> None:
    """What loyalty and other systems call a role is ours, exactly as written and no other way."""
    assert real_catalogue().resolve([foreign]).roles == (ours,)
    assert real_catalogue().resolve([foreign.swapcase(), f" {foreign}"]).roles == ()


def test_no_foreign_name_crosses_tenants() -> None:
    """Another system cannot make anyone a SuperAdmin."""
    for ours in real_catalogue().foreign.values():
        assert not real_catalogue().any_cross_tenant([ours])


def test_a_smaller_catalogue_loads() -> None:
    """Foreign names are optional."""
    assert load_catalogue(BASE, "roles.toml").names == ("Nobody", "Low", "Root")


def role(fields: str) -> str:
    """The base catalogue and one more role, whose table is at line 17."""
    return f'{BASE}\n[[role]]\ndescription = "d"\n{fields}\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[[role", "roles.toml:1: expected"),
        ("[[role]]\nname = \n", "roles.toml:2: invalid value"),
        ("x = 1", "roles.toml: object contains unknown field `x`"),
        ("", "roles.toml: object missing required field `role`"),
        (role('name = "New"\nofferd = false'), "roles.toml:17: object contains unknown field `offerd`"),
        (role("name = 7"), "roles.toml:17: expected `str`, got `int`"),
        (role(""), "roles.toml:17: object missing required field `name`"),
        (role('name = "Low"'), "roles.toml:17: `Low` is there twice"),
        (role('name = "a,b"'), "roles.toml:17: `a,b` is not a role name"),
        (
            role('name = "New"\nincludes = ["Later"]'),
            "roles.toml:17: `New` includes `Later`, which is not a role before",
        ),
        (role('name = "New"\nincludes = ["New"]'), "roles.toml:17: `New` includes `New`, which is not a role before"),
        (
            role('name = "New"\nincludes = ["Root"]'),
            "roles.toml:17: `New` includes `Root`, which is anonymous, machine",
        ),
        (role('name = "New"\nincludes = ["Nobody"]'), "roles.toml:17: `New` includes `Nobody`, which is anonymous"),
        (role('name = "New"\nmachine = true'), "roles.toml:17: `New` cannot be offered as a missing role"),
        (
            role('name = "New"\noffered = false\nanonymous = true'),
            "roles.toml: exactly one role is `anonymous`, here 2",
        ),
        (BASE.replace("anonymous = true", ""), "roles.toml: exactly one role is `anonymous`, here 0"),
        (BASE + '[foreign]\n\n"x.y" = "Lo"', "roles.toml:18: `x.y` is mapped to `Lo`, which is not a role"),
        (BASE + '[foreign]\nLow = "Low"', "roles.toml:17: `Low` is a role of ours"),
        (BASE + '[foreign]\nboss = "Root"', "roles.toml:17: `boss` is mapped to `Root`, which is anonymous or cross"),
        (BASE + '[foreign]\nghost = "Nobody"', "roles.toml:17: `ghost` is mapped to `Nobody`, which is anonymous"),
    ],
)
def test_a_catalogue_with_a_fault_is_refused_with_its_place(text: str, expected: str) -> None:
    """File, line and reason; the whole is refused on one error."""
    assert refusal(text).startswith(expected)
