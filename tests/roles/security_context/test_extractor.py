"""The dependency in a real application: who gets in, who does not, and what the endpoint is told."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any

import httpx
import pytest
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from roles.errors import ContextRejected, ContextUnusable
from roles.security_context.claims import Actor, SecurityContext, body_hash, target_hash
from roles.security_context.context import current_context
from roles.security_context.extractor import (
    GuardedRoute,
    RequestContext,
    SecurityContextExtractor,
    context_rule,
    refuse,
)
from roles.security_context.key_source import KeySource, StaticKeys
from roles.security_context.keys import TrustedKeys
from roles.security_context.verifier import ContextVerifier
from tests.builders.contexts import ISSUER, NOW, TRACE_ID, make_context, real_signer
from tests.builders.patience import PATIENCE_S
from tests.builders.unread import answered, unread

SIGNER = real_signer()


class Body(BaseModel):
    """What `POST /orders` takes."""

    amount: int


async def consumed(request: Request) -> None:
    """What a framework does that reads the body as a form: it keeps nothing of it."""
    if request.url.path == "/consumed":
        async for _ in request.stream():
            pass


def make_app(keys: KeySource | None = None) -> FastAPI:
    """A service behind the extractor, which tells what it was told."""
    extractor = SecurityContextExtractor(
        ContextVerifier(ISSUER, "order"), keys or StaticKeys(SIGNER.trusted_keys("order")), clock=lambda: NOW
    )
    app = FastAPI(dependencies=[Depends(consumed), Depends(extractor)])
    app.add_exception_handler(ContextRejected, refuse)
    Context = Annotated[RequestContext, Depends(extractor)]  # noqa: N806 - a type

    @app.get("/orders/{order_id:path}")
    @app.head("/orders/{order_id:path}")
    async def read(order_id: str, request: Request, context: Context) -> dict[str, Any]:
        assert request.state.context == context
        return {
            "id": order_id,
            "tenant_id": context.tenant_id,
            "sub": context.sub,
            "roles": context.roles,
            "trace_id": context.trace_id,
            "state_trace_id": request.state.trace_id,
            "decision_id": context.decision_id,
            "policy_version": context.policy_version,
            "act": context.act.sub if context.act else None,
        }

    @app.post("/orders")
    async def create(body: Body) -> dict[str, int]:
        return {"amount": body.amount}

    @app.post("/raw")
    async def raw(request: Request) -> dict[str, str]:
        return {"body": (await request.body()).decode()}

    @app.post("/consumed")
    async def taken() -> dict[str, bool]:
        return {"taken": True}

    @app.post("/search")
    @context_rule(reads=True)
    async def search() -> dict[str, bool]:
        return {"found": True}

    return app


async def send(method: str, url: str, *, app: FastAPI | None = None, **options: Any) -> httpx.Response:
    """One request to the application."""
    transport = httpx.ASGITransport(app=app or make_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://order") as client:
        return await client.request(method, url, **options)


def signed(context: SecurityContext, **more: str) -> dict[str, str]:
    """The fields of a request with this context."""
    return {"X-Security-Context": SIGNER.sign(context), **more}


def bound(method: str, target: bytes, body: bytes | None = None, **claims: Any) -> SecurityContext:
    """A context for one request."""
    htb = None if body is None else body_hash(body)
    return make_context(htm=method, htp=target_hash(target), htb=htb, **claims)


def assert_refused(response: httpx.Response, code: str = "token_invalid") -> str:
    """The answer has exactly the body of every refusal; returns its trace id."""
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/json"
    assert "www-authenticate" in response.headers
    body = response.json()
    assert set(body) == {"code", "missing_role", "trace_id"}
    assert (body["code"], body["missing_role"]) == (code, None)
    assert len(body["trace_id"]) == 32
    return str(body["trace_id"])


@pytest.mark.parametrize(
    ("binding", "fields", "expected"),
    [
        ({}, {"X-Trace-Id": "f" * 32}, "f" * 32),
        ({}, {"traceparent": f"00-{'e' * 32}-{'1' * 16}-01"}, "e" * 32),
        ({}, {}, TRACE_ID),
        ({}, {"X-Trace-Id": "nonsense"}, TRACE_ID),
        ({"htm": "GET", "htp": target_hash(b"/orders/7")}, {"X-Trace-Id": "f" * 32}, TRACE_ID),
    ],
)
async def test_the_trace_is_that_of_the_request_in_hand(
    binding: dict[str, str], fields: dict[str, str], expected: str
) -> None:
    """A context for reading may be an earlier request's, so the fields count first; a bound one is this request's."""
    response = await send("GET", "/orders/7", headers=signed(make_context(**binding), **fields))
    assert (response.json()["trace_id"], response.json()["state_trace_id"]) == (expected, expected)


async def test_an_endpoint_is_told_who_asks() -> None:
    """Tenant, subject, roles, decision, policy version and actor come from the signed context and nowhere else."""
    context = make_context(roles=("Cashier", "Support"), act=Actor("integration"))
    lies = {"X-Tenant-Id": "globex", "X-User-Id": "root", "X-User-Roles": "Admin"}
    response = await send("GET", "/orders/7", headers=signed(context, **lies, **{"X-Decision-Id": "d-1"}))
    assert response.json() == {
        "id": "7",
        "tenant_id": "acme",
        "sub": "u-1",
        "roles": ["Cashier", "Support"],
        "trace_id": TRACE_ID,
        "state_trace_id": TRACE_ID,
        "decision_id": "d-1",
        "policy_version": "0123456789abcdef",
        "act": "integration",
    }


async def test_callers_without_a_credential_have_a_context_too() -> None:
    """An empty subject, no tenant of their own beyond the one that was named, and a role like any other."""
    response = await send("GET", "/orders/7", headers=signed(make_context(sub="", roles=("Anonymous",))))
    assert (response.status_code, response.json()["sub"]) == (200, "")


async def test_without_a_context_nothing_is_reached() -> None:
    """Nothing sent is `unauthenticated`, on every method, and the plain fields prove nothing."""
    for method in ("GET", "POST"):
        response = await send(method, "/orders/7" if method == "GET" else "/orders", headers={"X-Tenant-Id": "acme"})
        assert_refused(response, "unauthenticated")
    assert_refused(await send("GET", "/orders/7", headers={"X-Security-Context": ""}), "unauthenticated")


async def test_the_refusal_has_the_trace_it_came_with() -> None:
    """From the trace field, else from the traceparent, else a new one; a malformed one is never an error."""
    assert (
        assert_refused(await send("GET", "/orders/7", headers={"X-Trace-Id": TRACE_ID}), "unauthenticated") == TRACE_ID
    )
    parent = {"X-Trace-Id": "nonsense", "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
    assert assert_refused(await send("GET", "/orders/7", headers=parent), "unauthenticated") == TRACE_ID
    made = {
        assert_refused(await send("GET", "/orders/7", headers={"traceparent": "?"}), "unauthenticated")
        for _ in range(2)
    }
    assert len(made) == 2


async def test_a_missing_trace_in_the_context_is_made() -> None:
    """Also where the context itself has a malformed one."""
    response = await send("GET", "/orders/7", headers=signed(make_context(trace_id="?")))
    assert response.status_code == 200
    assert response.json()["trace_id"] == response.json()["state_trace_id"] != "?"
    assert len(response.json()["trace_id"]) == 32


async def test_two_contexts_are_none() -> None:
    """A repeated field is refused, although each copy is good; so is a joined one."""
    token = SIGNER.sign(make_context())
    repeated = [("X-Security-Context", token), ("x-security-context", token)]
    assert_refused(await send("GET", "/orders/7", headers=repeated))
    assert_refused(await send("GET", "/orders/7", headers={"X-Security-Context": f"{token}, {token}"}))


@pytest.mark.parametrize(
    "claims",
    [{"aud": "payment"}, {"exp": int(NOW) - 60}, {"iat": int(NOW) + 60}],
    ids=str,
)
async def test_a_context_that_does_not_hold_is_refused(claims: dict[str, Any]) -> None:
    """For another service, too late, too early: `token_invalid`, and no more is said."""
    assert_refused(await send("GET", "/orders/7", headers=signed(make_context(**claims))))


async def test_a_context_for_reading_is_no_context_for_changing() -> None:
    """The replay of a read context on a POST is refused; where the endpoint says that it reads, it is not."""
    headers = signed(make_context())
    assert (await send("GET", "/orders/7", headers=headers)).status_code == 200
    assert (await send("HEAD", "/orders/7", headers=headers)).status_code == 200
    assert_refused(await send("POST", "/orders", headers=headers, json={"amount": 5}))
    assert (await send("POST", "/search", headers=headers)).json() == {"found": True}


async def test_a_bound_context_fits_one_request() -> None:
    """Another method, path, query or body than was decided on is refused."""
    body = b'{"amount": 5}'
    headers = signed(bound("POST", b"/orders?dry=1", body), **{"content-type": "application/json"})
    assert (await send("POST", "/orders?dry=1", headers=headers, content=body)).json() == {"amount": 5}
    assert_refused(await send("POST", "/orders?dry=1", headers=headers, content=b'{"amount": 6}'))
    assert_refused(await send("POST", "/orders?dry=0", headers=headers, content=body))
    assert_refused(await send("POST", "/orders", headers=headers, content=body))
    assert_refused(await send("POST", "/raw?dry=1", headers=headers, content=body))
    assert_refused(await send("POST", "/search", headers=headers, content=body))
    assert_refused(await send("GET", "/orders/7", headers=headers))


async def test_a_bound_context_without_a_body_hash_leaves_the_body_alone() -> None:
    """Where the gateway has streamed the body it could not vouch for it, and the service streams it, too."""
    headers = signed(bound("POST", b"/raw"))
    assert (await send("POST", "/raw", headers=headers, content=b"anything")).json() == {"body": "anything"}


async def test_the_body_can_still_be_read_after_it_was_checked() -> None:
    """By an endpoint that takes it raw."""
    headers = signed(bound("POST", b"/raw", b"whole"))
    assert (await send("POST", "/raw", headers=headers, content=b"whole")).json() == {"body": "whole"}


async def test_a_body_that_was_consumed_cannot_vouch() -> None:
    """What cannot be compared any more is refused; without a hash there is nothing to compare."""
    headers = signed(bound("POST", b"/consumed", b"x"))
    assert_refused(await send("POST", "/consumed", headers=headers, content=b"x"))
    headers = signed(bound("POST", b"/consumed"))
    assert (await send("POST", "/consumed", headers=headers, content=b"x")).json() == {"taken": True}


async def test_a_bound_context_names_its_decision() -> None:
    """The signed id counts, not the field beside it."""
    context = bound("GET", b"/orders/7", jti="018f0000-0000-7000-8000-00000000000a")
    response = await send("GET", "/orders/7", headers=signed(context, **{"X-Decision-Id": "forged"}))
    assert response.json()["decision_id"] == "018f0000-0000-7000-8000-00000000000a"


class Rotating:
    """Keys that are new only after they are asked for anew."""

    def __init__(self, old: TrustedKeys, new: TrustedKeys | None) -> None:
        self.old, self.new, self.refreshes = old, new, 0

    async def keys(self) -> TrustedKeys:
        """The old ones."""
        return self.old

    async def refreshed(self) -> TrustedKeys:
        """The new ones."""
        self.refreshes += 1
        if self.new is None:
            raise ContextUnusable("down")
        return self.new


async def test_a_new_key_is_asked_for_once() -> None:
    """After a rotation the first request fetches the new key and passes; a known key fetches nothing."""
    other = TrustedKeys.from_jwks({"keys": [{**SIGNER.public_jwks()["keys"][0], "kid": "another"}]})
    keys = Rotating(other, SIGNER.trusted_keys("order"))
    app = make_app(keys)
    assert (await send("GET", "/orders/7", app=app, headers=signed(make_context()))).status_code == 200
    assert keys.refreshes == 1
    known = Rotating(SIGNER.trusted_keys("order"), None)
    assert_refused(await send("GET", "/orders/7", app=make_app(known), headers=signed(make_context(aud="x"))))
    assert known.refreshes == 0
    still_unknown = Rotating(other, other)
    assert_refused(await send("GET", "/orders/7", app=make_app(still_unknown), headers=signed(make_context())))
    assert_refused(await send("GET", "/orders/7", app=make_app(Rotating(other, None)), headers=signed(make_context())))


async def test_a_repr_has_no_token() -> None:
    """It ends up in logs."""
    token = SIGNER.sign(make_context())
    context = RequestContext(
        tenant_id="acme",
        sub="u",
        idp="",
        roles=("R",),
        trace_id=TRACE_ID,
        decision_id="",
        policy_version="",
        act=None,
        token=token,
    )
    assert token not in repr(context)
    assert "acme/u" in repr(context)


class Server(uvicorn.Server):
    """A uvicorn that says when it listens."""

    def __init__(self, app: FastAPI) -> None:
        """Serve quietly."""
        super().__init__(uvicorn.Config(app, log_config=None, lifespan="off"))
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        self.listening.set()


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The application behind a real uvicorn; its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = Server(app)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve([listener]))
            await asyncio.wait_for(server.listening.wait(), PATIENCE_S)
            yield "{}:{}".format(*listener.getsockname())
            server.should_exit = True


async def exchange(address: str, request: bytes) -> bytes:
    """Send bytes, read until the connection ends."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    "target",
    [
        b"/orders/a%2Fb",
        b"/orders/a%2fb?x=%20y",
        b"/orders/%7E",
        b"/orders/~",
        b"/orders/a?",
        b"/orders/a?b?c",
        b"/orders/*",
    ],
)
async def test_the_target_is_compared_as_received(target: bytes) -> None:
    """Over a real server the bytes on the wire are the bytes that were decided on, escapes, case and all."""
    async with served(make_app()) as address:

        async def status(context: SecurityContext) -> bytes:
            fields = f"Host: order\r\nConnection: close\r\nX-Security-Context: {SIGNER.sign(context)}\r\n\r\n"
            return (await exchange(address, b"GET " + target + b" HTTP/1.1\r\n" + fields.encode()))[9:12]

        assert await status(bound("GET", target)) == b"200"
        assert await status(bound("GET", target.replace(b"orders/", b"orders/x"))) == b"401"
        assert await status(bound("GET", target + b"&z")) == b"401"


async def test_a_repeated_field_is_seen_over_a_real_server() -> None:
    """However the two copies are spelled on the wire."""
    token = SIGNER.sign(make_context()).encode()
    async with served(make_app()) as address:
        request = b"GET /orders/7 HTTP/1.1\r\nHost: order\r\nConnection: close\r\n"
        one = b"X-Security-Context: " + token + b"\r\n"
        two = b"x-SECURITY-context: " + token + b"\r\n"
        assert (await exchange(address, request + one + b"\r\n"))[9:12] == b"200"
        assert (await exchange(address, request + one + two + b"\r\n"))[9:12] == b"401"


async def test_a_request_that_waited_for_another_is_not_that_one_s() -> None:
    """The server starts it within the other's context, where an endpoint without the guard would find that caller."""
    app = FastAPI()
    guard = SecurityContextExtractor(
        ContextVerifier(ISSUER, "order"), StaticKeys(SIGNER.trusted_keys("order")), clock=lambda: NOW
    )
    guard.install(app)
    app.add_api_route("/guarded", lambda: str(current_context()), dependencies=[Depends(guard)])
    app.add_api_route("/open", lambda: str(current_context()))
    request = "GET /{} HTTP/1.1\r\nHost: order\r\n{}\r\n\r\n"
    first = request.format("guarded", f"X-Security-Context: {SIGNER.sign(make_context())}")
    async with served(app) as address:
        said = await exchange(address, (first + request.format("open", "Connection: close")).encode())
    assert said.count(b"HTTP/1.1 200") == 2
    assert (said.count(b"acme/"), said.count(b'"None"')) == (1, 1)


class Counted:
    """Keys that know how often they were asked for."""

    def __init__(self) -> None:
        self.asked = 0

    async def keys(self) -> TrustedKeys:
        """What is believed."""
        self.asked += 1
        return SIGNER.trusted_keys("order")

    async def refreshed(self) -> TrustedKeys | None:
        """Nothing newer."""
        return None


class Stamped(APIRoute):
    """A service's own kind of endpoint."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As it is, with a stamp on the answer."""
        handler = super().get_route_handler()

        async def stamped(request: Request) -> Response:
            response = await handler(request)
            response.headers["x-stamp"] = "1"
            return response

        return stamped


def routed(keys: Counted, **options: Any) -> FastAPI:
    """A service whose endpoints stand in a router of the extractor's."""
    extractor = SecurityContextExtractor(ContextVerifier(ISSUER, "order"), keys, clock=lambda: NOW)
    app = FastAPI()
    extractor.install(app)
    guarded = extractor.router(prefix="/v1", **options)

    @guarded.post("/orders")
    async def create(body: Body, context: Annotated[RequestContext, Depends(extractor)]) -> dict[str, Any]:
        return {"amount": body.amount, "sub": context.sub}

    @guarded.post("/form")
    async def form(request: Request) -> str:
        return b"".join([piece async for piece in request.stream()]).decode()  # as a framework reads a form

    @guarded.post("/search")
    @context_rule(reads=True)
    async def search(body: Body) -> int:
        return body.amount

    plain = APIRouter(prefix="/plain")

    @plain.post("/orders")
    async def plainly(body: Body) -> int:
        return body.amount

    guarded.include_router(plain)
    app.include_router(guarded)
    return app


@pytest.mark.parametrize("path", ["/v1/orders", "/v1/form", "/v1/search"])
@pytest.mark.parametrize("kind", [b"application/json", b"application/x-www-form-urlencoded", b"multipart/form-data"])
async def test_a_routers_endpoints_judge_before_anything_is_read(path: str, kind: bytes) -> None:
    """However large the body says it is, and with a context for another service: 401, and it is not asked for."""
    fields = ((b"content-type", kind), (b"content-length", b"99999999999"))
    other = SIGNER.sign(make_context(aud="payment")).encode()
    app = routed(Counted())
    assert await unread(app, path, *fields) == 401
    assert await unread(app, path, *fields, (b"x-security-context", other)) == 401
    assert await unread(app, path, *fields, (b"x-security-context", SIGNER.sign(bound("POST", b"/v2")).encode())) == 401


async def test_an_unknown_caller_learns_nothing_of_a_body() -> None:
    """Malformed or with other fields: the refusal is that of every request, here and in a router that is included."""
    app = routed(Counted())
    json = {"content-type": "application/json"}
    for content in (b"{", b'{"amount": "x"}', b'{"amount": 5}', b""):
        assert_refused(await send("POST", "/v1/orders", app=app, headers=json, content=content), "unauthenticated")
    refused = await send("POST", "/v1/plain/orders", app=app, headers=json, content=b'{"amount": 5}')
    assert_refused(refused, "unauthenticated")


async def test_a_routers_endpoints_are_judged_once_and_served() -> None:
    """The endpoint is told what was found; forms can be compared; what only reads is told apart; errors are its own."""
    keys = Counted()
    app = routed(keys)
    json = {"content-type": "application/json"}
    good = signed(bound("POST", b"/v1/orders", body := b'{"amount": 5}'), **json)
    answer = await send("POST", "/v1/orders", app=app, headers=good, content=body)
    assert (answer.json(), keys.asked) == ({"amount": 5, "sub": "u-1"}, 1)
    assert_refused(await send("POST", "/v1/orders", app=app, headers=good, content=b'{"amount": 6}'))
    wrong = signed(bound("POST", b"/v1/orders", b"{"), **json)
    assert (await send("POST", "/v1/orders", app=app, headers=wrong, content=b"{")).status_code == 422
    form = signed(bound("POST", b"/v1/form", b"amount=7"), **{"content-type": "application/x-www-form-urlencoded"})
    assert (await send("POST", "/v1/form", app=app, headers=form, content=b"amount=7")).json() == "amount=7"
    assert_refused(await send("POST", "/v1/form", app=app, headers=form, content=b"amount=8"))
    reads = signed(make_context(), **json)
    assert (await send("POST", "/v1/search", app=app, headers=reads, content=body)).json() == 5


async def test_a_routers_own_kind_of_endpoint_stays() -> None:
    """It comes behind the judging; dependencies of its own come behind the guard."""
    asked: list[bool] = []
    app = routed(Counted(), route_class=Stamped, dependencies=[Depends(lambda: asked.append(True))])
    refused = await send("POST", "/v1/orders", app=app, json={"amount": 5})
    assert_refused(refused, "unauthenticated")
    assert not asked
    assert "x-stamp" not in refused.headers
    good = signed(bound("POST", b"/v1/orders", body := b'{"amount": 5}'), **{"content-type": "application/json"})
    answer = await send("POST", "/v1/orders", app=app, headers=good, content=body)
    assert (answer.status_code, answer.headers["x-stamp"], asked) == (200, "1", [True])


async def test_what_one_guard_has_found_is_not_anothers() -> None:
    """A router that only reads lets a context for reading in; an endpoint in it with a stricter guard does not."""

    def guard(*, reads: bool) -> SecurityContextExtractor:
        return SecurityContextExtractor(ContextVerifier(ISSUER, "order"), Counted(), clock=lambda: NOW, reads=reads)

    strict, app = guard(reads=False), FastAPI()
    strict.install(app)
    reading = guard(reads=True).router()
    reading.add_api_route("/search", lambda: 1, methods=["POST"])
    reading.add_api_route("/orders", lambda: 1, methods=["POST"], dependencies=[Depends(strict)])
    app.include_router(reading)
    assert (await send("POST", "/search", app=app, headers=signed(make_context()))).json() == 1
    assert_refused(await send("POST", "/orders", app=app, headers=signed(make_context())))


ELSEWHERE = APIRouter(route_class=GuardedRoute)
"""As a module of a service makes it, when it is imported."""


@ELSEWHERE.post("/orders")
async def create_order(body: Body) -> int:
    """One."""
    return body.amount


async def test_a_router_that_was_made_before_the_guard_judges_first() -> None:
    """By the guard of the application that serves it, each by its own."""
    apps = {}
    for service in ("order", "payment"):
        guard = SecurityContextExtractor(ContextVerifier(ISSUER, service), Counted(), clock=lambda: NOW)
        app = apps[service] = FastAPI()
        guard.install(app)
        app.include_router(ELSEWHERE, prefix="/v1")
        assert await unread(app, "/v1/orders", (b"content-type", b"application/json")) == 401
    body = b'{"amount": 5}'
    good = signed(bound("POST", b"/v1/orders", body), **{"content-type": "application/json"})
    assert (await send("POST", "/v1/orders", app=apps["order"], headers=good, content=body)).json() == 5
    assert_refused(await send("POST", "/v1/orders", app=apps["payment"], headers=good, content=body))


async def test_without_a_guard_such_a_router_serves_nothing() -> None:
    """Nor reads anything: an application that forgot it finds out at its first request."""
    app = FastAPI()
    app.include_router(ELSEWHERE)
    with pytest.raises(ContextUnusable, match="no guard"):
        await unread(app, "/orders", (b"content-type", b"application/json"))


async def test_a_body_without_an_end_is_not_held() -> None:
    """It is read up to the limit while it is judged. One that nothing is bound to, the endpoint may read to its end."""
    read: list[int] = []
    piece = b"x" * 1000

    async def receive() -> Any:
        read.append(len(piece))
        assert len(read) <= 20
        return {"type": "http.request", "body": piece, "more_body": len(read) < 20}

    guard = SecurityContextExtractor(
        ContextVerifier(ISSUER, "order"), Counted(), clock=lambda: NOW, body_limit_bytes=5_000
    )
    app = FastAPI()
    guard.install(app)
    guarded = guard.router()

    @guarded.post("/orders")
    async def taken(request: Request) -> int:
        return len(await request.body())

    app.include_router(guarded)

    async def status(context: SecurityContext) -> int:
        read.clear()
        return await answered(app, "/orders", receive, (b"x-security-context", SIGNER.sign(context).encode()))

    assert (await status(bound("POST", b"/orders", piece)), len(read)) == (413, 6)
    assert (await status(bound("POST", b"/orders")), len(read)) == (200, 20)
