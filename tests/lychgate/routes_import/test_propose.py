"""Endpoints to routes: the narrower choice is written, and where there is none the route is closed."""

from typing import Any

import pytest

from lychgate.routes_import.bodies import cedar_type
from lychgate.routes_import.errors import DocumentRefused
from lychgate.routes_import.model import UNDECIDED, About, Taken
from lychgate.routes_import.propose import Wish
from tests.builders.openapi import asked, endpoint, imported, make_document, only

TEXT = {"type": "string"}
PLAIN = {"type": "object", "properties": {"id": TEXT}}


def orders(**more: Any) -> dict[str, Any]:
    """The collection that the service is about."""
    return {"/orders": {"get": endpoint(PLAIN)}, "/orders/{order_id}": {"get": endpoint(PLAIN)}, **more}


def test_an_endpoint_that_the_schema_knows_is_written_without_a_question() -> None:
    """List and read, sorted, each with what it is about."""
    listing, reading = imported(orders()).proposals
    assert (listing.id, listing.action, listing.resource_type, listing.resource_id) == (
        "order.list",
        "order:list",
        "Order",
        "*",
    )
    assert (reading.where, reading.resource_id) == ("GET /orders/{order_id}", "{order_id}")
    assert (reading.written_action, reading.questions) == ("order:read", [])


def test_an_action_that_the_schema_lacks_closes_its_route_by_its_name() -> None:
    """And the route is about what the service's other actions are about."""
    proposal = only({"/orders/{order_id}/frobnicate": {"post": endpoint()}})
    assert (proposal.written_action, proposal.resource_type) == ("order:frobnicate", "Order")
    assert asked(proposal) == {About.ACTION: True}


@pytest.mark.parametrize(
    ("paths", "about"),
    [
        ({"/orders/{order_id}": {"get": endpoint(PLAIN, deprecated=True)}}, About.DEPRECATED),
        ({"/orders/{a}/x/{b}": {"get": endpoint(PLAIN)}}, About.RESOURCE),
        (
            {"/orders": {"get": endpoint(PLAIN, parameters=[{"in": "query", "name": "tenant_id"}])}},
            About.TENANT,
        ),
        ({"/orders": {"get": endpoint(PLAIN, parameters=[{"in": "cookie", "name": "org"}])}}, About.TENANT),
        ({"/orders": {"get": endpoint(PLAIN, parameters=[{"in": "header", "name": "X-Org-Id"}])}}, About.TENANT),
        ({"/orgs/{org_id}": {"get": endpoint(PLAIN)}}, About.TENANT),
        ({"/orders": {"post": endpoint(PLAIN, {"properties": {"tenant_id": TEXT}})}}, About.TENANT),
        (
            {"/orders": {"post": endpoint(PLAIN, {"properties": {"workspace": TEXT}, "required": ["workspace"]})}},
            About.TENANT,
        ),
        (
            {
                "/orders": {
                    "post": endpoint(PLAIN, {"properties": {"tenant": TEXT}, "required": ["tenant"]}, "text/csv")
                }
            },
            About.TENANT,
        ),
        (
            {
                "/orders/{order_id}": {
                    "delete": endpoint(None, {"properties": {"tenant": TEXT}, "required": ["tenant"]})
                }
            },
            About.TENANT,
        ),
        ({"/admin/orders/{order_id}": {"get": endpoint(PLAIN)}}, About.RESOURCE),
        ({"/orders/{order_id}/fees/cancel": {"post": endpoint(PLAIN)}}, About.RESOURCE),
        ({"/reports/{report_id}": {"get": endpoint(PLAIN)}}, About.RESOURCE),
        (
            {
                "/orders": {
                    "post": endpoint(
                        PLAIN, {"properties": {"lines": {"type": "array", "items": {"properties": {"tenant": TEXT}}}}}
                    )
                }
            },
            About.TENANT,
        ),
        (
            {
                "/orders": {
                    "post": endpoint(PLAIN, {"allOf": [{"properties": {"to": {"properties": {"orgId": TEXT}}}}]})
                }
            },
            About.TENANT,
        ),
        *(
            ({"/orders": {"get": endpoint(PLAIN, parameters=[{"in": "query", "name": name}])}}, About.TENANT)
            for name in ("tenant_slug", "target_tenant", "tenantIds", "tenants", "forTenant", "X-Tenant-Key", "org_ids")
        ),
        ({"/orders": {"get": endpoint(PLAIN, servers=[{"url": "/a"}, {"url": "/b"}])}}, About.SERVER),
        ({"/orders": {"get": endpoint(PLAIN, servers=[{"url": "https://h/{base}"}])}}, About.SERVER),
        ({"/orders": {"get": endpoint(PLAIN, servers=[{"url": "https://[bad/"}])}}, About.SERVER),
        ({"/orders": {"get": endpoint({"properties": {"": {"properties": {"email": TEXT}}}})}}, About.REDACT),
        (
            {"/orders": {"get": endpoint({"properties": {"email" + "x" * 90 + str(n): TEXT for n in range(30)}})}},
            About.REDACT,
        ),
        ({"/orders/{order_id}/discount": {"post": endpoint(PLAIN)}, **orders()}, About.CONTEXT),
    ],
)
def test_what_only_a_person_can_say_closes_the_route(paths: dict[str, Any], about: About) -> None:
    """The route is written with the action that no schema declares."""
    closed = [it for it in imported(paths).proposals if it.closed]
    assert [it.written_action for it in closed] == [UNDECIDED]
    assert asked(closed[0])[about]


@pytest.mark.parametrize(
    ("operation", "about"),
    [
        (endpoint(PLAIN, security=[]), About.ANONYMOUS),
        (endpoint(PLAIN, security=[{"key": []}, {}]), About.ANONYMOUS),
        ({"responses": {"101": {"description": "up"}}}, About.WEBSOCKET),
        (endpoint({}), About.ANSWER),
        ({"responses": {"200": {"description": "x", "content": {"text/csv": {}}}}}, About.ANSWER),
        (endpoint({"properties": {"email": TEXT}}), About.REDACT),
        (endpoint(PLAIN, {}), About.BODY),
    ],
)
def test_where_there_is_a_narrower_choice_it_is_written(operation: dict[str, Any], about: About) -> None:
    """The route is as open as its policies are, and the question stands above it."""
    proposal = next(it for it in imported(orders(**{"/orders": {"get": operation}})).proposals if it.id == "order.list")
    assert asked(proposal) == {about: False}
    assert proposal.written_action == "order:list"


@pytest.mark.parametrize("path", ["/orders/{order_id}", "/api/v1/orders/{order_id}", "/order/orders/{order_id}"])
def test_words_that_say_nothing_close_nothing(path: str) -> None:
    """A version, `api`, and the service's own name."""
    (only,) = imported({path: {"get": endpoint(PLAIN)}}).proposals
    assert (only.written_action, only.resource_type) == ("order:read", "Order")


def test_security_of_the_whole_document_is_an_endpoints_own() -> None:
    """And an endpoint's own goes before it; a document that says nothing is not asked about everywhere."""
    paths = orders(**{"/orders": {"get": endpoint(PLAIN, security=[{"key": []}])}})
    found = {it.id: asked(it) for it in imported(paths, security=[]).proposals}
    assert found == {"order.list": {}, "order.read": {About.ANONYMOUS: False}}


def test_sensitive_fields_are_written_as_such() -> None:
    """By class, where the class's action applies."""
    schema = {"properties": {"email": TEXT, "card": {"properties": {"pan": TEXT}}, "api_key": TEXT}}
    proposal = only({"/orders": {"get": endpoint(schema)}})
    assert proposal.redact == {"pii": ("/email",), "payment": ("/card", "/card/pan"), "secret": ("/api_key",)}


def test_a_class_that_does_not_apply_to_the_type_closes_the_route() -> None:
    """Nobody could be asked whether they may see it."""
    proposal = only(
        {"/events": {"get": endpoint({"properties": {"email": TEXT}})}}, Wish(service="audit", prefix="audit")
    )
    assert asked(proposal)[About.REDACT]


def test_a_value_that_the_policies_ask_for_is_found_and_still_asked_about() -> None:
    """By name and type: the unit is a person's to know."""
    body = {"allOf": [{"properties": {"percent": {"type": ["integer", "null"]}}}, {"properties": {"why": TEXT}}]}
    paths = orders(**{"/orders/{order_id}/discount": {"post": endpoint(PLAIN, body)}})
    proposal = next(it for it in imported(paths).proposals if it.id == "order.discount")
    assert proposal.context == {"percent": Taken("body", "/percent")}
    assert proposal.written_action == UNDECIDED


@pytest.mark.parametrize(
    ("operation", "found"),
    [
        (endpoint(PLAIN, {"properties": {"percent": TEXT}}), None),
        (endpoint(PLAIN, {"properties": {"percent": {"anyOf": [TEXT, {"type": "integer"}]}}}), None),
        (endpoint(PLAIN, {"properties": {"percent": {"type": "integer"}}}, "text/csv"), None),
        (
            endpoint(PLAIN, parameters=[{"in": "query", "name": "percent", "schema": {"type": "integer"}}]),
            Taken("query", "percent"),
        ),
        (
            endpoint(
                PLAIN,
                {"properties": {"percent": {"type": "integer"}}},
                parameters=[{"in": "query", "name": "percent", "schema": {"type": "integer"}}],
            ),
            None,
        ),
    ],
)
def test_a_value_of_another_type_or_in_two_places_is_not_taken(operation: dict[str, Any], found: Taken | None) -> None:
    """It is asked about, and the route is closed, whether one was found or not."""
    paths = orders(**{"/orders/{order_id}/discount": {"post": operation}})
    proposal = next(it for it in imported(paths).proposals if it.id == "order.discount")
    assert proposal.context == ({"percent": found} if found else {})
    assert asked(proposal)[About.CONTEXT]


def test_tenants_that_a_route_can_hold_against_the_token_are_written() -> None:
    """In the path, and required in a JSON body; `X-Tenant-Id` is held against it anyway."""
    body = {"properties": {"tenant_id": TEXT}, "required": ["tenant_id"]}
    header = [{"in": "header", "name": "X-Tenant-Id"}]
    proposal = only({"/t/{tenantId}/orders": {"post": endpoint(PLAIN, body, parameters=header)}})
    assert (proposal.tenant_param, proposal.tenant_pointers) == ("tenant_id", ("/tenant_id",))
    assert proposal.resource_id == "*"
    assert asked(proposal) == {About.ACTION: True}


def test_reading_and_changing_are_written_the_careful_way() -> None:
    """A POST is a change; a GET whose name says that it changes something is one, too."""
    paths = orders(
        **{"/orders/search": {"post": endpoint(PLAIN)}, "/orders/{order_id}/cancel": {"get": endpoint(PLAIN)}}
    )
    found = {it.where: it for it in imported(paths).proposals}
    assert found["POST /orders/search"].changes is None
    assert asked(found["POST /orders/search"])[About.READS] is False
    assert found["GET /orders/{order_id}/cancel"].changes is True


def test_one_action_does_not_read_and_change() -> None:
    """Whoever may read would be permitted to change."""
    paths = orders(
        **{"/orders/{order_id}/cancel": {"get": endpoint(PLAIN)}, "/orders/cancel": {"get": endpoint(PLAIN)}}
    )
    paths["/orders/export"] = {"get": endpoint(PLAIN)}
    paths["/orders/{order_id}/export"] = {"post": endpoint(PLAIN)}
    found = {it.where: it for it in imported(paths).proposals}
    assert found["POST /orders/{order_id}/export"].written_action == UNDECIDED
    assert found["GET /orders/export"].written_action == "order:export"


def test_a_base_that_the_servers_agree_on_stands_before_the_path() -> None:
    """It is said once; the command may say another."""
    servers = [{"url": "https://a.example/api/v1/"}, {"url": "/api/v1"}]
    made = imported(orders(), servers=servers)
    assert [it.template for it in made.proposals] == ["/api/v1/orders", "/api/v1/orders/{order_id}"]
    assert [it.action for it in made.proposals] == ["order:list", "order:read"]
    assert [it.about for it in made.general] == [About.SERVER]
    said = imported(orders(), Wish(service="order", prefix="order", base=""), servers=servers)
    assert [it.template for it in said.proposals] == ["/orders", "/orders/{order_id}"]
    assert said.general == []


@pytest.mark.parametrize(
    ("path", "method", "about"),
    [
        ("/healthz", "get", About.OPERATIONS),
        ("/internal/reset", "post", About.OPERATIONS),
        ("/orders", "options", About.METHOD),
        ("/orders", "trace", About.METHOD),
        ("/orders", "head", About.METHOD),
        ("/orders/", "get", About.PATH),
        ("/a//b", "get", About.PATH),
        ("/files/{a}.{b}", "get", About.PATH),
        ("/files/{a", "get", About.PATH),
        ("/a/../b", "get", About.PATH),
        ("/a%2Fb", "get", About.PATH),
        ("/caf\u00e9", "get", About.PATH),
        ("/a b", "get", About.PATH),
        ("/a/{x}/{x}", "get", About.PATH),
    ],
)
def test_what_no_route_is_written_for_is_told(path: str, method: str, about: About) -> None:
    """It stays without one, so nobody reaches it."""
    made = imported({path: {method: endpoint(PLAIN)}})
    assert made.proposals == []
    assert [(it.about, it.closed) for it in made.unwritten] == [(about, True)]


def test_head_beside_get_goes_without_saying() -> None:
    """The gateway decides it as GET."""
    assert imported({"/orders": {"get": endpoint(PLAIN), "head": endpoint(PLAIN)}}).unwritten == []


def test_two_paths_that_differ_in_a_name_are_one() -> None:
    """Two such routes would refuse the whole file: the first is written, the other is told."""
    made = imported({"/orders/{a}": {"get": endpoint(PLAIN)}, "/orders/{b}": {"get": endpoint(PLAIN)}})
    assert [it.template for it in made.proposals] == ["/orders/{a}"]
    assert [it.about for it in made.unwritten] == [About.OVERLAP]


def test_parameters_get_names_that_a_route_can_have() -> None:
    """Two that come out alike stay two, and ids are each its own."""
    made = imported({"/x/{orderId}/{order-id}/{%}": {"get": endpoint(PLAIN)}, "/x": {"get": endpoint(PLAIN)}})
    assert made.proposals[1].template == "/x/{order_id}/{order_id_2}/{p}"
    assert len({it.id for it in made.proposals}) == 2


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ({}, "paths: there is no endpoint"),
        ({"x-internal": {}}, "paths: there is no endpoint"),
        ({"orders": {"get": {}}}, "paths: `orders` is no path with an object"),
        ({"/a": []}, "paths: `/a` is no path with an object"),
        ({"/a": {"get": []}}, "paths: `/a`: get is not an object"),
        ({"/a": {"get": {"parameters": {}}}}, "paths: `/a`: parameters are not a list"),
        ({"/a": {"get": {"parameters": [{"in": "query"}]}}}, "paths: `/a`: a parameter without name or place"),
        ({f"/{n}": {"get": {}} for n in range(5001)}, "more than 5000 endpoints"),
        ({"/a": {"$ref": "other.yaml"}}, "the reference `other.yaml` leads out of the document"),
    ],
)
def test_a_document_with_a_wrong_part_is_refused(paths: dict[str, Any], reason: str) -> None:
    """With the place."""
    with pytest.raises(DocumentRefused) as refused:
        imported(paths)
    assert str(refused.value) == f"openapi.json: {reason}"


def test_the_order_of_the_document_changes_nothing_that_is_written() -> None:
    """Sorted by path, text before parameters, then by method."""
    paths = {
        "/orders/{order_id}": {"delete": endpoint(), "get": endpoint(PLAIN)},
        "/orders/export": {"get": endpoint(PLAIN)},
        "/orders": {"post": endpoint(PLAIN), "get": endpoint(PLAIN)},
    }
    once = [(it.id, it.where) for it in imported(paths).proposals]
    other = {path: dict(reversed(item.items())) for path, item in reversed(paths.items())}
    assert [(it.id, it.where) for it in imported(other).proposals] == once
    assert [it[1] for it in once] == [
        "GET /orders",
        "POST /orders",
        "GET /orders/export",
        "GET /orders/{order_id}",
        "DELETE /orders/{order_id}",
    ]


def test_more_fields_than_a_route_may_name_are_not_written() -> None:
    """The loader would refuse the route for them; it is closed by the question instead."""
    names = {f"email{'x' * 90}{n}": TEXT for n in range(30)}
    assert only({"/orders": {"get": endpoint({"properties": names})}}).redact == {}


def test_an_action_for_several_types_is_asked_about() -> None:
    """Whichever is written, the route is closed until somebody has said which."""
    proposal = only({"/see_pii": {"get": endpoint(PLAIN)}}, Wish(service="data", prefix="data"))
    assert asked(proposal) == {About.RESOURCE: True}
    assert proposal.written_action == UNDECIDED


def test_a_body_that_names_a_tenant_has_one_form() -> None:
    """A route that reads the body takes JSON only; the document's other form would be refused."""
    body = {"properties": {"tenant_id": TEXT}, "required": ["tenant_id"]}
    operation = endpoint(PLAIN, body)
    operation["requestBody"]["content"]["application/x-www-form-urlencoded"] = {"schema": {}}
    assert asked(only({"/orders": {"post": operation}}))[About.BODY]


def test_the_root_below_a_base_is_the_root() -> None:
    """The base says where the service is, not what an endpoint is about."""
    proposal = only({"/": {"get": endpoint(PLAIN)}}, servers=[{"url": "/api"}])
    assert (proposal.template, proposal.action) == ("/api", "order:read_root")


def test_parameters_of_a_path_are_those_of_its_operations() -> None:
    """One that names a tenant closes each of them."""
    proposal = only({"/orders": {"parameters": [{"in": "query", "name": "tenant_id"}], "get": endpoint(PLAIN)}})
    assert asked(proposal)[About.TENANT]


def test_what_one_alternative_of_a_body_requires_is_not_required() -> None:
    """A request of the other kind would be refused for want of a tenant, so it is asked about."""
    body = {"anyOf": [{"properties": {"tenant_id": TEXT}, "required": ["tenant_id"]}, {"properties": {"id": TEXT}}]}
    proposal = only({"/orders": {"post": endpoint(PLAIN, body)}})
    assert proposal.tenant_pointers == ()
    assert asked(proposal)[About.TENANT]


def test_what_may_be_of_two_types_has_none() -> None:
    """Whichever comes first."""
    document = make_document({})
    assert cedar_type(document, {"anyOf": [{"type": "integer"}, {"type": "boolean"}]}) is None
    assert cedar_type(document, {"type": ["string", "integer"]}) is None
    assert cedar_type(document, {"anyOf": [{"type": "integer"}, {"type": "null"}]}) == "Long"
