"""The wounds of other gateways (their advisories stand beside each row), opened here once more over real sockets."""

import asyncio
import json
import re
from pathlib import Path

import pytest

from gateway.limits import Limits
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request, token
from tests.servers.upstream import Visit

ROUTES = """
[[route]]
id = "admin"
method = "POST"
path = "/admin/orders"
service = "order"
action = "product:import"
resource = { type = "Product" }

[[route]]
id = "public"
method = "GET"
path = "/public/{thing}"
service = "order"
action = "order:list"
resource = { type = "Order" }

[[route]]
id = "wide"
method = "POST"
path = "/{any}/{thing}"
service = "order"
action = "order:create"
resource = { type = "Order" }
guarantee = "buffered"

[[route]]
id = "refund"
method = "POST"
path = "/payments/{payment_id}/refund"
service = "order"
action = "payment:refund"
resource = { type = "Payment", id = "{payment_id}" }
context = { amount = { from = "body", pointer = "/amount" } }

[[route]]
id = "open"
method = "GET"
path = "/catalog/{tenant}/products"
service = "order"
action = "product:browse"
resource = { type = "Product" }
tenant = { path = "tenant" }
anonymous = true
"""
SEARCH = """
[[route]]
id = "discount"
method = "POST"
path = "/orders/{order_id}/discount"
service = "order"
action = "order:discount"
resource = { type = "Order", id = "{order_id}" }
context = { percent = { from = "header", name = "x-percent" } }
"""
AUTH = f"Authorization: Bearer {token()}"
QUICK = Limits(
    header_read_s=0.3, body_stall_s=0.3, keep_alive_idle_s=0.3, first_byte_s=0.3, stall_s=0.3, half_close_s=0.3
)


def _statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


@pytest.mark.parametrize("pieces", [0, 1])
@pytest.mark.parametrize(
    "target",
    [
        "/public/../admin/orders",
        "/public/%2e%2e/admin/orders",
        "/public//admin/orders",
        "//admin/orders",
        "/public%2F..%2Fadmin/orders",
        "/public%5c..%5cadmin",
        "/public;x=/admin",
        "/admin/orders;x",
        "/public/a%00b",
        "/public/%c0%ae%c0%ae",
        "/public/%252e%252e",
        "admin/orders",
    ],
)
async def test_a_path_that_is_ambiguous_reaches_nobody(tmp_path: Path, target: str, pieces: int) -> None:
    """Envoy CVE-2019-9901, Oathkeeper GHSA-p224-6x5r-fjpm, Contour 7703, OpenShell 878, grpc-go CVE-2026-33186."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        assert _statuses(await gate.raw(request("POST", target), pieces=pieces)) == [400]
        assert gate.service.heads == []


async def test_a_trailing_slash_is_kept_and_is_another_path(tmp_path: Path) -> None:
    """Neither merged with the path without it, nor forwarded under that path's decision."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        assert _statuses(await gate.raw(request("GET", "/public/a"))) == [200]
        assert _statuses(await gate.raw(request("GET", "/public/a/"))) == [404]
        assert len(gate.service.heads) == 1


@pytest.mark.parametrize(
    ("sent", "forwarded"),
    [("/public/%61%7e", "/public/a~"), ("/public/x%c3%a9?q=%2e%2E/..;", "/public/x%C3%A9?q=%2e%2E/..;")],
)
async def test_what_was_decided_is_what_is_forwarded(tmp_path: Path, sent: str, forwarded: str) -> None:
    """One canonical path is matched and sent; the query goes as it came."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        assert _statuses(await gate.raw(request("GET", sent))) == [200]
        assert gate.service.heads[0].startswith(f"GET {forwarded} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    "fields",
    [
        "Host: evil.example",
        "Host: shop.example",
        AUTH,
        "authorization: Basic eDp5",
    ],
)
async def test_a_field_that_must_be_one_is_not_two(tmp_path: Path, fields: str) -> None:
    """Envoy CVE-2026-26308, CVE-2021-32777: which of them is believed is not for the next hop to say."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        answer = await gate.raw(request("GET", "/public/a", headers=fields, close=False))
        assert _statuses(answer) == [400]
        assert b"connection: close" in answer
        assert gate.service.heads == []


async def test_a_field_that_decides_is_not_two(tmp_path: Path) -> None:
    """Envoy GHSA-ghc4-35x6-crw5: decided on one value, the service would act on the other."""
    async with plane(tmp_path, routes=SEARCH) as gate:
        for fields in ("X-Percent: 1\r\nX-Percent: 90", "X-Percent: 1\r\nx-percent: 1", "X-Percent: 1, 90"):
            answer = await gate.raw(request("POST", "/orders/o-1/discount", headers=fields))
            assert _statuses(answer) == [400], fields
        assert gate.service.heads == []
        assert _statuses(await gate.raw(request("POST", "/orders/o-1/discount", headers="X-Percent: 1"))) == [200]
        assert gate.service.fields()["x-percent"] == "1"


@pytest.mark.parametrize("order", [("acme", "globex"), ("globex", "acme")])
async def test_a_second_tenant_is_seen_wherever_it_stands(tmp_path: Path, order: tuple[str, str]) -> None:
    """Neither the first nor the last counts alone, and the service is told the token's."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        named = "\r\n".join(f"X-Tenant-Id: {name}" for name in order)
        assert _statuses(await gate.raw(request("GET", "/public/a", headers=named))) == [403]
        assert gate.service.heads == []
        same = "X-Tenant-Id: acme\r\nX-Tenant-Id: acme"
        assert _statuses(await gate.raw(request("GET", "/public/a", headers=same))) == [200]
        assert gate.service.heads[0].lower().count(b"\r\nx-tenant-id: acme\r\n") == 1


@pytest.mark.parametrize(
    "name", ["X-Security-Context ", "X-Tenant-Id\t", " X-User-Id", "X-User-Roles\x00", "X-Decision-Id\x0b"]
)
async def test_a_name_with_white_space_is_refused_not_passed(tmp_path: Path, name: str) -> None:
    """Envoy's underscore option, huginn-proxy 221: a name that some servers trim never gets past."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        answer = await gate.raw(request("GET", "/catalog/acme/products", auth=None, headers=f"{name}: forged"))
        assert _statuses(answer) == [400]
        assert gate.service.heads == []


@pytest.mark.parametrize("pieces", [0, 1])
@pytest.mark.parametrize(
    "smuggled",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Content-Length: 5\r\nContent-Length: 0\r\n\r\n",
        "X: y\rContent-Length: 5\r\n\r\n",
        "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length : 5\r\n\r\n",
        "X: y\r\n Content-Length: 5\r\n\r\n",
    ],
)
async def test_a_body_of_two_lengths_reaches_nobody(tmp_path: Path, smuggled: str, pieces: int) -> None:
    """Gunicorn 2176, 3364, 3327, aiohttp, hertz 1490: the request behind it is never read."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        head = f"POST /public/a HTTP/1.1\r\nHost: a\r\n{AUTH}\r\n{smuggled}"
        answer = await gate.raw(head.encode("latin-1") + request("POST", "/admin/orders"), pieces=pieces)
        assert _statuses(answer) == [400]
        assert gate.service.heads == []


@pytest.mark.parametrize(
    "chunk", ["5;a\nb\r\nhello\r\n", "5\nhello\r\n", "5\r\nhello\n", "5 \r\nhello\r\n", "5;\r\nhello\r\n"]
)
async def test_a_chunk_that_lies_ends_it(tmp_path: Path, chunk: str) -> None:
    """What follows is never a request, and the service never gets a whole body."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        head = f"POST /public/a HTTP/1.1\r\nHost: a\r\n{AUTH}\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}0\r\n\r\n"
        answer = await gate.raw(head.encode() + request("POST", "/admin/orders"))
        assert 200 not in _statuses(answer)
        assert not any(b"/admin" in sent for sent in gate.service.heads)


@pytest.mark.parametrize("auth", [None, ""], ids=["anonymous", "known"])
async def test_nobody_speaks_in_our_name(tmp_path: Path, auth: str | None) -> None:
    """Oathkeeper GHSA-vhr5-ggp3-qq85, Traefik GHSA-6384-m2mw-rf54, oauth2-proxy GHSA-7x63-xv5r-3p2x."""
    ours = ["X-Security-Context", "X-Tenant-Id", "X-User-Id", "X-User-Roles", "X-Trace-Id", "X-Decision-Id"]
    origin = [f"X-Forwarded-{name}" for name in ("Proto", "Host", "Uri", "Prefix", "Method", "For")]
    forged = [*ours, *origin, "Forwarded", "X-Original-URL", "X-HTTP-Method-Override"]
    spelled = [form for name in forged for form in (name, name.upper(), name.replace("-", "_"))]
    lines = [f"{name}: acme" if name.lower() == "x-tenant-id" else f"{name}: forged" for name in spelled]
    async with plane(tmp_path, routes=ROUTES) as gate:
        answer = await gate.raw(request("GET", "/catalog/acme/products", auth=auth, headers="\r\n".join(lines)))
        assert _statuses(answer) == [200], answer
        sent = gate.service.heads[0].decode("latin-1").lower()
        assert "forged" not in sent
        for name in ours:
            assert sent.count(f"\r\n{name.lower()}: ") == 1
            assert name.lower().replace("-", "_") not in sent
        assert "\r\nx-forwarded-for: 127.0.0.1\r\n" in sent
        assert "\r\nx-forwarded-host: shop.example\r\n" in sent


async def test_connection_names_nothing_of_ours(tmp_path: Path) -> None:
    """Traefik CVE-2024-45410, CVE-2021-32813."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        named = "Connection: close, X-Security-Context, X-Tenant-Id, X-Forwarded-For, Host, Content-Length"
        await gate.raw(request("GET", "/public/a", headers=named, close=False))
        assert {"x-security-context", "x-tenant-id", "x-forwarded-for", "host"} <= set(gate.service.fields())


async def test_a_narrow_routes_requests_never_fall_to_a_wide_one(tmp_path: Path) -> None:
    """The route that was decided is the one that is forwarded: Envoy clear_route_cache, Oathkeeper."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        assert _statuses(await gate.raw(request("POST", "/admin/orders"))) == [403]
        assert _statuses(await gate.raw(request("POST", "/admin/other"))) == [200]
        broken = ROUTES.replace('path = "/admin/orders"\nservice = "order"', 'path = "/admin/orders"\nservice = "gone"')
    async with plane(tmp_path / "broken", routes=broken) as gate:
        assert _statuses(await gate.raw(request("POST", "/admin/orders"))) == [503]
        assert gate.service.heads == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_is_too_long_to_decide_on_is_never_decided_in_part(tmp_path: Path, chunked: bool) -> None:
    """Envoy's 413, OPA's `truncated_body`: no allow on what was seen so far."""
    body = b'{"amount": 1, "pad": "' + b"x" * 2000 + b'"}'
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    head = request(
        "POST", "/payments/p/refund", auth=token("Manager"), headers=f"Content-Type: application/json\r\n{framing}"
    )
    data = head + (b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if chunked else body)
    async with plane(tmp_path, routes=ROUTES, limits=Limits(decided_body_bytes=1000)) as gate:
        answer = await gate.raw(data)
        assert _statuses(answer) == [413]
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "payload_too_large"
        assert gate.service.heads == []


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_that_breaks_off_is_never_decided(tmp_path: Path, chunked: bool) -> None:
    """OPA's `truncated_body`: what came so far would be allowed, were it whole."""
    body = b'{"amount": 1}'
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body) + 5}"
    head = request(
        "POST", "/payments/p/refund", auth=token("Manager"), headers=f"Content-Type: application/json\r\n{framing}"
    )
    async with plane(tmp_path, routes=ROUTES, limits=QUICK) as gate:
        for ends in (True, False):
            reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
            writer.write(head + (b"%x\r\n%b\r\n" % (len(body), body) if chunked else body))
            if ends:
                writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), PATIENCE_S)
            assert _statuses(answer) in ([], [408])
            writer.close()
        assert gate.service.heads == []
        assert not [event for event in gate.events if event.decision and event.decision.effect == "allow"]


async def test_the_services_time_limits_are_in_seconds_too(tmp_path: Path) -> None:
    """A stall in the middle of an answer, and the whole exchange."""
    loop = asyncio.get_running_loop()
    for name, limits in (("stall", QUICK), ("total", Limits(total_s=0.3))):
        async with plane(tmp_path / name, routes=ROUTES, limits=limits) as gate:
            trickles = name == "total"

            async def script(visit: Visit, trickles: bool = trickles) -> None:
                await visit.head()
                await visit.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
                for _ in range(300 if trickles else 1):
                    await visit.answer(b"x")
                    await asyncio.sleep(0.01 if trickles else 3)

            gate.service.script = script
            start = loop.time()
            answer = await gate.raw(request("GET", "/public/a"))
            assert answer.endswith(b"x")
            assert 0.25 < loop.time() - start < 30, name
            event = await gate.record()
            assert event.details is not None
            assert event.details["cut"] in {"total", "upstream_stall"}


async def test_time_limits_are_in_seconds(tmp_path: Path) -> None:
    """Oathkeeper's `time.Millisecond * duration`: each fires when it says, not a thousand times later or sooner."""

    async def took(gate: Plane, data: bytes) -> tuple[list[int], float]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        return _statuses(await gate.raw(data)), loop.time() - start

    async with plane(tmp_path, routes=ROUTES, limits=QUICK) as gate:

        async def silent(_: object) -> None:
            await asyncio.sleep(3)

        head, seconds = await took(gate, b"GET / HTTP/1.1\r\nHos")
        assert (head, 0.25 < seconds < 30) == ([408], True)
        nothing, seconds = await took(gate, b"")
        assert (nothing, 0.25 < seconds < 30) == ([], True)
        body, seconds = await took(gate, request("POST", "/public/a", headers="Content-Length: 5") + b"he")
        assert (body, 0.25 < seconds < 30) == ([408], True)
        gate.service.script = silent
        answer, seconds = await took(gate, request("GET", "/public/a"))
        assert (answer, 0.25 < seconds < 30) == ([504], True)
