"""Bodies that a decision hangs on, over real sockets: what is decided on is what is forwarded, or nothing is."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from gateway.limits import Limits
from tests.builders.answers import CRLF, json_of, status_of
from tests.builders.patience import PATIENCE_S
from tests.builders.plane import Plane, plane, request, token

ROUTES = """
[[route]]
id = "payment.refund"
method = "POST"
path = "/payments/{payment_id}/refund"
service = "order"
action = "payment:refund"
resource = { type = "Payment", id = "{payment_id}" }
context = { amount = { from = "body", pointer = "/sums/0/a~1b" } }
tenant_pointers = ["/tenant"]
max_body_bytes = 4096

[[route]]
id = "order.create"
method = "POST"
path = "/orders"
service = "order"
action = "order:create"
resource = { type = "Order" }
"""
JSON = "Content-Type: application/json"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def body(amount: object = 100, tenant: object = "acme") -> bytes:
    """A body that is decided on, spaced oddly so that a copy would show."""
    return (
        b'{ "tenant" :' + json.dumps(tenant).encode() + b', "sums":[ {"a/b":' + json.dumps(amount).encode() + b"} ] }"
    )


def refund(content: bytes, headers: str = JSON, role: str | None = "Manager", *, close: bool = True) -> bytes:
    """A refund with a length."""
    auth = None if role is None else token(role)
    return request("POST", "/payments/p-1/refund", auth=auth, headers=headers, body=content, close=close)


def in_chunks(content: bytes, size: int, trailers: bytes = b"") -> bytes:
    """The same in chunks of that size."""
    head = request(
        "POST", "/payments/p-1/refund", auth=token("Manager"), headers=f"{JSON}\r\nTransfer-Encoding: chunked"
    )
    pieces = [content[at : at + size] for at in range(0, len(content), size)]
    return head + b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailers + CRLF


async def test_the_bytes_parsed_are_the_bytes_forwarded(tmp_path: Path) -> None:
    """To the letter, with a length of their own, whatever pieces and coding they came in; trailers stay behind."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        sent = [refund(body()), *(in_chunks(body(), size, b"X-Amount: 5\r\n") for size in (1, 5, 4000))]
        for data in sent:
            for pieces in (0, 1, 50):
                assert status_of(await gate.raw(data, pieces=pieces)) == 200
        assert set(gate.service.bodies) == {body()}
        assert {gate.service.fields(which).get("transfer-encoding") for which in range(len(gate.service.heads))} == {
            None
        }
        assert b"x-amount" not in b"".join(gate.service.heads).lower()


async def test_a_body_cut_in_two_anywhere_is_the_same_body(tmp_path: Path) -> None:
    """At every offset of the request."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        data = refund(body())
        start = data.index(CRLF * 2) - 2
        for at in range(start, len(data)):
            reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
            writer.write(data[:at])
            await writer.drain()
            await asyncio.sleep(0)
            writer.write(data[at:])
            async with asyncio.timeout(PATIENCE_S):
                assert status_of(await reader.read()) == 200
            writer.close()
        assert set(gate.service.bodies) == {body()}


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "Content-Type: text/plain",
        "Content-Type: application/json-patch+json",
        "Content-Type: application/vnd.api+json",
        "Content-Type: application/json; charset=utf-16",
        "Content-Type: application/json; charset=latin1",
        "Content-Type: application/json; charset=utf-8; charset=utf-16",
        "Content-Type: application/json; boundary=x",
        "Content-Type: application/json, text/plain",
        f"{JSON}\r\n{JSON}",
        f"{JSON}\r\nContent_Type: text/plain",
        f"{JSON}\r\nContent-Encoding: gzip",
        f"{JSON}\r\nContent-Encoding: identity, gzip",
        f"{JSON}\r\nContent-Encoding: identity\r\nContent-Encoding: br",
        f"{JSON}\r\nContent-Encoding:",
        f"{JSON}\r\nContent_Encoding: gzip",
    ],
)
async def test_only_plain_json_in_utf_8_is_decided_on(tmp_path: Path, headers: str) -> None:
    """415 before a byte of the body is read; a waiting client is not asked to send it."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        answer = await gate.raw(refund(body(), headers))
        assert (status_of(answer), json_of(answer)["code"]) == (415, "unsupported_media_type")
        expecting = refund(body(), f"{headers}\r\nExpect: 100-continue".lstrip())[: -len(body())]
        answer = await gate.raw(expecting)
        assert status_of(answer) == 415
        assert gate.service.heads == []


@pytest.mark.parametrize(
    "headers",
    [JSON, 'content-type: Application/JSON;Charset="UTF-8"', f"{JSON}; charset=utf-8\r\nContent-Encoding: identity"],
)
async def test_honest_spellings_are_taken(tmp_path: Path, headers: str) -> None:
    """Case, quotes and white space mean nothing."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        assert status_of(await gate.raw(refund(body(), headers))) == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b'"x"',
        body() + b"x",
        body() + body(),
        body()[:-1],
        b"\xef\xbb\xbf" + body(),
        body().decode().encode("utf-16"),
        b'{"tenant":"acme","tenant":"acme","sums":[{"a/b":1}]}',
        b'{"tenant":"acme","sums":[{"a/b":1,"a/b":1}]}',
        b'{"tenant":"acme","sums":[{"a/b":1,"a\\u002fb":1}]}',
        b'{"tenant":"acme","x":{"y":1,"y":2},"sums":[{"a/b":1}]}',
        b'{"tenant":"acme","sums":[]}',
        b'{"tenant":"acme","sums":{"0":1}}',
        b'{"tenant":"acme","sums":[{"a~1b":1}]}',
        b'{"tenant":"acme","sums":[{"A/B":1}]}',
        b'{"sums":[{"a/b":1}]}',
        body(None),
        body("100"),
        body(1.0),
        body(True),
        body([1]),
        body({"a": 1}),
        body(2**63),
        body(-(2**63) - 1),
        body(100, None),
        body(100, 5),
        body(100, ["acme"]),
        b'{"tenant":"acme","sums":[{"a/b":1e2}]}',
        b'{"tenant":"acme","sums":[{"a/b":NaN}]}',
        b'{"tenant":"acme","x":"\\ud800","sums":[{"a/b":1}]}',
        b'{"tenant":"acme","x":"\xff","sums":[{"a/b":1}]}',
        b'{"tenant":"acme","sums":[{"a/b":1}],"x":' + b"[" * 70 + b"]" * 70 + b"}",
        b'{"tenant":"acme","sums":[{"a/b":' + b"9" * 3000 + b"}]}",
    ],
)
async def test_what_cannot_be_decided_on_is_refused_before_cedar_is_asked(tmp_path: Path, content: bytes) -> None:
    """400, recorded without an answer of Cedar's, nothing forwarded."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        answer = await gate.raw(refund(content))
        assert (status_of(answer), json_of(answer)["code"]) == (400, "bad_request")
        [event] = gate.events
        assert event.decision is not None
        assert (event.decision.effect, event.decision.reasons) == ("deny", ())
        assert event.decision.policy_version is None
        assert gate.service.heads == []


async def test_a_tenant_in_the_body_must_be_the_callers(tmp_path: Path) -> None:
    """403 `tenant_mismatch`; the one beside another spelling of it is 400 above."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        for tenant in ("globex", "ACME", "acme ", ""):
            answer = await gate.raw(refund(body(100, tenant)))
            assert (status_of(answer), json_of(answer)["code"]) == (403, "tenant_mismatch")
        assert gate.service.heads == []


async def test_a_body_past_its_limit_is_refused_and_never_decided_on_in_part(tmp_path: Path) -> None:
    """By its length before it is sent, in chunks when it gets there; exactly the limit passes."""
    filled = body()[:-1] + b"," + b" " * (4096 - len(body()) - 7) + b'"x":1}'
    filled += b" " * (4096 - len(filled))
    async with plane(tmp_path, routes=ROUTES) as gate:
        assert len(filled) == 4096
        assert status_of(await gate.raw(refund(filled))) == 200
        assert status_of(await gate.raw(in_chunks(filled, 1000))) == 200
        for data in (refund(filled + b" "), in_chunks(filled + b" ", 1000), in_chunks(filled + b" ", 1)):
            answer = await gate.raw(data)
            assert (status_of(answer), json_of(answer)["code"]) == (413, "payload_too_large")
        assert len(gate.service.bodies) == 2
    async with plane(tmp_path / "2", routes=ROUTES, limits=Limits(decided_body_bytes=64)) as gate:
        assert status_of(await gate.raw(in_chunks(body() + b" " * 64, 7))) == 413


@pytest.mark.parametrize("whole", [refund(body()), in_chunks(body(), 10)])
async def test_half_a_body_is_never_decided_on(tmp_path: Path, whole: bytes) -> None:
    """A client that closes in the middle is cut, recorded, and nothing reaches the service."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(whole[:-3])
        writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            event = await gate.record()
        assert event.details == {"cut": "half_body"}
        assert event.decision is not None
        assert event.decision.effect == "deny"
        assert gate.service.heads == []
        writer.close()


async def ask_first(gate: Plane, head: bytes, content: bytes) -> bytes:
    """Send a head, the body only if asked for it; everything that was said."""
    before = len(gate.service.heads)
    reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
    writer.write(head)
    async with asyncio.timeout(PATIENCE_S):
        said = await reader.readuntil(CRLF * 2)
        if said == CONTINUE:
            assert len(gate.service.heads) == before
            writer.write(content)
        said += await reader.read()
    writer.close()
    return said


async def test_a_body_is_asked_for_once_the_head_has_passed(tmp_path: Path) -> None:
    """Before the decision, because that needs it: the service has heard nothing yet, and hears no `Expect`."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        data = refund(body(), f"{JSON}\r\nExpect: 100-continue")
        said = await ask_first(gate, data[: -len(body())], body())
        assert said.startswith(CONTINUE + b"HTTP/1.1 200")
        assert said.count(CONTINUE) == 1
        assert "expect" not in gate.service.fields()
        said = await ask_first(gate, refund(body(60_000), f"{JSON}\r\nExpect: 100-continue")[:-1], b"}")
        assert b" 403 " in said


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (refund(b"x" * 10, f"{JSON}\r\nExpect: 100-continue", None), 401),
        (refund(b"x" * 10, f"{JSON}\r\nExpect: 100-continue\r\nX-Tenant-Id: globex"), 403),
        (refund(b"x" * 10, "Content-Type: text/plain\r\nExpect: 100-continue"), 415),
        (refund(b"x" * 5000, f"{JSON}\r\nExpect: 100-continue"), 413),
        (request("POST", "/nowhere", headers="Expect: 100-continue", body=b"x" * 10), 404),
        (request("POST", "/orders", headers="Expect: 100-continue", body=b"x" * 10, auth=token("Support")), 403),
        (request("PUT", "/orders", headers="Expect: 100-continue", body=b"x" * 10), 405),
    ],
)
async def test_nobody_is_asked_for_a_body_that_will_not_be_used(tmp_path: Path, data: bytes, status: int) -> None:
    """Identity, route, tenant, length and type first; where the body does not decide, the decision too."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        answer = await gate.raw(data.partition(CRLF * 2)[0] + CRLF * 2)
        assert status_of(answer) == status
        assert CONTINUE not in answer
        assert b"connection: close" in answer


async def test_elsewhere_a_body_is_asked_for_after_the_decision(tmp_path: Path) -> None:
    """When it is recorded and the service has the head."""
    async with plane(tmp_path, routes=ROUTES) as gate:
        data = request("POST", "/orders", headers="Expect: 100-continue", body=b"{}")
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(data[:-2])
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.readuntil(CRLF * 2) == CONTINUE
            assert [event.phase for event in gate.events] == ["decided"]
            writer.write(b"{}")
            assert status_of(await reader.read()) == 200
        writer.close()
        assert gate.service.bodies == [b"{}"]


async def test_a_body_that_stalls_is_not_waited_for(tmp_path: Path) -> None:
    """408, recorded, nothing forwarded."""
    async with plane(tmp_path, routes=ROUTES, limits=Limits(body_stall_s=0.2)) as gate:
        answer = await gate.raw(refund(body())[:-3])
        assert (status_of(answer), json_of(answer)["code"]) == (408, "request_timeout")
        assert gate.service.heads == []
