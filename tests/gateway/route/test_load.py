"""`routes.toml`: what makes a route, what refuses the file, and what only refuses a route's own paths."""

from functools import cache
from typing import Any

import pytest

from gateway.model import Attribute, Route, Source
from gateway.route.load import RoutesError, load_routes
from gateway.route.table import Table
from policies.bundle import Bundle
from policies.load import build_bundle

SCHEMA = """
entity Role;
entity User in [Role] = { tenant: String };
entity Order = { tenant: String };
entity Stock = { tenant: String };
action "order:read", "order:list"
  appliesTo { principal: [User], resource: [Order], context: { now: datetime, cross_tenant: Bool } };
action "order:create" appliesTo { principal: [User], resource: [Order], context: {
  now: datetime, cross_tenant: Bool, amount: Long, channel?: String, gift?: Bool, due?: datetime, tags?: Set<String>
} };
"""
POLICY = '@id("all")\n@reason("For tests.")\npermit(principal, action == Action::"order:read", resource);\n'
SERVICES = {"order": ("127.0.0.1:9002",)}
READ: dict[str, Any] = {
    "id": "order.read",
    "method": "GET",
    "path": "/orders/{order_id}",
    "service": "order",
    "action": "order:read",
    "resource": {"type": "Order", "id": "{order_id}"},
}
AMOUNT = {"from": "body", "pointer": "/amount"}
CREATE: dict[str, Any] = {
    **READ,
    "id": "order.create",
    "method": "POST",
    "action": "order:create",
    "context": {"amount": AMOUNT},
}


@cache
def _bundle() -> Bundle:
    return build_bundle([("test.cedar", POLICY)], ("schema.cedarschema", SCHEMA))


def _toml(value: object) -> str:
    """A value as inline TOML."""
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{ " + ", ".join(f'"{name}" = {_toml(item)}' for name, item in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            return "'" + value + "'"
        case _:
            return str(value)


def _load(*entries: dict[str, Any]) -> Table:
    text = "\n".join(
        "[[route]]\n" + "\n".join(f"{name} = {_toml(value)}" for name, value in entry.items()) for entry in entries
    )
    return load_routes("routes.toml", text, _bundle(), SERVICES)


def _one(**changes: Any) -> Route:
    """The route that `READ` makes with changes; None takes a key away."""
    entry = {name: value for name, value in {**READ, **changes}.items() if value is not None}
    return _load(entry).routes[0]


def test_an_entry_makes_a_route() -> None:
    """Segments, parameters and templates as they were written; what reads is buffered."""
    assert _one() == Route(
        id="order.read",
        method="GET",
        template="/orders/{order_id}",
        segments=("orders", None),
        params=("order_id",),
        service="order",
        action="order:read",
        resource_type="Order",
        resource_id="{order_id}",
    )


def test_an_entry_with_everything_makes_a_route_with_everything() -> None:
    """Each key has its effect; header names are looked up in lower case."""
    table = _load(
        {
            **CREATE,
            "path": "/t/{tenant}/orders/{order_id}",
            "context": {
                "amount": {"from": "body", "pointer": "/lines/0/a~1b~0"},
                "channel": {"from": "header", "name": "X-Channel", "optional": True},
                "gift": {"from": "query", "name": "Gift", "optional": True},
            },
            "tenant": {"path": "tenant"},
            "tenant_pointers": ["/tenant_id", ""],
            "changes": False,
            "guarantee": "durable",
            "anonymous": True,
            "pass_authorization": True,
            "max_body_bytes": 100,
        }
    )
    [route] = table.routes
    assert route.problem == ""
    assert route.attributes == (
        Attribute("amount", Source.BODY, "/lines/0/a~1b~0", "Long"),
        Attribute("channel", Source.HEADER, "x-channel", "String", required=False),
        Attribute("gift", Source.QUERY, "Gift", "Boolean", required=False),
    )
    assert (route.tenant_param, route.tenant_pointers) == ("tenant", ("/tenant_id", ""))
    assert (route.changes, route.durable, route.anonymous, route.pass_authorization) == (False, True, True, True)
    assert (route.body_bytes, route.reads_body) == (100, True)


@pytest.mark.parametrize(
    ("changes", "changes_something", "durable"),
    [
        ({}, False, False),
        ({"guarantee": "durable"}, False, True),
        ({"changes": True}, True, True),
        ({"changes": True, "guarantee": "buffered"}, True, False),
        ({"method": "DELETE"}, True, True),
        ({"method": "PUT", "changes": False}, False, False),
        ({"method": "PATCH", "guarantee": "buffered"}, True, False),
    ],
)
def test_what_changes_something_is_durable_unless_it_says_otherwise(
    changes: dict[str, Any], changes_something: bool, durable: bool
) -> None:
    """Anything but GET changes something unless it says otherwise."""
    route = _one(**changes)
    assert (route.changes, route.durable, route.problem) == (changes_something, durable, "")


def test_a_route_that_opens_tunnels_changes_something() -> None:
    """Also though it is a GET: bound, and on disk before the service is asked."""
    route = _one(websocket=True)
    assert (route.websocket, route.changes, route.durable, route.problem) == (True, True, True, "")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": "HEAD"}, "method `HEAD`"),
        ({"method": "get"}, "method `get`"),
        ({"path": "orders"}, "does not begin with a slash"),
        ({"path": "/orders/"}, "segment ``"),
        ({"path": "/a//b"}, "segment ``"),
        ({"path": "/a/../b"}, "segment `..`"),
        ({"path": "/a/./b"}, "segment `.`"),
        ({"path": "/a%20b"}, "segment `a%20b`"),
        ({"path": "/a/{x}y"}, "segment `{x}y`"),
        ({"path": "/a/{X}"}, "segment `{X}`"),
        ({"path": "/a/*"}, "segment `*`"),
        ({"path": "/{a}/{a}", "resource": {"type": "Order"}}, "twice"),
        ({"colour": "red"}, "colour"),
        ({"resource": {"type": "Order", "ids": "x"}}, "ids"),
        ({"service": None}, "service"),
        ({"max_body_bytes": "10"}, "max_body_bytes"),
    ],
)
def test_an_entry_whose_paths_cannot_be_known_refuses_the_file(changes: dict[str, Any], words: str) -> None:
    """The finding names file, route and reason."""
    with pytest.raises(RoutesError) as caught:
        _one(**changes)
    assert str(caught.value).startswith("routes.toml: route 1 `order.read`: ")
    assert words in str(caught.value)


def test_every_finding_is_told_at_once() -> None:
    """One a line, each with its place."""
    with pytest.raises(RoutesError) as caught:
        _load({**READ, "method": "X"}, READ, {**READ, "id": "other", "path": "x"}, {**CREATE, "id": "order.read"})
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        "route 1 `order.read`",
        "route 3 `other`",
        "route 4 `order.read`",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[route]", "routes.toml: "),
        ("route = 1", "routes.toml: "),
        ("[[routes]]\nid = 'x'", "routes"),
        ("[[route]]\nmethod = 'GET'", "route 1 `?`"),
    ],
)
def test_a_file_that_is_no_list_of_routes_is_refused(text: str, words: str) -> None:
    """With the file's name, never with a Python error."""
    with pytest.raises(RoutesError, match="routes") as caught:
        load_routes("routes.toml", text, _bundle(), SERVICES)
    assert words in str(caught.value)


def test_two_routes_for_the_same_requests_refuse_the_file() -> None:
    """Their names are told."""
    with pytest.raises(RoutesError, match=r"routes\.toml: .*`order\.read`.*`twin`"):
        _load(READ, {**READ, "id": "twin", "path": "/orders/{id}", "resource": {"type": "Order"}})


def test_every_fault_has_its_entry_and_code() -> None:
    """For whoever knows where entries stand; all pairs that match the same are told, beside what else is wrong."""
    twin = {**READ, "path": "/orders/{id}", "resource": {"type": "Order"}}
    with pytest.raises(RoutesError) as caught:
        _load(READ, {**twin, "id": "b"}, {**READ, "id": "c", "path": "x"}, {**twin, "id": "d"})
    assert [(fault.entry, fault.code) for fault in caught.value.faults] == [
        (2, "same-routes"),
        (3, "routes"),
        (4, "same-routes"),
    ]
    assert caught.value.entries == 4


def test_no_routes_are_a_table_too() -> None:
    """An empty file refuses every path, and nothing else."""
    assert load_routes("routes.toml", "", _bundle(), SERVICES).routes == ()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"service": "nowhere"}, "service `nowhere` is not configured"),
        ({"action": "order:nothing"}, "action `order:nothing` is not in the schema"),
        ({"resource": {"type": "Stock"}}, "does not apply to `Stock`"),
        ({"resource": {"type": "Order", "id": "{other}"}}, "no parameter `other`"),
        ({"resource": {"type": "Order", "id": "{Order_Id}"}}, "brace"),
        ({"resource": {"type": "Order", "id": "{order_id"}}, "brace"),
        ({"tenant": {"path": "tenant"}}, "no parameter `tenant`"),
        ({"guarantee": "maybe"}, "guarantee `maybe`"),
        ({"tenant_pointers": ["/tenant"]}, "GET has no body"),
        ({"method": "POST", "tenant_pointers": ["tenant"]}, "tenant pointer `tenant`"),
        ({"method": "POST", "tenant_pointers": ["/a~2"]}, "tenant pointer `/a~2`"),
        ({"method": "POST", "websocket": True}, "opened by GET"),
        ({"changes": False, "websocket": True}, "opening a tunnel changes something"),
        ({"guarantee": "buffered", "websocket": True}, "opening a tunnel changes something"),
        ({"websocket": True, "trailers": True}, "neither fields to redact nor trailers"),
        ({"websocket": True, "redact": {"pii": ["/x"]}}, "neither fields to redact nor trailers"),
        ({"max_body_bytes": 0}, "max_body_bytes"),
        ({"max_body_bytes": -1}, "max_body_bytes"),
        ({"action": "order:create"}, "context `amount` is required"),
        ({**CREATE, "method": "DELETE"}, "DELETE has no body"),
        ({**CREATE, "context": {"amount": {**AMOUNT, "optional": True}}}, "optional here and required"),
        ({**CREATE, "context": {"amount": {"from": "body", "pointer": "amount"}}}, "`pointer` of RFC 6901"),
        ({**CREATE, "context": {"amount": {"from": "body", "pointer": "/a~"}}}, "`pointer` of RFC 6901"),
        ({**CREATE, "context": {"amount": {"from": "body", "name": "amount"}}}, "`pointer` of RFC 6901"),
        ({**CREATE, "context": {"amount": {"from": "header"}}}, "all else a `name`"),
        ({**CREATE, "context": {"amount": {"from": "cookie", "name": "x"}}}, "from `cookie`"),
        ({**CREATE, "context": {"amount": {"from": "path", "name": "other"}}}, "no parameter `other`"),
        ({**CREATE, "context": {"amount": AMOUNT, "due": {"from": "query", "name": "due"}}}, "type datetime"),
        ({**CREATE, "context": {"amount": AMOUNT, "tags": {"from": "query", "name": "t"}}}, "type Set"),
        (
            {**CREATE, "context": {"amount": AMOUNT, "weight": {"from": "query", "name": "w"}}},
            "not in the context type",
        ),
    ],
)
def test_an_entry_that_is_wrong_in_itself_stays_and_refuses_its_paths(changes: dict[str, Any], words: str) -> None:
    """Dropping it would let a wider route have its requests."""
    table = _load({**READ, **changes}, {**READ, "id": "wide", "path": "/{any}/{id}", "resource": {"type": "Order"}})
    method = changes.get("method", "GET")
    found = table.match(method, ("orders", "o-1")).route
    assert found.id != "wide"
    assert words in found.problem
    assert table.match("GET", ("other", "o-1")).route.problem == ""
