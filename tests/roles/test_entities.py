"""The entities Cedar is given about a principal."""

from policies.model import Entity, EntityUid
from roles.entities import principal_entities
from tests.builders.questions import make_principal, real_catalogue


def test_a_user_is_in_its_roles_and_in_those_they_include() -> None:
    """One entity, with issuer, tenant and subject, in every role it holds near or far."""
    principal = make_principal(["Manager"], "acme", "ann", "corp")
    assert principal_entities(principal, real_catalogue()) == (
        Entity(
            EntityUid("User", "corp/acme/ann"),
            {"issuer": "corp", "tenant": "acme", "sub": "ann"},
            tuple(EntityUid("Role", name) for name in ("Cashier", "InventoryClerk", "Manager")),
        ),
    )


def test_a_name_that_is_no_role_becomes_nothing() -> None:
    """A principal made elsewhere cannot smuggle a role in."""
    (user,) = principal_entities(make_principal(["Ghost", "manager"]), real_catalogue())
    assert user.parents == ()
