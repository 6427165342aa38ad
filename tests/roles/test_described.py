"""Described requests as JSON: strict, and they say what is wrong."""

from typing import Any

import pytest

from policies.model import EntityUid, Json
from roles.described import described
from roles.scenario import ScenarioError
from tests.builders.questions import real_bundle, real_catalogue

NOW = "2026-11-26T01:02:03.004Z"


def read(request: Json, *, cross_tenant: bool = False) -> Any:
    """By the shipped policies."""
    return described(request, real_bundle(), real_catalogue(), NOW, cross_tenant=cross_tenant)


def test_everything_that_can_be_said() -> None:
    """Roles by other systems' names, too."""
    question, principal = read(
        {
            "action": "order:discount",
            "roles": ["POS_OPERATOR", "Support"],
            "principal": {"tenant": "globex", "sub": "mia", "issuer": "corp"},
            "resource": {"type": "Order", "id": "o-1", "tenant": "acme"},
            "context": {"percent": 7, "now": "2026-01-01T00:00:00.000Z"},
        }
    )
    assert principal.roles == ("Cashier", "Support")
    assert question.principal == EntityUid("User", "corp/globex/mia")
    assert question.resource == EntityUid("Order", "o-1")
    assert question.entities[-1].attrs == {"tenant": "acme"}
    assert question.context == {
        "cross_tenant": False,
        "percent": 7,
        "now": {"__extn": {"fn": "datetime", "arg": "2026-01-01T00:00:00.000Z"}},
    }


def test_what_is_not_said_is_as_the_gateway_has_it() -> None:
    """The present time and the setting."""
    question, _ = read({"action": "order:read", "roles": ["Cashier"]}, cross_tenant=True)
    assert question.context == {"now": {"__extn": {"fn": "datetime", "arg": NOW}}, "cross_tenant": True}
    assert (
        read({"action": "order:read", "context": {"cross_tenant": False}}, cross_tenant=True)[0].context["cross_tenant"]
        is False
    )


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (None, "request: expected `object`, got `null`"),
        ({}, "request: object missing required field `action`"),
        ({"action": "order:read", "rolls": []}, "request: object contains unknown field `rolls`"),
        ({"action": "order:read", "principal": {"name": "x"}}, "request: object contains unknown field `name`"),
        ({"action": "order:read", "roles": "Cashier"}, "request: expected `array`, got `str`"),
        ({"action": "order:read", "roles": ["Boss"]}, "there is no role `Boss`; there are Anonymous, Cashier"),
        ({"action": "order:fly"}, "the schema declares no action `order:fly`"),
        ({"action": "data:see_pii"}, "`data:see_pii` is about Customer, Integration,"),
        ({"action": "order:read", "resource": {"type": "Payment"}}, "`order:read` is about Order, not `Payment`"),
        ({"action": "order:discount"}, r"`order:discount` needs `percent` \(Long\) in its context"),
        ({"action": "order:read", "principal": {"tenant": "A B"}}, "`A B` is not a tenant's name"),
        ({"action": "order:read", "resource": {"tenant": "../x"}}, "`../x` is not a tenant's name"),
    ],
)
def test_what_cannot_be_asked_says_why(request_: Json, reason: str) -> None:
    """And what there is instead."""
    with pytest.raises(ScenarioError, match=reason):
        read(request_)
