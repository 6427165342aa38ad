"""The same question through every door gets the same answer: one gateway, asked on its public port and at its doors."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import grpc.aio
import httpx
import msgspec
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from gateway.doors.ext_authz import SERVICE
from tests.gateway.doors.house import bearer
from tests.gateway.doors.process import Opened, exchange, opened
from tests.servers.postgres import Logins


class Said(msgspec.Struct, frozen=True):
    """An answer, whatever form a door gives it."""

    allow: bool
    code: str | None = None
    missing_role: str | None = None


class Question(msgspec.Struct, frozen=True):
    """What is asked, as a client would send it; `cedar` is what the routes make of it, action and resource."""

    method: str
    target: str
    role: str | None = "Cashier"
    tenant: str = "acme"
    fields: tuple[tuple[str, str], ...] = ()
    cedar: tuple[str, str, str] | None = None

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What the client sends."""
        return [*bearer(self.role, self.tenant), *self.fields]


def _of_http(answer: httpx.Response) -> Said:
    if answer.status_code == 200:
        return Said(allow=True)
    body = answer.json()
    return Said(allow=False, code=body["code"], missing_role=body["missing_role"])


async def public_port(it: Opened, asked: Question) -> Said:
    """The gateway in the way."""
    return _of_http(await exchange(int(it.gateway.url.rpartition(":")[2]), asked.method, asked.target, *asked.headers))


async def forward(it: Opened, asked: Question) -> Said:
    """Forward-auth, as Traefik and Caddy ask."""
    told = [("X-Forwarded-Method", asked.method), ("X-Forwarded-Uri", asked.target)]
    return _of_http(await exchange(it.ops, "GET", "/authz/forward", *told, *asked.headers))


async def auth_request(it: Opened, asked: Question) -> Said:
    """Forward-auth, as nginx asks."""
    told = [("X-Original-Method", asked.method), ("X-Original-URI", asked.target)]
    return _of_http(await exchange(it.ops, "GET", "/authz/forward", *told, *asked.headers))


async def ext_authz_http(it: Opened, asked: Question) -> Said:
    """Envoy over HTTP."""
    return _of_http(await exchange(it.ops, asked.method, f"/authz/envoy{asked.target}", *asked.headers))


async def ext_authz_grpc(it: Opened, asked: Question) -> Said:
    """Envoy over gRPC."""
    request = CheckRequest()
    http = request.attributes.request.http
    http.method, http.path, http.size = asked.method, asked.target, -1
    for name, value in asked.headers:
        http.header_map.headers.add(key=name.lower(), raw_value=value.encode())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{it.grpc}") as channel:
        call: Any = channel.unary_unary(
            f"/{SERVICE}/Check",
            request_serializer=CheckRequest.SerializeToString,
            response_deserializer=CheckResponse.FromString,
        )
        told = await call(request, timeout=5)
    if told.WhichOneof("http_response") == "ok_response":
        return Said(allow=True)
    body = msgspec.json.decode(told.denied_response.body)
    return Said(allow=False, code=body["code"], missing_role=body["missing_role"])


async def authzen(it: Opened, asked: Question) -> bool:
    """The decision API, asked about the caller by a machine of the platform."""
    assert asked.cedar is not None
    action, kind, name = asked.cedar
    properties = {"roles": [asked.role], "tenant": asked.tenant}
    question = {
        "subject": {"type": "User", "id": f"dev/{asked.tenant}/u-17", "properties": properties},
        "action": {"name": action},
        "resource": {"type": kind, "id": name, "properties": {"tenant": asked.tenant}},
    }
    fields = [*bearer("Service", "platform"), ("Content-Type", "application/json")]
    answer = await exchange(it.ops, "POST", "/access/v1/evaluation", *fields, body=msgspec.json.encode(question))
    assert answer.status_code == 200, answer.text
    decision: bool = answer.json()["decision"]
    return decision


DOORS: Mapping[str, Callable[[Opened, Question], Awaitable[Said]]] = MappingProxyType(
    {
        "public": public_port,
        "forward": forward,
        "auth_request": auth_request,
        "ext_authz_http": ext_authz_http,
        "ext_authz_grpc": ext_authz_grpc,
    }
)
"""Every way to ask; the first is the one that the others must agree with."""

QUESTIONS = (
    Question("GET", "/orders", cedar=("order:list", "Order", "*")),
    Question("HEAD", "/orders", cedar=("order:list", "Order", "*")),
    Question("GET", "/orders?limit=5&q=a%2Fb", cedar=("order:list", "Order", "*")),
    Question("GET", "/orders/o-1", "Support", cedar=("order:read", "Order", "o-1")),
    Question("GET", "/orders", "Auditor", cedar=("order:list", "Order", "*")),
    Question("GET", "/orders", "InventoryClerk", cedar=("order:list", "Order", "*")),
    Question("GET", "/orders", "Admin", cedar=("order:list", "Order", "*")),
    Question("GET", "/orders", "NoSuchRole", cedar=("order:list", "Order", "*")),
    Question("GET", "/orders", None),
    Question("POST", "/orders", cedar=("order:create", "Order", "*")),
    Question("POST", "/orders", "Auditor", cedar=("order:create", "Order", "*")),
    Question("POST", "/orders", None),
    Question("POST", "/products/import", "Manager", cedar=("product:import", "Product", "*")),
    Question("POST", "/products/import", cedar=("product:import", "Product", "*")),
    Question("GET", "/tenants/acme/orders", cedar=("order:list", "Order", "*")),
    Question("GET", "/tenants/beta/orders"),
    Question("GET", "/tenants/beta/orders", "Cashier", "beta", cedar=("order:list", "Order", "*")),
    Question("GET", "/tenants/beta/orders", "SuperAdmin", "platform"),
    Question("GET", "/orders", fields=(("X-Tenant-Id", "beta"),)),
    Question("GET", "/orders", fields=(("X-Tenant-Id", "acme"),)),
    Question("GET", "/catalog/acme/products", None),
    Question("GET", "/catalog/No_Tenant/products", None),
    Question("GET", "/catalog/beta/products"),
    Question("GET", "/nowhere"),
    Question("GET", "/nowhere", None),
    Question("GET", "/orders/"),
    Question("DELETE", "/orders"),
    Question("TRACE", "/orders"),
    Question("GET", "/orders/%C3%A4"),
    Question("GET", "/orders/../payments"),
    Question("GET", "/orders/%2e%2e/payments"),
    Question("GET", "/orders/a%2fb"),
    Question("GET", "//orders"),
    Question("GET", "/orders;v=1"),
    Question("GET", "/orders/%00"),
    Question("GET", "/orders/%ff"),
    Question("GET", "/orders/%zz"),
    Question("GET", "/orders", None, fields=(("Authorization", "Bearer nonsense"),)),
    Question("GET", "/orders", fields=(("Authorization", "Bearer second"),)),
)


async def test_every_door_says_the_same(tmp_path: Path, migrated_database: Logins) -> None:
    """Effect, code and the role that would have done, for routes, roles, tenants, strangers and odd paths."""
    async with opened(tmp_path, migrated_database.writer) as it:
        it.service.reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"  # to HEAD as well
        allowed = 0
        for asked in QUESTIONS:
            said = {name: await ask(it, asked) for name, ask in DOORS.items()}
            assert set(said.values()) == {said["public"]}, (asked.method, asked.target, asked.role, said)
            if asked.cedar is not None:
                assert await authzen(it, asked) is said["public"].allow, asked
            allowed += said["public"].allow
        assert 10 < allowed < len(QUESTIONS) - 10, "the table asks for both"


async def test_where_a_door_must_say_no_although_the_gateway_would_not(
    tmp_path: Path, migrated_database: Logins
) -> None:
    """The table of the guide: what cannot be done at a door is refused there, and only there."""
    async with opened(tmp_path, migrated_database.writer) as it:
        for asked, code in (
            (Question("GET", "/orders/%6F-1"), "bad_request"),
            (Question("GET", "/orders/feed"), "forbidden"),
            (Question("GET", "/orders/cards", "Support"), "forbidden"),
            (Question("GET", "/orders", fields=(("Upgrade", "h2c"), ("Connection", "close, upgrade"))), "forbidden"),
        ):
            said = {name: await ask(it, asked) for name, ask in DOORS.items()}
            assert said.pop("public").allow, asked
            assert set(said.values()) == {Said(allow=False, code=code)}, asked
