"""What a service's owner writes down: three lines, for each kind of application, against a real publisher of keys."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI

from audit.private_file import read_private
from roles.errors import ContextUnusable
from roles.security_context import ContextVerifier, Trust, current_context, new_private_jwk
from roles.security_context.signer import ContextSigner
from tests.builders.contexts import ISSUER, NOW, make_context, real_signer


@pytest.fixture
def jwks_url() -> Iterator[str]:
    """A gateway's operations port, as far as keys go."""
    content = httpx.Response(200, json=real_signer().public_jwks()).content

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/.well-known/jwks.json"
    server.shutdown()
    thread.join()
    server.server_close()


async def seen(app: Any, token: str) -> int:
    """The status of a request with this context."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://order") as client:
        return (await client.get("/orders", headers={"X-Security-Context": token})).status_code


async def test_each_kind_of_application_is_guarded_in_a_few_lines(jwks_url: str) -> None:
    """FastAPI, ASGI, WSGI; keys are fetched, and another service's context is refused."""
    trust = Trust("order", jwks_url=jwks_url, clock=lambda: NOW)
    inner = FastAPI()
    guarded = [Depends(trust.guard(inner))]
    inner.add_api_route("/orders", lambda: current_context() is not None, dependencies=guarded)
    outer = FastAPI()
    outer.add_api_route("/orders", lambda: current_context() is not None)
    good, other = real_signer().sign(make_context()), real_signer().sign(make_context(aud="payment"))
    for app in (inner, trust.asgi(outer)):
        assert (await seen(app, good), await seen(app, other)) == (200, 401)


def test_a_wsgi_application_is_guarded_as_well(jwks_url: str) -> None:
    """Its keys are fetched by a thread."""
    trust = Trust("order", jwks_url=jwks_url, clock=lambda: NOW)
    good, other = real_signer().sign(make_context()), real_signer().sign(make_context(aud="payment"))

    def flat(_: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b""]

    client = httpx.Client(transport=httpx.WSGITransport(trust.wsgi(flat)), base_url="http://order")
    assert client.get("/orders", headers={"X-Security-Context": good}).status_code == 200
    assert client.get("/orders", headers={"X-Security-Context": other}).status_code == 401


async def test_a_shared_secret_comes_from_a_file(tmp_path: Path) -> None:
    """Nobody is asked for keys, and the secret is in no repr."""
    path = tmp_path / "secret"
    path.write_text(jwk := new_private_jwk("HS256"))
    path.chmod(0o600)
    trust = Trust("order", secret=partial(read_private, path), clock=lambda: NOW)
    token = ContextSigner(ISSUER, 60, {"order": jwk}, "HS256").sign(make_context())
    app = FastAPI()
    app.add_api_route("/orders", lambda: 1)
    assert await seen(trust.asgi(app), token) == 200
    assert "k" not in repr(trust).split("'order'")[1].replace("a shared secret", "")
    assert ContextVerifier(ISSUER, "order").verify(token, trust.blocking_keys().keys(), NOW)


def test_what_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    """Not with the first request; where it stands is told, and never what."""
    (bad := tmp_path / "bad").write_text('{"kty": "oct", "k": "c2hvcnQtc2hvcnQtc2hvcnQ"}')
    bad.chmod(0o600)
    (shown := tmp_path / "shown").write_text(new_private_jwk("HS256"))
    shown.chmod(0o644)
    for given in (
        {},
        {"jwks_url": "http://a", "secret": partial(read_private, bad)},
        {"secret": partial(read_private, bad)},
        {"secret": partial(read_private, shown)},
        {"secret": partial(read_private, tmp_path / "none")},
    ):
        with pytest.raises(ContextUnusable) as caught:
            Trust("order", **given)
        assert "c2hvcnQ" not in str(caught.value)
    with pytest.raises(ContextUnusable):
        Trust("", jwks_url="http://a")
