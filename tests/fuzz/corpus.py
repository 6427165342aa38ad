"""What inputs are made of: good requests and answers, known attacks, and the words HTTP is written in."""

import functools
import random
import re
from pathlib import Path
from typing import Final

import yaml

from tests.builders.house import credential

ROUTES: Final = """
[[route]]
id = "thing.read"
method = "GET"
path = "/things/{thing}"
service = "order"
action = "order:read"
resource = { type = "Order", id = "{thing}" }

[[route]]
id = "part.read"
method = "GET"
path = "/things/{thing}/parts/{part}"
service = "order"
action = "order:read"
resource = { type = "Order", id = "{thing} {part}" }

[[route]]
id = "thing.put"
method = "PUT"
path = "/things/{thing}"
service = "order"
action = "order:cancel"
resource = { type = "Order", id = "{thing}" }
guarantee = "buffered"

[[route]]
id = "thing.make"
method = "POST"
path = "/things/{thing}"
service = "order"
action = "order:create"
resource = { type = "Order", id = "{thing}" }

[[route]]
id = "admin"
method = "POST"
path = "/admin/{thing}"
service = "order"
action = "product:import"
resource = { type = "Product", id = "{thing}" }

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
resource = { type = "Product", id = "{tenant}" }
tenant = { path = "tenant" }
anonymous = true
"""
"""Resource ids are made of the path's parameters, so that a record says which path was decided on."""

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
_CASES: Final = Path(__file__).parents[1] / "cases"

SEAMS: Final = (b"\r\n", b"\r\n\r\n", b": ", b" ", b"/", b"HTTP/", b",", b";", b"0\r\n", b"%", b"?")
WORDS: Final = (
    *(bytes((byte,)) for byte in b"\r\n\t \x00\x0b\x0c\x1f\x7f\x80\x85\xa0\xff:;,/\\%?#&=\"'<>()[]{}@*+-._0aZ"),
    *(b"\r\n", b"\r\n\r\n", b"\n\n", b"\r\n ", b" :", b"\t:", b": ", b"\r", b"\n\r", b"  ", b"\r\n\t"),
    *(b"%2e%2e", b"..", b"/../", b"//", b"%2f", b"%5c", b"%00", b"%c0%af", b"%252e", b";x=y", b"\xef\xbb\xbf"),
    *(b"0\r\n\r\n", b"5\r\nhello\r\n", b"FFFFFFFFFFFFFFFF\r\n", b"1;\n\r\n", b"0x5", b"-1", b"+5", b"5 ", b"\r\n0"),
    *(b"HTTP/1.1 200 OK\r\n", b"GET /admin/x HTTP/1.1\r\n", b"chunked", b"identity", b"gzip", b"close", b"h2c"),
    *(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01", b"Host: a\r\n", b"Content-Length: 3\r\n"),
    *(b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"),
)
KINDS: Final = (
    (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH", b"get", b"PRI"),
    (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"http/1.1", b"HTTP/1.10", b"HTTP/11"),
    (b"chunked", b"Chunked", b"identity", b"gzip, chunked", b"chunked, chunked", b"\x0bchunked", b"xchunked"),
    (b"Content-Length", b"Transfer-Encoding", b"Content_Length", b"Content-Length ", b"content-length", b"TE"),
    (b"/things/a", b"/admin/a", b"/things/../admin/a", b"/things/%61", b"*", b"http://shop.example/things/a"),
    (b"shop.example", b"evil.example", b"shop.example:80", b"[::1]", b"", b"a b", b"shop.example, evil.example"),
    (b"keep-alive", b"close", b"Upgrade", b"x-tenant-id", b"content-length", b"transfer-encoding", b"host"),
    (b"200 OK", b"204 No Content", b"304 Not Modified", b"100 Continue", b"101 Switching Protocols", b"103 Early Hints",
     b"199 X", b"600 X", b"99 X", b"20 X", b"206 Partial", b"500 "),
)  # fmt: skip
FIELDS: Final = (
    *(b"Content-Length: 0", b"Content-Length: 5", b"Content-Length: 5, 5", b"Content-Length: 99999999999999999999"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding:\x0bchunked"),
    *(b"Transfer_Encoding: chunked", b"Transfer-Encoding : chunked", b"Transfer-Encoding: identity"),
    *(b"Host: evil.example", b"Host: shop.example", b"Connection: close", b"Connection: keep-alive, Upgrade"),
    *(b"Connection: Content-Length, X-Tenant-Id", b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"),
    *(b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",),
    *(b"Expect: 100-continue", b"Expect: 200-ok", b"Trailer: X-User-Id", b"TE: trailers"),
    *(b"X_Security_Context: forged", b"x-USER-id: forged"),
    *(b"X-Decision-Id: 01a21486-0ea8-778d-b1b3-bb80f7ddda2b", b"X-Tenant-Id: acme", b"X-Tenant-Id: globex"),
    *(b"X-Forwarded-For: 1.2.3.4", b"Authorization: Basic eDp5", b" folded", b"\tfolded", b"X: \x00", b": empty", b"X"),
    *(b"Content-Type: application/json", b"Content-Encoding: gzip", b"Proxy-Connection: close", b"traceparent: 00-x"),
    *(b"X: " + b"a" * 9_000, b"Origin: https://shop.example", b"X-HTTP-Method-Override: DELETE", b"Keep-Alive: 1"),
)  # fmt: skip
NUMBERS: Final = (
    *(b"", b"0", b"1", b"9", b"00", b"10", b"a", b"F", b"-", b"+", b"0x1", b"1e1", b"99999999999999999", b"%31"),
    *(b"\xd9\xa1", b" 1", b"1 ", b"1,1", b"1;1", b"1.0"),
)


TOKEN: Final = b"{{Manager}}"
"""Stands for the credential of a well-behaved caller, who may read, create and refund, until the bytes are sent: what
is changed must not depend on the key that this process has made."""
_MARK: Final = re.compile(rb"\{\{(Manager|Auditor)\}\}")


def filled(data: bytes) -> bytes:
    """The bytes with credentials that hold."""
    return _MARK.sub(lambda role: credential(role[1].decode()).encode("ascii"), data)


def unfilled(text: str) -> str:
    """The text without them."""
    return text.replace(credential("Manager"), "{{Manager}}").replace(credential("Auditor"), "{{Auditor}}")


def _request(
    line: bytes, *fields: bytes, body: bytes = b"", host: bytes | None = b"shop.example", who: bytes = b"Manager"
) -> bytes:
    named = [] if host is None else [b"Host: " + host]
    lines = [line, *named, b"Authorization: Bearer {{%b}}" % who, *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@functools.cache
def _good() -> tuple[bytes, ...]:
    long = b"x" * 700
    return (
        _request(b"GET /things/a HTTP/1.1"),
        _request(b"GET /things/a?b=c&d=%2e HTTP/1.1", b"Accept: */*", b"X-Custom: one", b"User-Agent: fuzz"),
        _request(b"GET /things/%61%7e/parts/caf%c3%a9 HTTP/1.1"),
        _request(b"GET http://shop.example/things/b HTTP/1.1"),
        _request(b"GET /things/b HTTP/1.1", host=b"other.example"),
        _request(b"GET /things/a HTTP/1.1", b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        _request(b"HEAD /things/a HTTP/1.1"),
        _request(b"POST /things/a HTTP/1.1", b"Content-Length: 5", body=b"hello"),
        _request(b"POST /things/a HTTP/1.1", b"Content-Length: 700", body=long),
        _request(
            b"PUT /things/c HTTP/1.1", b"Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
        ),
        _request(
            b"POST /things/d HTTP/1.1",
            b"Transfer-Encoding: chunked",
            b"Trailer: X-Sum",
            body=b"a\r\n0123456789\r\n0\r\nX-Sum: 1\r\n\r\n",
        ),
        _request(b"POST /things/e HTTP/1.1", b"Expect: 100-continue", b"Content-Length: 3", body=b"abc"),
        _request(
            b"POST /payments/p/refund HTTP/1.1",
            b"Content-Type: application/json",
            b"Content-Length: 13",
            body=b'{"amount": 1}',
        ),
        _request(
            b"POST /payments/p/refund HTTP/1.1",
            b"Content-Type: application/json",
            b"Transfer-Encoding: chunked",
            body=b'd\r\n{"amount": 1}\r\n0\r\n\r\n',
        ),
        b"GET /catalog/acme/products HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        _request(b"GET /things/a HTTP/1.0"),
    )


@functools.cache
def requests() -> tuple[bytes, ...]:
    """Good requests, and such as end their connection, are refused, or are attacks that others fell for."""
    refused = yaml.safe_load((_CASES / "heads" / "refused.yaml").read_text(encoding="utf-8"))
    attacks = [case["raw"].encode("latin-1") for case in refused]
    authorised = b"\r\nAuthorization: Bearer " + TOKEN + b"\r\n"
    return (
        *_good() * 6,
        _request(b"GET /things/a HTTP/1.0", host=None),
        _request(b"GET /things/a HTTP/1.0", b"Connection: keep-alive"),
        _request(b"GET /things/a HTTP/1.1", b"Connection: close"),
        _request(b"POST /admin/a HTTP/1.1", b"Content-Length: 2", body=b"{}"),
        _request(b"GET /nowhere HTTP/1.1"),
        _request(b"DELETE /things/a HTTP/1.1"),
        b"GET /things/a HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        b"GET /things/a HTTP/1.1\r\nHost: shop.example\r\nAuthorization: Bearer x.y.z\r\n\r\n",
        _request(b"POST /things/a HTTP/1.1", b"Content-Length: 2", body=b"{}", who=b"Auditor"),
        _request(b"PUT /things/a HTTP/1.1", b"Content-Length: 1001", body=b"x" * 1001),
        *(attack.replace(b"\r\n", authorised, 1).replace(b" / HTTP", b" /things/a HTTP", 1) for attack in attacks),
    )


def good(dice: random.Random) -> bytes:
    """A request that nobody would object to."""
    return dice.choice(_good())


@functools.cache
def answers() -> tuple[bytes, ...]:
    """What services say, most of it as they should."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return (
        OK,
        OK,
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\nConnection: close\r\n\r\nnot found",
        b"HTTP/1.1 200 OK\r\nContent-Length: 600\r\n\r\n" + b"y" * 600,
        chunked + b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n",
        chunked + b"1\r\na\r\n0\r\nX-Tenant-Id: evil\r\nX-T: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 12\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Decision-Id: x\r\n\r\n" + OK,
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n\x00\x00\x00",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Decision-Id: forged\r\nConnection: x-y\r\nX-Y: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nX-Security-Context: forged\r\nContent-Length: 0\r\n\r\n",
    )
