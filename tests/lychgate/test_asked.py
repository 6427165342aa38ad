"""What is asked of the policies: by this repository's routes, and by code."""

from gateway.ops import actions
from lychgate.asked import asked_of, roles_of
from lychgate.settings import load
from query.access import View
from tests.builders.questions import ROOT, real_bundle, real_catalogue

ROUTES = (ROOT / "routes.toml").read_text()
SERVICES = load(ROOT / "lychgate.yaml", {}).services
ASKED = asked_of("routes.toml", ROUTES, real_bundle(), SERVICES, real_catalogue())


def test_routes_ask_and_so_does_code() -> None:
    """Every action of the schema that something here can ask for."""
    asked = {occasion.action for occasion in ASKED.occasions}
    assert {view.action for view in View} <= asked
    assert {actions.STATUS.action, actions.EXCHANGE.action, "audit:read", "data:see_pii"} <= asked
    assert asked <= set(real_bundle().actions)


def test_a_route_knows_its_place() -> None:
    """The line of its `[[route]]`; a block ends where the next begins."""
    browse = next(it for it in ASKED.occasions if it.name == "product.browse" and not it.anonymous)
    line = ROUTES.split("\n").index('id = "product.browse"')
    assert (browse.file, browse.line, browse.route) == ("routes.toml", line, True)
    assert ASKED.blocks[0].last == ASKED.blocks[1].first - 1


def test_strangers_ask_where_they_may() -> None:
    """With the roles and attributes that the gateway gives them; and others ask with those of tokens."""
    strangers = [it for it in ASKED.occasions if it.anonymous]
    assert {it.name for it in strangers} == {"product.browse"}
    assert strangers[0].roles == {real_catalogue().anonymous}
    assert strangers[0].attributes["tenant"] == "-"
    others = [it for it in ASKED.occasions if not it.anonymous]
    assert all(real_catalogue().anonymous not in (it.roles or ()) for it in others)


def test_a_route_asks_with_what_it_reads() -> None:
    """And about the id it always has."""
    refund = next(it for it in ASKED.occasions if it.action == "payment:refund")
    assert refund.context == {"now", "cross_tenant", "amount"}
    assert refund.resource_id is None
    assert next(it for it in ASKED.occasions if it.name == "order.list").resource_id == "*"


def test_without_a_table_everything_is_asked() -> None:
    """Only the file is found fault with: what it would have asked, nobody knows."""
    broken = asked_of("r.toml", "[[route]]\nid = 1\n", real_bundle(), SERVICES, real_catalogue())
    assert {it.action for it in broken.occasions} == set(real_bundle().actions)
    (fault,) = broken.findings
    assert (fault.file, fault.line, fault.code) == ("r.toml", 1, "routes")


def test_a_route_that_cannot_be_used_may_ask_anything() -> None:
    """One typing error is one finding, not one for each policy it would have reached."""
    text = ROUTES.replace('action = "order:create"', 'action = "order:craete"')
    broken = asked_of("r.toml", text, real_bundle(), SERVICES, real_catalogue())
    assert [it.code for it in broken.findings] == ["route"]
    assert {it.action for it in broken.occasions} == set(real_bundle().actions)


def test_roles_know_their_lines() -> None:
    """Of each name; the anonymous role must be there whatever the policies say."""
    text = (ROOT / "roles/roles.toml").read_text()
    roles = roles_of(real_catalogue(), "roles.toml", text)
    assert set(roles.lines) == set(real_catalogue().names)
    assert text.split("\n")[roles.lines["Manager"] - 1] == 'name = "Manager"'
    assert roles.held["Manager"] == {"Manager", "Cashier", "InventoryClerk"}
    assert roles.always == {real_catalogue().anonymous}
