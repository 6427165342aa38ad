"""What only ASGI has: WebSockets, the lifespan, connections of another kind, a client that leaves."""

from typing import Any

import pytest
import websockets
import websockets.exceptions
from websockets.sync.client import connect

from roles.errors import ContextUnusable
from roles.security_context.asgi import SecurityContextMiddleware
from roles.security_context.claims import body_hash, target_hash
from roles.security_context.context import current_context
from roles.security_context.verifier import ContextVerifier
from tests.builders.contexts import ISSUER, NOW, make_context, real_signer
from tests.builders.shells import Keys, shell


def guarded(app: Any, **more: Any) -> SecurityContextMiddleware:
    """An application behind the middleware."""
    return SecurityContextMiddleware(app, ContextVerifier(ISSUER, "order"), Keys(), clock=lambda: NOW, **more)


def scope(kind: str, **fields: str) -> dict[str, Any]:
    """A connection as a server describes it."""
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    place = {"path": "/ws", "raw_path": b"/ws", "query_string": b""}
    return {"type": kind, "headers": headers, "method": "GET", **place}


async def nothing(*_: Any) -> None:
    """An application, or a message, that must not come to be."""
    raise AssertionError


def test_a_tunnel_is_opened_with_a_bound_context_alone() -> None:
    """Opening counts as a change: a context for reading is refused, with our answer before anything is opened."""
    field = "X-Security-Context"
    with shell("asgi") as service:
        url = f"ws://127.0.0.1:{service.port}/ws?a=1"
        fitting = real_signer().sign(make_context(htm="GET", htp=target_hash(b"/ws?a=1")))
        with connect(url, additional_headers={field: fitting}) as opened:
            assert opened.recv() == "acme"
        for other in ({}, {field: real_signer().sign(make_context())}, {field: "nonsense"}):
            with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
                connect(url, additional_headers=other)
            response = caught.value.response
            assert (response.status_code, b'"code"' in response.body) == (401, True)


async def test_where_a_server_cannot_answer_a_tunnel_it_is_closed() -> None:
    """Before it is opened, which servers turn into 403."""
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    await guarded(nothing)(scope("websocket"), receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_the_lifespan_passes_and_what_is_not_known_does_not() -> None:
    """A kind of connection that these rules do not know may be a way around them."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    await guarded(app)({"type": "lifespan"}, nothing, nothing)
    with pytest.raises(ContextUnusable):
        await guarded(app)(scope("webtransport"), nothing, nothing)
    assert seen == ["lifespan"]
    with pytest.raises(AssertionError):  # an exempt path is one of HTTP: nobody opens a tunnel there
        await guarded(app, exempt={"/ws"})(scope("websocket"), nothing, nothing)
    assert seen == ["lifespan"]


async def test_a_client_that_leaves_is_answered_nothing() -> None:
    """While its body is read in order to be compared."""
    token = real_signer().sign(make_context(htm="GET", htp=target_hash(b"/ws"), htb=body_hash(b"ab")))
    pieces = iter([{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(pieces)

    await guarded(nothing)(scope("http", **{"x-security-context": token}), receive, nothing)


@pytest.mark.parametrize(
    ("place", "fits"),
    [
        ({}, True),
        ({"path": "/refunds"}, False),  # something has rewritten it: that was not decided
        ({"query_string": b"all=1"}, False),
        ({"path": "/a b", "raw_path": b"/a%20b"}, True),
        ({"path": "/\u00e4", "raw_path": b"/%C3%A4"}, True),
        ({"path": "/a/b", "raw_path": b"/a%2Fb"}, True),
        ({"path": "/b", "raw_path": b"/a%2Fb"}, False),
        ({"root_path": "/shop", "path": "/orders", "raw_path": b"/shop/orders"}, True),
        ({"root_path": "/shop", "path": "/shop/orders", "raw_path": b"/shop/orders"}, True),
        ({"root_path": "/shop", "path": "/other", "raw_path": b"/shop/orders"}, False),
    ],
)
async def test_a_path_that_is_not_served_is_not_believed(place: dict[str, Any], fits: bool) -> None:
    """However it came to be another: a context is for what is done."""
    given = {**scope("http"), "method": "POST", "path": "/orders", "raw_path": b"/orders", **place}
    token = real_signer().sign(make_context(htm="POST", htp=target_hash(given["raw_path"])))
    given["headers"] = [(b"x-security-context", token.encode())]
    reached: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope["path"])

    async def send(message: Any) -> None:
        del message

    await guarded(app)(given, nothing, send)
    assert bool(reached) is fits


async def test_a_server_that_keeps_no_target_verifies_no_bound_context() -> None:
    """And nobody is served after the application has failed."""
    token = real_signer().sign(make_context(htm="GET", htp=target_hash(b"/ws")))
    blind = scope("http", **{"x-security-context": token})
    del blind["raw_path"]
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await guarded(nothing)(blind, nothing, send)
    assert sent[0]["status"] == 401

    async def failing(*_: Any) -> None:
        assert current_context() is not None
        raise KeyError

    with pytest.raises(KeyError):
        await guarded(failing)(scope("http", **{"X-Security-Context": token}), nothing, nothing)
    assert current_context() is None


async def test_after_the_body_the_application_hears_what_comes() -> None:
    """It is given the body once, as one piece; then whatever the server says."""
    token = real_signer().sign(make_context(htm="GET", htp=target_hash(b"/ws"), htb=body_hash(b"ab")))
    pieces = iter(
        [
            {"type": "http.request", "body": b"a", "more_body": True},
            {"type": "http.request", "body": b"b"},
            {"type": "http.disconnect"},
        ]
    )
    heard: list[Any] = []

    async def receive() -> Any:
        return next(pieces)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.extend([await receive(), await receive()])
        assert scope["state"]["kept"] == 1

    given = {**scope("http", **{"x-security-context": token}), "state": {"kept": 1}}
    await guarded(app)(given, receive, nothing)
    assert heard == [{"type": "http.request", "body": b"ab", "more_body": False}, {"type": "http.disconnect"}]
    assert given["state"] == {"kept": 1}  # the server's own stays as it was


@pytest.mark.parametrize(("version", "said"), [("1.1", True), ("2", False)])
async def test_a_refused_body_ends_the_connection_where_there_is_one_to_end(version: str, said: bool) -> None:
    """HTTP/2 has no `Connection`, and breaks off where one is sent."""
    sent: list[Any] = []
    token = real_signer().sign(make_context(htm="POST", htp=target_hash(b"/orders"), htb=body_hash(b"x")))
    place = {"path": "/orders", "raw_path": b"/orders", "method": "POST", "http_version": version}
    asked = {**scope("http", **{"x-security-context": token, "content-length": "99999999"}), **place}

    async def send(message: Any) -> None:
        sent.append(message)

    await guarded(nothing)(asked, nothing, send)
    assert sent[0]["status"] == 413
    assert ((b"connection", b"close") in sent[0]["headers"]) is said
