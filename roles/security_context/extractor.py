"""The FastAPI dependency behind which every service stands.

A request's `X-Security-Context` in, a `RequestContext` out; without a context that holds and fits, the endpoint is not
reached. No service parses a tenant, a user or a role itself. The rules are `acceptance`'s.
"""

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, Final, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.params import Depends as Dependency
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from roles.errors import ContextRejected, ContextUnusable
from roles.security_context import headers
from roles.security_context.acceptance import BODY_LIMIT_BYTES, Acceptance, Need, Received, drive
from roles.security_context.asgi import target_of
from roles.security_context.context import RequestContext, serving
from roles.security_context.key_source import KeySource
from roles.security_context.keys import TrustedKeys
from roles.security_context.refusal import log, refusal, too_large
from roles.security_context.verifier import ContextVerifier, Reason

_READS: Final = "__lychgate_reads__"
_JUDGED: Final = "lychgate.judged"
_INSTALLED: Final = "lychgate_guard"

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


def context_rule(*, reads: bool) -> Callable[[Endpoint], Endpoint]:
    """Say about an endpoint whether it only reads, whatever its method (a search by POST)."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _READS, reads)
        return endpoint

    return mark


class SecurityContextExtractor:
    """The dependency: `Depends(extractor)` for a whole application, a router or an endpoint.

    FastAPI reads and parses a body before it asks a dependency. The endpoints of `router` are judged before that, and
    so are those of `GuardedRoute`, for routers that are made before there is a guard.

    It leaves what it found at `request.state.context` and for `current_context()`, and the trace id at
    `request.state.trace_id`, the latter also when it refuses. `install` sees to what a dependency cannot.
    """

    def __init__(
        self,
        verifier: ContextVerifier,
        keys: KeySource,
        *,
        clock: Callable[[], float],
        reads: bool = False,
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        """Prepare.

        Args:
            verifier: For this service.
            keys: What to believe.
            clock: Seconds since the epoch.
            reads: Whether the endpoints behind this only read; `context_rule` says so for one alone.
            body_limit_bytes: How large a body may be that is compared with its context; beyond it is 413.
        """
        self._acceptance = Acceptance(verifier, clock)
        self._keys = keys
        self._reads = reads
        self._limit_bytes = body_limit_bytes

    def install(self, app: FastAPI) -> None:
        """Have an application answer refusals, begin each request as nobody's, and judge by this at `GuardedRoute`s."""
        setattr(app.state, _INSTALLED, self)
        app.add_exception_handler(ContextRejected, refuse)
        app.add_middleware(Anew)

    def router(self, *, dependencies: Sequence[Dependency] = (), **options: Any) -> APIRouter:
        """A router whose endpoints judge a request before anything of its body is read.

        Only its own endpoints do. Those of a router that is included in it have the dependency, which FastAPI asks when
        it has parsed the body: make that router in this way, too, or of `GuardedRoute`.

        Args:
            dependencies: Asked after this one.
            options: Of FastAPI's `APIRouter`; a `route_class` among them stays what it is, behind the judging.
        """
        behind = options.pop("route_class", APIRoute)
        first = type("JudgedFirst", (_judging(lambda _: self), behind), {})
        return APIRouter(dependencies=[Depends(self), *dependencies], route_class=first, **options)

    async def __call__(self, request: Request) -> RequestContext:
        """Say who asks, once for a request.

        Raises:
            ContextRejected: No context, or not one for this service and this request.
        """
        by, found = request.scope.get(_JUDGED, (None, None))
        if by is self and isinstance(found, RequestContext):
            return found
        found = await self._judge(request)
        request.scope[_JUDGED] = self, found
        return found

    async def _judge(self, request: Request) -> RequestContext:
        serving(None)
        received = _received(request, getattr(request.scope.get("endpoint"), _READS, self._reads))
        request.state.trace_id = trace_id = received.sent_trace() or headers.new_trace_id()

        async def answer(need: Need) -> TrustedKeys | bytes | None:
            if need is Need.KEYS:
                return await self._keys.keys()
            if need is Need.FRESH_KEYS:
                return await self._keys.refreshed()
            return await _whole(request, self._limit_bytes)

        try:
            found = await drive(self._acceptance.steps(received, trace_id), answer)
        except ContextRejected as exc:
            log(exc, trace_id)
            raise
        request.state.trace_id = found.trace_id
        request.state.context = found
        serving(found)
        return found


def _judging(guard_of: Callable[[FastAPI], SecurityContextExtractor]) -> type[APIRoute]:
    """Endpoints that ask a guard before FastAPI touches the request."""

    class Judging(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handler = super().get_route_handler()

            async def judged(request: Request) -> Response:
                bounded = _Bounded(request.scope, request.receive)
                await guard_of(request.app)(bounded)
                return await handler(bounded)

            return judged

    return Judging


class _Bounded(Request):
    """A request whose body is read up to a limit while it is judged, and kept for whoever reads it after that.

    Attributes:
        limit_bytes: While it is judged.
    """

    limit_bytes: int | None = None

    async def stream(self) -> AsyncGenerator[bytes, None]:
        """The body in pieces, as they come.

        Raises:
            ContextRejected: There is more than may be compared.
        """
        size = 0
        async for piece in super().stream():
            size += len(piece)
            if self.limit_bytes is not None and size > self.limit_bytes:
                raise ContextRejected(Reason.BODY_LIMIT, code=too_large())
            yield piece


async def _whole(request: Request, limit_bytes: int) -> bytes:
    """The body, to be compared; the endpoint can read it again.

    Raises:
        ContextRejected: It is too large; or the framework has consumed it as a form, and nothing is left to compare.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said[:20]) > limit_bytes:  # a longer number is none of a body's
        raise ContextRejected(Reason.BODY_LIMIT, code=too_large())
    if isinstance(request, _Bounded):
        request.limit_bytes = limit_bytes
    try:
        body = await request.body()
    except RuntimeError as exc:
        raise ContextRejected(Reason.BODY) from exc
    finally:
        if isinstance(request, _Bounded):
            request.limit_bytes = None
    if len(body) > limit_bytes:  # parsed by the framework before anybody was asked
        raise ContextRejected(Reason.BODY_LIMIT, code=too_large())
    return body


def _installed(app: FastAPI) -> SecurityContextExtractor:
    guard = getattr(app.state, _INSTALLED, None)
    if not isinstance(guard, SecurityContextExtractor):
        raise ContextUnusable("an endpoint of GuardedRoute is served by an application that no guard was installed on")
    return guard


class GuardedRoute(_judging(_installed)):  # type: ignore[misc]  # a class that is made is a base as good as any
    """The endpoints of a router that is made when its module is imported, before there is a guard.

    `APIRouter(route_class=GuardedRoute)`. Each request is judged by the guard that is installed on the application that
    serves it, before anything of its body is read. Where none is, nothing is served.

    Raises:
        ContextUnusable: a request came, and no guard is installed.
    """


class Anew:
    """Begins each request as nobody's: a dependency is only asked by endpoints that have it.

    A server may start a request within the context of the one before it on the same connection (uvicorn does where a
    request has waited for an answer), so that an endpoint without the guard would find that one's caller.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve."""
        serving(None)
        await self._app(scope, receive, send)


def refuse(request: Request, exc: Exception) -> Response:
    """The answer to a request without a context to believe: an exception handler for `ContextRejected`."""
    rejected = exc if isinstance(exc, ContextRejected) else ContextRejected(Reason.MALFORMED)
    said = refusal(rejected, getattr(request.state, "trace_id", None) or headers.new_trace_id())
    return Response(said.body, said.status, dict(said.fields))


def _received(request: Request, reads: bool) -> Received:
    return Received(
        method=request.method,
        target=target_of(request.scope),
        contexts=request.headers.getlist(headers.CONTEXT),
        trace_id=request.headers.get(headers.TRACE_ID),
        traceparent=request.headers.get(headers.TRACEPARENT),
        decision_id=request.headers.get(headers.DECISION_ID, ""),
        reads=reads,
    )
