"""nginx, Caddy and Envoy as docs/guides/other-proxies.md configures them, in front of a service, beside a gateway."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gateway.doors.settings import DoorSettings
from tests.gateway.doors.house import bearer
from tests.gateway.doors.process import Opened, exchange, opened
from tests.servers import proxies
from tests.servers.postgres import Logins

Run = Callable[[Opened, Path], AbstractAsyncContextManager[int]]

PROXIES: dict[str, Run] = {
    "nginx": lambda it, folder: proxies.nginx(folder, it.ops, it.service.port),
    "caddy": lambda it, folder: proxies.caddy(folder, it.ops, it.service.port),
    "envoy_http": lambda it, folder: proxies.envoy(folder, ops=it.ops, service=it.service.port),
    "envoy_grpc": lambda it, folder: proxies.envoy(folder, grpc=it.grpc, service=it.service.port),
}
ENVOY = {"envoy_http", "envoy_grpc"}
HIS = "203.0.113.66"
"""What a client claims."""


class Shop:
    """A proxy in front of the service.

    Attributes:
        name: Which.
        door: Where it asks.
        port: Where clients connect.
        opened: The gateway beside it.
    """

    def __init__(self, name: str, port: int, it: Opened) -> None:
        self.name, self.port, self.opened = name, port, it
        self.door = {"envoy_http": "ext_authz_http", "envoy_grpc": "ext_authz_grpc"}.get(name, "forward")

    async def raw(self, method: str, target: str, *fields: tuple[str, str], body: bytes = b"") -> httpx.Response:
        """One request to the proxy, to the byte, and the whole answer."""
        return await exchange(self.port, method, target, *fields, body=body)

    def expected(self, status: int) -> int:
        """Envoy hands real statuses on."""
        return status if self.name in ENVOY or status in {200, 401} else 403


@contextlib.asynccontextmanager
async def shop(name: str, folder: Path, store: str, **doors: Any) -> AsyncIterator[Shop]:
    """Gateway, service and proxy."""
    place = folder / "proxy"
    place.mkdir()
    async with opened(folder, store, **doors) as it, PROXIES[name](it, place) as port:
        yield Shop(name, port, it)


@pytest.mark.parametrize("name", PROXIES)
async def test_a_proxy_that_asks(name: str, tmp_path: Path, migrated_database: Logins) -> None:
    """What the page promises of this proxy: allows, denials, and everything that a client tries."""
    async with shop(name, tmp_path, migrated_database.writer) as it:
        await _an_allow_reaches_the_service_with_its_context(it)
        await _a_change_is_bound(it)
        await _what_a_client_says_in_our_name_is_not_believed(it)
        await _a_client_cannot_have_our_fields_taken_out(it)
        await _denials_reach_the_client(it)
        await _two_of_what_must_be_one_are_refused(it)
        await _odd_targets_never_reach_the_service(it)
        await _a_claimed_request_is_not_the_one_decided(it)
        await _what_needs_the_gateway_is_refused(it)


async def _an_allow_reaches_the_service_with_its_context(it: Shop) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    parent = ("traceparent", f"00-{trace}-00f067aa0ba902b7-01")
    answer = await it.raw("GET", "/orders?limit=5&q=a%2Fb", parent, *bearer("Cashier"))
    assert (answer.status_code, answer.json()) == (200, {})
    context = await it.opened.believed()
    assert (context.sub, context.tenant_id, context.trace_id) == ("u-17", "acme", trace)
    assert it.opened.service.heads[-1].startswith(b"GET /orders?limit=5&q=a%2Fb HTTP/1.")
    sent = it.opened.service.fields()
    assert (sent["x-tenant-id"], sent["x-user-id"], sent["x-user-roles"]) == ("acme", "u-17", "Cashier")
    assert (sent["x-trace-id"], sent["traceparent"].split("-")[1]) == (trace, trace)
    assert "authorization" not in sent, "the caller's credential is not for the service"


async def _a_change_is_bound(it: Shop) -> None:
    answer = await it.raw("POST", "/orders?dry=1", *bearer("Cashier"), body=b'{"sku": "a"}')
    assert answer.status_code == 200
    assert it.opened.service.bodies[-1] == b'{"sku": "a"}'
    context = await it.opened.believed()
    assert context.decision_id == it.opened.service.fields()["x-decision-id"]
    head = it.opened.service.heads[-1]
    it.opened.service.heads[-1] = head.replace(b"dry=1", b"dry=2")
    with pytest.raises(Exception, match="target"):
        await it.opened.believed()


async def _what_a_client_says_in_our_name_is_not_believed(it: Shop) -> None:
    names = ("X-Security-Context", "X-User-Id", "X-User-Roles", "X-Trace-Id", "X-Decision-Id")
    lies = [(name, HIS) for name in names] + [(name.replace("-", "_"), HIS) for name in names]
    lies += [(name.lower(), HIS) for name in names] + [("X_Tenant_Id", HIS)]
    for role, target, who in (("Cashier", "/orders", "u-17"), (None, "/catalog/acme/products", "")):
        answer = await it.raw("GET", target, *lies, *bearer(role))
        assert answer.status_code == 200, (role, answer.text)
        head = it.opened.service.heads[-1]
        assert HIS.encode() not in head, head
        assert (await it.opened.believed()).sub == who
        assert it.opened.service.fields().get("x-user-id", "") == who


async def _a_client_cannot_have_our_fields_taken_out(it: Shop) -> None:
    """What `Connection` names ends at a hop: our fields must not, whatever the client says (CVE-2024-45410)."""
    named = ("Connection", "close, X-Security-Context, X-User-Id, X-Tenant-Id, X-User-Roles")
    answer = await it.raw("GET", "/orders", named, *bearer("Cashier"))
    if answer.status_code == 200:
        assert (await it.opened.believed()).sub == "u-17"
        assert it.opened.service.fields()["x-user-id"] == "u-17"
        assert it.opened.service.fields()["x-tenant-id"] == "acme"


async def _denials_reach_the_client(it: Shop) -> None:
    before = len(it.opened.service.heads)
    for role, method, target, status, code, missing in (
        ("Auditor", "GET", "/orders", 403, "forbidden", "Cashier"),
        (None, "GET", "/orders", 401, "unauthenticated", None),
        ("Cashier", "GET", "/nowhere", 404, "route_unknown", None),
        ("Cashier", "DELETE", "/orders", 405, "method_not_allowed", None),
        ("Cashier", "GET", "/tenants/beta/orders", 403, "tenant_mismatch", None),
    ):
        answer = await it.raw(method, target, *bearer(role))
        assert (answer.status_code, answer.headers["x-lychgate-code"]) == (it.expected(status), code)
        assert ("www-authenticate" in answer.headers) is (status == 401)
        if it.name != "nginx":  # which has a page of its own
            told = answer.json()
            assert (told["code"], told["missing_role"]) == (code, missing)
    assert len(it.opened.service.heads) == before, "nothing was forwarded"


async def _two_of_what_must_be_one_are_refused(it: Shop) -> None:
    [credential] = bearer("Cashier")
    [other] = bearer("Admin", "beta")
    for fields in (
        (credential, other),
        (credential, credential),
        (credential, ("X-Tenant-Id", "acme"), ("X-Tenant-Id", "beta")),
        (credential, ("X-Tenant-Id", "beta")),
    ):
        answer = await it.raw("GET", "/orders", *fields)
        assert answer.status_code in {400, 403}, fields


async def _odd_targets_never_reach_the_service(it: Shop) -> None:
    """Whether proxy or door refuses them, or the proxy asks about what it will really forward."""
    before = len(it.opened.service.heads)
    for target in (
        "/catalog/../orders",
        "/catalog/acme/products/../../../payments/p-1/refund",
        "/orders/..%2f..%2fpayments",
        "/orders/%2e%2e/payments",
        "//orders",
        "/orders;a=b",
        "/orders%00",
        "/orders/%252e",
        "/orders\\..\\x",
        "/%6Frders",
        "/orders#top",
    ):
        await it.raw("GET", target, *bearer("Cashier"))
        for head in it.opened.service.heads[before:]:
            assert head.split(b" ")[1] in {b"/orders", b"/orders/o-1"}, (target, head)


async def _a_claimed_request_is_not_the_one_decided(it: Shop) -> None:
    """A client that sends the fields by which proxies tell a request: its own is decided, or refused."""
    before = len(it.opened.service.heads)
    for fields in (
        [("X-Original-Method", "GET"), ("X-Original-URI", "/catalog/acme/products")],
        [("X-Forwarded-Method", "GET"), ("X-Forwarded-Uri", "/catalog/acme/products")],
        [("X-Original-URI", "/catalog/acme/products")],
        [("X-Forwarded-Prefix", "/catalog"), ("X-Rewrite-Url", "/catalog/acme/products")],
        [("Connection", "close, X-Original-URI, X-Original-Method, X-Forwarded-Uri, X-Forwarded-Method")],
    ):
        answer = await it.raw("GET", "/orders", *fields)
        assert answer.status_code in {401, 403, 400}, (fields, answer.text)
    assert len(it.opened.service.heads) == before
    answer = await it.raw("GET", "/orders", ("X-Forwarded-For", HIS), *bearer("Cashier"))
    assert answer.status_code == 200


async def _what_needs_the_gateway_is_refused(it: Shop) -> None:
    assert (await it.raw("GET", "/orders/feed", *bearer("Cashier"))).status_code == 403
    assert (await it.raw("GET", "/orders/cards", *bearer("Support"))).status_code == 403
    json_type = ("Content-Type", "application/json")
    small, large = b'{"amount": 100}', b'{"amount": 100, "note": "' + b"x" * 100_000 + b'"}'
    answer = await it.raw("POST", "/payments/p-1/refund", json_type, *bearer("Manager"), body=small)
    if it.name == "envoy_grpc":
        assert (answer.status_code, it.opened.service.bodies[-1]) == (200, small)
        assert (await it.opened.believed()).sub == "u-17"
    else:
        assert answer.status_code == it.expected(415)
    answer = await it.raw("POST", "/payments/p-1/refund", json_type, *bearer("Manager"), body=large)
    assert answer.status_code == it.expected(415), "only a part of it came"
    answer = await it.raw("POST", "/orders", *bearer("Cashier"), body=large)
    assert (answer.status_code, it.opened.service.bodies[-1]) == (200, large), "a body that nobody decides on passes"


async def test_a_proxy_that_is_not_a_peer_gets_nothing_through(tmp_path: Path, migrated_database: Logins) -> None:
    """With the default, no peers: every proxy's every question is refused, and the gateway says so."""
    async with opened(tmp_path, migrated_database.writer, peers=[]) as it:
        for name, run in PROXIES.items():
            place = tmp_path / name
            place.mkdir()
            async with run(it, place) as port:
                answer = await Shop(name, port, it).raw("GET", "/orders", *bearer("Admin"))
                assert (answer.status_code, answer.headers["x-lychgate-code"]) == (403, "forbidden"), name
        assert it.service.heads == []
        assert it.gateway.log.count("door_peer_unknown") == 1


async def test_traefiks_question_by_hand(tmp_path: Path, migrated_database: Logins) -> None:
    """Traefik is not run: its documented sub-request, with the fields it sets and removes."""
    async with opened(tmp_path, migrated_database.writer) as it:
        headers = [
            ("X-Forwarded-Method", "POST"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "shop.example"),
            ("X-Forwarded-Uri", "/orders?x=1"),
            ("X-Forwarded-For", "192.0.2.9"),
            ("X-Forwarded-Port", "443"),
            ("X-Forwarded-Server", "traefik"),
            ("X-Real-Ip", "192.0.2.9"),
            ("Accept-Encoding", "gzip"),
            ("User-Agent", "till"),
            *bearer("Cashier"),
        ]
        told = await it.gateway.ops.get("/authz/forward", headers=headers)
        assert (told.status_code, told.content) == (200, b"")
        assert told.headers["x-user-id"] == "u-17"
        [config] = proxies.blocks("Traefik")
        middleware = yaml.safe_load(config)["http"]["middlewares"]["lychgate"]["forwardAuth"]
        assert middleware["address"] == "http://127.0.0.1:8081/authz/forward"
        assert {name.lower() for name in middleware["authResponseHeaders"]} <= set(told.headers)
        denied = await it.gateway.ops.get("/authz/forward", headers=headers[:-1])
        assert (denied.status_code, denied.json()["code"]) == (401, "unauthenticated")
        status = (await it.gateway.ops.get("/internal/metrics")).text
        assert 'lychgate_door_checks_total{door="forward",result="allowed"} 1.0' in status
        assert 'lychgate_door_checks_total{door="forward",result="unauthenticated"} 1.0' in status


def test_the_settings_on_the_page_are_settings() -> None:
    """Both blocks that stand for `lychgate.yaml` are taken as they are."""
    for heading in ("Who may ask", "Envoy over gRPC"):
        text = proxies.blocks(heading)[0]
        assert DoorSettings(**yaml.safe_load(text)["doors"]).peers == ("127.0.0.1/32",)
