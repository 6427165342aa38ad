"""Described requests become the questions that the gateway would ask."""

import pytest

from policies.errors import UnknownAction
from policies.model import EntityUid
from roles.scenario import Scenario, ScenarioError, What, Who, caller, question
from tests.builders.questions import real_bundle, real_catalogue, real_engine


def allows(scenario: Scenario) -> bool:
    """What the shipped policies say."""
    return real_engine().decide(question(scenario, real_bundle(), real_catalogue())).allows


def test_a_role_and_an_action_are_enough() -> None:
    """All else is filled in, so that Cedar can decide."""
    assert allows(Scenario(action="order:create", roles=("Cashier",)))
    assert not allows(Scenario(action="order:create", roles=("Support",)))


def test_context_is_added_to_what_the_gateway_gives() -> None:
    """A value of the action's context decides."""
    assert allows(Scenario(action="order:discount", roles=("Cashier",), context={"percent": 10}))
    assert not allows(Scenario(action="order:discount", roles=("Cashier",), context={"percent": 11}))


def test_a_time_is_plain_text() -> None:
    """`now` is written as people write it, and handed over as Cedar takes it."""
    asked = question(
        Scenario(action="order:read", context={"now": "2026-02-03T04:05:06.000Z"}), real_bundle(), real_catalogue()
    )
    assert asked.context["now"] == {"__extn": {"fn": "datetime", "arg": "2026-02-03T04:05:06.000Z"}}


@pytest.mark.parametrize(
    ("roles", "tenant"), [(("Cashier",), "acme"), (("SuperAdmin",), "platform"), (("Anonymous",), "-")]
)
def test_everybody_has_a_home(roles: tuple[str, ...], tenant: str) -> None:
    """Where no tenant is given the role says in which one its people live."""
    assert caller(Scenario(action="order:read", roles=roles), real_catalogue()).tenant_id == tenant


def test_roles_stand_in_the_catalogues_order() -> None:
    """As in a verified identity."""
    asked = Scenario(action="order:read", roles=("Manager", "Cashier"), principal=Who(tenant="globex", sub="x"))
    assert caller(asked, real_catalogue()).roles == ("Cashier", "Manager")
    assert caller(asked, real_catalogue()).uid == EntityUid("User", "dev/globex/x")


def test_another_tenants_resource() -> None:
    """The resource's tenant is the caller's unless it is said."""
    asked = question(
        Scenario(action="order:read", roles=("Admin",), resource=What(id="o-1", tenant="globex")),
        real_bundle(),
        real_catalogue(),
    )
    assert asked.resource == EntityUid("Order", "o-1")
    assert not real_engine().decide(asked).allows


def test_what_cannot_be_asked_says_what_there_is() -> None:
    """Unknown roles and actions, and a resource that could be several things."""
    with pytest.raises(ScenarioError, match="there is no role `Boss`; there are Anonymous, Cashier"):
        question(Scenario(action="order:read", roles=("Boss",)), real_bundle(), real_catalogue())
    with pytest.raises(ScenarioError, match="`data:see_pii` is about Customer, Integration, "):
        question(Scenario(action="data:see_pii"), real_bundle(), real_catalogue())
    with pytest.raises(UnknownAction, match="order:fly"):
        question(Scenario(action="order:fly"), real_bundle(), real_catalogue())
