"""A routes file and what an import adds: what people decided stays, and what is still open is told again."""

from typing import Any

import pytest

from lychgate.errors import ConfigurationError
from lychgate.routes_import.merge import Existing, existing
from lychgate.routes_import.model import UNDECIDED, About
from tests.builders.openapi import endpoint, merged
from tests.builders.questions import real_bundle

PLAIN = {"type": "object", "properties": {"id": {"type": "string"}}}
PATHS: dict[str, Any] = {
    "/orders": {"get": endpoint(PLAIN)},
    "/orders/{order_id}": {"get": endpoint(PLAIN), "delete": endpoint()},
    "/healthz": {"get": endpoint(PLAIN)},
}
LIST = """
[[route]]  # decided by Ada
id = "order.list"
method = "GET"
path = "/orders"
service = "order"
action = "product:list"
resource = { type = "Product" }
"""


def old(text: str, service: str = "order") -> Existing:
    """A routes file."""
    return existing("routes.toml", text, service, real_bundle(), {"order": None, "other": None})


def test_a_file_is_added_to_and_otherwise_stays_as_it_is() -> None:
    """Byte for byte, with another id where one is taken; and the same again adds nothing."""
    text = LIST.replace('"order.list"', '"order.read"') + "# the end, without a line break"
    found = merged(PATHS, old(text))
    assert found.text.startswith(text + "\n\n# decide:") or found.text.startswith(text + "\n\n[[route]]")
    assert [it.id for it in found.added] == ["order.read_get", "order.delete"]
    again = merged(PATHS, old(found.text))
    assert again.text == found.text
    assert again.added == []
    assert {it.about for it in again.questions} == {About.LEFT, About.ACTION}


def test_nothing_is_open_once_everything_is_decided() -> None:
    """No line left, no endpoint without a route, none that is left out without a reason."""
    found = merged(PATHS).text
    decided = "".join(line for line in found.splitlines(keepends=True) if not line.startswith("# decide:"))
    decided = decided.replace("order:delete", "order:cancel") + "# no route: order GET /healthz for the balancer\n"
    again = merged(PATHS, old(decided))
    assert (again.text, again.questions) == (decided, [])


def test_an_endpoint_that_is_to_have_no_route_is_not_written_again() -> None:
    """By its path, whatever its parameters are called; a line without a reason, or of another service, is none."""
    said = "# no route: order DELETE /orders/{id} nobody deletes\n"
    assert [it.where for it in merged(PATHS, old(said)).added] == ["GET /orders", "GET /orders/{order_id}"]
    for other in (said.replace(" nobody deletes", ""), said.replace("order DELETE", "other DELETE")):
        assert len(merged(PATHS, old(other)).added) == 3


def test_routes_without_an_endpoint_are_told() -> None:
    """Unless somebody said why, they are another service's, or they open WebSockets."""
    text = LIST.replace("/orders", "/gone")
    assert [it.about for it in merged(PATHS, old(text)).questions].count(About.NO_ENDPOINT) == 1
    for said in (
        text + "# no endpoint: order GET /gone it is not in the document\n",
        text.replace('"order"', '"other"'),
        text + "websocket = true\n",
    ):
        assert About.NO_ENDPOINT not in {it.about for it in merged(PATHS, old(said)).questions}


def test_a_path_of_another_service_is_not_taken_from_it() -> None:
    """It is told, and written nowhere."""
    text = LIST.replace('service = "order"', 'service = "other"')
    found = merged(PATHS, old(text))
    assert "GET /orders" not in {it.where for it in found.added}
    assert [it.where for it in found.questions if it.about is About.OVERLAP] == ["GET /orders"]


def test_a_route_that_crosses_one_of_the_file_is_closed() -> None:
    """The gateway would give one of them what the other's service expects."""
    text = LIST.replace("/orders", "/{what}/new")
    added = {it.where: it for it in merged(PATHS, old(text)).added}
    assert added["GET /orders/{order_id}"].written_action == UNDECIDED
    assert added["GET /orders"].written_action == "order:list"


@pytest.mark.parametrize(
    ("first", "second", "closed"),
    [
        ("/orders/{order_id}", "/orders/export", {"GET /orders/export"}),
        ("/orders/export", "/orders/{order_id}", set()),
        ("/orders/{order_id}/x", "/orders/export", set()),
        ("/{a}/b", "/a/{b}", {"GET /{a}/b", "GET /a/{b}"}),
    ],
)
def test_paths_that_a_service_may_read_another_way_are_closed(first: str, second: str, closed: set[str]) -> None:
    """A framework that takes the first that matches would run what was not decided on."""
    found = merged({first: {"get": endpoint(PLAIN)}, second: {"get": endpoint(PLAIN)}})
    assert {it.where for it in found.added if it.closed} == closed


def test_what_waits_in_the_file_is_told_with_its_place() -> None:
    """Lines of an earlier import, and actions that are not there yet."""
    text = "# decide: tenant (closed): which\n" + LIST.replace("product:list", UNDECIDED)
    found = merged(PATHS, old(text)).questions
    assert ("routes.toml:1", About.LEFT, True) in [(it.where, it.about, it.closed) for it in found]
    assert ("GET /orders", About.ACTION, True) in [(it.where, it.about, it.closed) for it in found]


def test_a_file_that_the_gateway_could_not_use_is_refused() -> None:
    """With its own reason."""
    with pytest.raises(ConfigurationError, match=r"routes\.toml: route 2 `order.list`: id is there twice"):
        old(LIST + LIST.replace("/orders", "/b"))
