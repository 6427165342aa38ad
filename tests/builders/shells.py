"""The same small service six times, behind each kind of guard and a real server: it tells what it was told.

`Shell.send` writes the bytes of a request as they are given, so that nobody puts them in order on the way.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import flask
import uvicorn
from fastapi import Depends, FastAPI, Request
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from werkzeug.serving import BaseWSGIServer
from werkzeug.serving import WSGIRequestHandler as WerkzeugHandler
from werkzeug.serving import make_server as werkzeug_server

from roles.errors import ContextRejected, ContextUnusable
from roles.security_context.asgi import SecurityContextMiddleware
from roles.security_context.context import RequestContext, current_context
from roles.security_context.extractor import SecurityContextExtractor, refuse
from roles.security_context.keys import TrustedKeys
from roles.security_context.verifier import ContextVerifier
from roles.security_context.wsgi import SecurityContextWsgi
from tests.builders.answers import content_of, header_of, status_of
from tests.builders.contexts import ISSUER, NOW, real_signer
from tests.builders.patience import PATIENCE_S

LIMIT_BYTES = 2048
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE"]
WITHIN_S = PATIENCE_S


class Keys:
    """A key source for loops and one for threads; `trouble` makes it have none."""

    def __init__(self) -> None:
        self.trouble = False
        self.believed = real_signer().trusted_keys("order")
        self.fresh = self.believed
        self.asked_anew = 0

    def _given(self, keys: TrustedKeys) -> TrustedKeys:
        if self.trouble:
            raise ContextUnusable("no keys of the gateway yet")
        return keys

    async def keys(self) -> TrustedKeys:
        """What is believed now."""
        return self._given(self.believed)

    async def refreshed(self) -> TrustedKeys:
        """The same, asked for anew."""
        self.asked_anew += 1
        return self._given(self.fresh)


class BlockingKeys:
    """The same keys for threads."""

    def __init__(self, keys: Keys) -> None:
        self._of = keys

    def keys(self) -> TrustedKeys:
        """What is believed now."""
        return self._of._given(self._of.believed)

    def refreshed(self) -> TrustedKeys:
        """The same, asked for anew."""
        self._of.asked_anew += 1
        return self._of._given(self._of.fresh)


class Answer:
    """What came back."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.status = status_of(raw)
        self.fields = header_of(raw)
        self.content = content_of(raw)

    @property
    def json(self) -> Any:
        """The content."""
        return json.loads(self.content)


class Shell:
    """A running service."""

    def __init__(self, name: str, port: int, keys: Keys) -> None:
        self.name = name
        self.port = port
        self.keys = keys

    def send(self, method: str, target: str, *fields: str, body: bytes = b"", length: bool = True) -> Answer:
        """One request, byte for byte."""
        lines = [f"{method} {target} HTTP/1.1", "Host: order", "Connection: close", *fields]
        if length and (body or method in {"POST", "PUT"}):
            lines.append(f"Content-Length: {len(body)}")
        return self.raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def raw(self, data: bytes) -> Answer:
        """Bytes, and all that comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=WITHIN_S) as client:
            client.sendall(data)
            found = bytearray()
            try:
                while piece := client.recv(65536):
                    found += piece
            except ConnectionResetError:
                pass  # it did not read our body to the end; what it said came before
        return Answer(bytes(found))


def told(context: RequestContext | None, method: str, path: str, body: bytes) -> dict[str, Any]:
    """What every one of these services answers."""
    seen = current_context()
    return {
        "method": method,
        "path": path,
        "body": body.decode("latin-1"),
        "tenant": context.tenant_id if context else None,
        "trace": context.trace_id if context else None,
        "decision": context.decision_id if context else None,
        "current": seen.sub if seen else None,
    }


async def _starlette(request: Request) -> Response:
    context = getattr(request.state, "context", None)
    return JSONResponse(told(context, request.method, request.url.path, await request.body()))


async def _bare(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": scope["state"]["context"].tenant_id})
        await send({"type": "websocket.close"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    context = scope.get("state", {}).get("context")
    content = json.dumps(told(context, scope["method"], scope["path"], body)).encode()
    fields = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content if scope["method"] != "HEAD" else b""})


def _flask() -> flask.Flask:
    app = flask.Flask("order")

    @app.route("/", defaults={"path": ""}, methods=METHODS)
    @app.route("/<path:path>", methods=METHODS)
    def answer(path: str) -> flask.Response:
        request = flask.request
        context = request.environ.get("lychgate.context")
        return flask.jsonify(told(context, request.method, "/" + path, request.get_data()))

    return app


def _bare_wsgi(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    start_response("200 OK", [("Content-Type", "application/json")])
    # said while it is iterated: the server does that after the call has returned
    content = told(environ.get("lychgate.context"), environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
    yield json.dumps(content).encode()


def _clock() -> float:
    return NOW


def _verifier() -> ContextVerifier:
    return ContextVerifier(ISSUER, "order")


def _fastapi(keys: Keys) -> FastAPI:
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    app.add_exception_handler(ContextRejected, refuse)
    guard = SecurityContextExtractor(_verifier(), keys, clock=_clock, body_limit_bytes=LIMIT_BYTES)
    app.add_api_route("/{path:path}", _starlette, methods=METHODS, dependencies=[Depends(guard)])
    return app


def _router(keys: Keys) -> FastAPI:
    """Judged before FastAPI touches the request."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    guard = SecurityContextExtractor(_verifier(), keys, clock=_clock, body_limit_bytes=LIMIT_BYTES)
    guard.install(app)
    guarded = guard.router()
    guarded.add_api_route("/{path:path}", _starlette, methods=METHODS)
    app.include_router(guarded)
    return app


def _asgi(app: Any, keys: Keys) -> SecurityContextMiddleware:
    return SecurityContextMiddleware(
        app, _verifier(), keys, clock=_clock, exempt={"/healthz"}, reads={"/search"}, body_limit_bytes=LIMIT_BYTES
    )


def _wsgi(app: Any, keys: Keys) -> SecurityContextWsgi:
    return SecurityContextWsgi(
        app,
        _verifier(),
        BlockingKeys(keys),
        clock=_clock,
        exempt={"/healthz"},
        reads={"/search"},
        body_limit_bytes=LIMIT_BYTES,
    )


@contextmanager
def _uvicorn(app: Any) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, access_log=False, ws="websockets-sansio", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: server.run(sockets=[listener]))
    thread.start()
    try:
        until = time.monotonic() + WITHIN_S
        while not server.started:
            assert time.monotonic() < until
            assert thread.is_alive()
            time.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(WITHIN_S)
        listener.close()


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


class _QuietWerkzeug(WerkzeugHandler):
    protocol_version = "HTTP/1.1"  # else it knows no chunked body

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@contextmanager
def _threaded(server: WSGIServer | BaseWSGIServer) -> Iterator[int]:
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(WITHIN_S)
        server.server_close()


def _wsgiref(app: Any) -> Any:
    return _threaded(make_server("127.0.0.1", 0, app, handler_class=_QuietHandler))


def _werkzeug(app: Any) -> Any:
    # A thread for all requests: what one leaves behind, the next would find.
    return _threaded(werkzeug_server("127.0.0.1", 0, app, threaded=False, request_handler=_QuietWerkzeug))


def _starlette_app() -> Starlette:
    return Starlette(routes=[Route("/{path:path}", _starlette, methods=METHODS)])


KINDS: dict[str, Callable[[Keys], Any]] = {
    "fastapi": lambda keys: _uvicorn(_fastapi(keys)),
    "router": lambda keys: _uvicorn(_router(keys)),
    "starlette": lambda keys: _uvicorn(_asgi(_starlette_app(), keys)),
    "asgi": lambda keys: _uvicorn(_asgi(_bare, keys)),
    "flask": lambda keys: _werkzeug(_wsgi(_flask(), keys)),
    "wsgiref": lambda keys: _wsgiref(_wsgi(_bare_wsgi, keys)),
}


@contextmanager
def shell(kind: str) -> Iterator[Shell]:
    """A running service of one kind."""
    keys = Keys()
    with KINDS[kind](keys) as port:
        yield Shell(kind, port, keys)
