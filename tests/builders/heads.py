"""Heads, routes and cases of the data plane, and the ways bytes can come in."""

from collections.abc import Iterable, Iterator
from typing import Any

from gateway.case import Case
from gateway.limits import Limits
from gateway.model import Identity, Match, Peer, Route
from gateway.wire.framing import NO_BODY
from gateway.wire.head import Head, HeadReader
from gateway.wire.target import normal_path
from roles.model import Principal

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EVENT = "0193a5b0-0000-7000-8000-000000000001"
AT = 1_795_000_000.25


def block(line: str = "GET / HTTP/1.1", *fields: str, host: str | None = "shop.example") -> bytes:
    """A head's bytes; `host` None leaves the field out."""
    lines = [line, *([] if host is None else [f"Host: {host}"]), *fields]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def read(raw: bytes, limits: Limits | None = None) -> Head:
    """What a fresh reader makes of a head."""
    return HeadReader(limits or Limits()).read(raw)


def make_head(*fields: tuple[bytes, bytes], **changes: Any) -> Head:
    """A head as the reader would make it: names in lower case."""
    good: dict[str, Any] = {
        "method": b"GET",
        "target": b"/orders",
        "http_11": True,
        "host": b"shop.example",
        "headers": fields,
        "framing": NO_BODY,
        "keep_alive": True,
        "expects_continue": False,
        "size": 100,
    }
    return Head(**{**good, **changes})


def make_route(path: str = "/orders/{order_id}", **changes: Any) -> Route:
    """A route for a template: a segment in braces is a parameter."""
    parts = [] if path == "/" else path[1:].split("/")
    good: dict[str, Any] = {
        "id": "order.read",
        "method": "GET",
        "template": path,
        "segments": tuple(None if part.startswith("{") else part for part in parts),
        "params": tuple(part[1:-1] for part in parts if part.startswith("{")),
        "service": "order",
        "action": "order:read",
        "resource_type": "Order",
        "resource_id": "*",
    }
    return Route(**{**good, **changes})


def make_identity(**changes: Any) -> Identity:
    """A cashier of `acme` whose token held."""
    who = {"issuer": "dev", "tenant_id": "acme", "sub": "u-17", "roles": ("Cashier",)}
    principal = Principal(**{**who, **{name: changes.pop(name) for name in who if name in changes}})
    return Identity(
        principal, **{"auth_method": "jwt", "expires_at": AT + 300, "token_sha256": b"\x01" * 32, **changes}
    )


def make_case(route: Route | None = None, target: bytes = b"/orders/o-1", **changes: Any) -> Case:
    """A case with a head, a path, a route and a caller; None takes one away."""
    route = route or make_route()
    values = [text for text, segment in zip(normal_path(target).segments, route.segments, strict=True) if not segment]
    good: dict[str, Any] = {
        "event_id": EVENT,
        "trace_id": TRACE,
        "received_at": AT,
        "peer": Peer("192.0.2.7", 40_000),
        "head": make_head(target=target),
        "path": normal_path(target),
        "match": Match(route, dict(zip(route.params, values, strict=True))),
        "identity": make_identity(),
        "tenant_id": "acme",
    }
    return Case(**{**good, **changes})


def in_pieces(data: bytes) -> Iterator[list[bytes]]:
    """The ways to feed bytes: whole, byte by byte, and cut in two at every offset."""
    yield [data]
    yield [data[at : at + 1] for at in range(len(data))]
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]


def fields_of(raw: bytes) -> list[tuple[str, str]]:
    """The fields of a head that was written, in order, names as written."""
    lines = raw.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
    return [(name, value) for name, _, value in (line.partition(": ") for line in lines)]


def names_of(raw: bytes) -> set[str]:
    """The names of those fields."""
    return {name for name, _ in fields_of(raw)}


def ids(cases: Iterable[dict[str, Any]]) -> list[str]:
    """Names for parametrised cases."""
    return [str(case["name"]) for case in cases]
