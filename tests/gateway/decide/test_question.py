"""The question a request asks, put together from what the stages before found."""

import pytest

from gateway.decide.question import ask, resource_id
from policies.model import Entity, EntityUid, Json
from roles.model import Principal
from tests.builders.heads import make_route

WHO = Principal("dev", "acme", "u-17", ("Cashier",))
USER = Entity(WHO.uid, {"tenant": "acme"}, (EntityUid("Role", "Cashier"),))
ROLE = Entity(EntityUid("Role", "Cashier"), {})
NOW = "2026-11-23T15:00:00.123456Z"


def _context(values: dict[str, Json], *, cross: bool = False) -> dict[str, Json]:
    question = ask(make_route(), {"order_id": "o"}, WHO, (USER, ROLE), "acme", values, NOW, cross_tenant=cross)
    return dict(question.context)


def test_a_question_names_who_what_and_to_what() -> None:
    """The resource has the tenant it is taken to belong to, and comes beside the caller's own entities."""
    route = make_route(resource_id="{order_id}")
    question = ask(route, {"order_id": 'o"1'}, WHO, (USER, ROLE), "globex", {}, NOW, cross_tenant=False)
    assert (question.principal, question.action) == (WHO.uid, "order:read")
    assert question.resource == EntityUid("Order", 'o"1')
    assert question.entities == (USER, ROLE, Entity(question.resource, {"tenant": "globex"}))


@pytest.mark.parametrize("cross", [True, False])
def test_the_context_holds_what_was_extracted_the_time_and_the_setting(cross: bool) -> None:
    """Cedar's datetime has milliseconds; later digits are cut, not rounded into the future."""
    assert _context({"amount": 7}, cross=cross) == {
        "amount": 7,
        "now": {"__extn": {"fn": "datetime", "arg": "2026-11-23T15:00:00.123Z"}},
        "cross_tenant": cross,
    }


def test_a_request_cannot_say_what_only_we_say() -> None:
    """Whatever a route extracts under these names, ours stand."""
    forged: dict[str, Json] = {"cross_tenant": True, "now": "2000-01-01T00:00:00.000Z"}
    assert _context(forged) == _context({})
    assert forged["cross_tenant"] is True


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("*", "*"),
        ("self", "self"),
        ("{a}", "1"),
        ("{a}/{b_2}", "1/{a}"),
        ("x-{a}-{a}", "x-1-1"),
        ("{A}", "{A}"),
    ],
)
def test_a_resource_id_is_filled_in_once(template: str, expected: str) -> None:
    """What a caller sends is text: braces in it are not filled in again."""
    assert resource_id(make_route(resource_id=template), {"a": "1", "b_2": "{a}"}) == expected
