"""The same before any ASGI application: Starlette, Litestar, a bare callable. The rules are `acceptance`'s.

    app = SecurityContextMiddleware(app, verifier, keys, clock=clock, exempt={"/healthz"})

What it found stands in `scope["state"]["context"]` (Starlette: `request.state.context`), the trace id beside it.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

from roles.errors import ContextRejected, ContextUnusable
from roles.security_context import headers
from roles.security_context.acceptance import BODY_LIMIT_BYTES, Acceptance, Need, Received, drive
from roles.security_context.context import serving
from roles.security_context.key_source import KeySource
from roles.security_context.keys import TrustedKeys
from roles.security_context.refusal import Refusal, log, refusal, too_large
from roles.security_context.verifier import ContextVerifier, Reason

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_CONTEXT: Final = headers.CONTEXT.lower().encode()
_TRACE_ID: Final = headers.TRACE_ID.lower().encode()
_TRACEPARENT: Final = headers.TRACEPARENT.lower().encode()
_DECISION_ID: Final = headers.DECISION_ID.lower().encode()
_POLICY_VIOLATION: Final = 1008  # RFC 6455 s7.4.1; servers answer a close before the opening with 403
_OWN_ANSWER: Final = "websocket.http.response"


class _Gone(Exception):
    """The client has left while its body was read: there is nobody to answer."""


class SecurityContextMiddleware:
    """Lets nobody through to an application without a context that holds and fits.

    Args:
        app: The application.
        verifier: For this service.
        keys: What to believe.
        clock: Seconds since the epoch.
        exempt: Paths that everybody may ask for, exactly as they are sent: `/healthz`. They get no context.
        reads: Paths whose endpoints change nothing whatever their method: a search by POST.
        body_limit_bytes: What is held of a body in order to compare it. A body that no context is bound to streams
            through, whatever its size.
    """

    def __init__(
        self,
        app: App,
        verifier: ContextVerifier,
        keys: KeySource,
        *,
        clock: Callable[[], float],
        exempt: Collection[str] = (),
        reads: Collection[str] = (),
        body_limit_bytes: int = BODY_LIMIT_BYTES,
    ) -> None:
        self._app = app
        self._acceptance = Acceptance(verifier, clock)
        self._keys = keys
        self._exempt = frozenset(exempt)
        self._reads = frozenset(reads)
        self._limit_bytes = body_limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve.

        Raises:
            ContextUnusable: A kind of connection that is not known here, and may be a way around.
        """
        kind = scope["type"]
        if kind == "lifespan":
            await self._app(scope, receive, send)
            return
        if kind not in {"http", "websocket"}:
            raise ContextUnusable("a connection that is neither http nor websocket")
        path = _path(scope)
        serving(None)
        if kind == "http" and path in self._exempt:
            await self._app(scope, receive, send)
            return
        received = _received(scope, reads=path in self._reads)
        trace_id = received.sent_trace() or headers.new_trace_id()
        held = _Held(receive, _length(scope), self._limit_bytes)

        async def answer(need: Need) -> TrustedKeys | bytes | None:
            if need is Need.KEYS:
                return await self._keys.keys()
            if need is Need.FRESH_KEYS:
                return await self._keys.refreshed()
            return await held.whole()

        try:
            found = await drive(self._acceptance.steps(received, trace_id), answer)
        except _Gone:
            return
        except ContextRejected as exc:
            log(exc, trace_id)
            await _refuse(scope, receive, send, refusal(exc, trace_id))
            return
        state = {**scope.get("state", {}), "context": found, "trace_id": found.trace_id}
        serving(found)
        try:
            await self._app({**scope, "state": state}, held.replay, send)
        finally:
            serving(None)


class _Held:
    """A body that was read in order to compare it, and is given to the application again."""

    def __init__(self, receive: Receive, length: int | None, limit_bytes: int) -> None:
        self._receive = receive
        self._length = length
        self._limit_bytes = limit_bytes
        self._body: bytes | None = None

    async def whole(self) -> bytes:
        """All of it.

        Raises:
            ContextRejected: It is too large.
            _Gone: The client has left.
        """
        if self._length is not None and self._length > self._limit_bytes:
            raise ContextRejected(Reason.BODY_LIMIT, code=too_large())
        body = bytearray()
        more = True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                raise _Gone
            body += message.get("body", b"")
            if len(body) > self._limit_bytes:
                raise ContextRejected(Reason.BODY_LIMIT, code=too_large())
            more = message.get("more_body", False)
        self._body = bytes(body)
        return self._body

    async def replay(self) -> Message:
        """What the application receives: the body once, as one piece, then whatever else comes."""
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


def _received(scope: Scope, *, reads: bool) -> Received:
    opens = scope["type"] == "websocket"
    contexts: list[str] = []
    others: dict[bytes, str] = {}
    fields: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for name, value in fields:
        small = name.lower()
        if small == _CONTEXT:
            contexts.append(value.decode("latin-1"))
        elif small in {_TRACE_ID, _TRACEPARENT, _DECISION_ID}:
            others.setdefault(small, value.decode("latin-1"))
    return Received(
        method="GET" if opens else scope["method"],
        target=target_of(scope),
        contexts=contexts,
        trace_id=others.get(_TRACE_ID),
        traceparent=others.get(_TRACEPARENT),
        decision_id=others.get(_DECISION_ID, ""),
        reads=reads,
        opens=opens,
    )


def _path(scope: Scope) -> str | None:
    """The path, where it is plain: as received and as the application will see it; else None."""
    path, raw = scope.get("path"), scope.get("raw_path")
    return path if isinstance(path, str) and raw == path.encode() else None


def target_of(scope: Mapping[str, Any]) -> bytes | None:
    """Path and query as received, not what a framework made of the path.

    None where the server does not say, and where the path that will be served is another: something between the server
    and us has rewritten it, and a context for what was asked is none for what is done.
    """
    raw, query, path = scope.get("raw_path"), scope.get("query_string"), scope.get("path")
    if not isinstance(raw, bytes) or not isinstance(query, bytes):
        return None
    decoded = unquote(raw.decode("latin-1"))
    if decoded not in {path, f"{scope.get('root_path', '')}{path}"}:  # frameworks differ in which of the two is `path`
        return None
    return raw + b"?" + query if query else raw


def _length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name.lower() == b"content-length" and value.isdigit():
            return int(value)
    return None


async def _refuse(scope: Scope, receive: Receive, send: Send, said: Refusal) -> None:
    kind = "http"
    if scope["type"] == "websocket":
        await receive()  # the opening
        if _OWN_ANSWER not in (scope.get("extensions") or {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": ""})
            return
        kind = "websocket.http"
    one = str(scope.get("http_version", "1.1")).startswith("1")  # HTTP/2 knows no `Connection` (RFC 9113 s8.2.2)
    fields = [(name.lower().encode(), value.encode()) for name, value in said.fields if one or name != "Connection"]
    await send({"type": f"{kind}.response.start", "status": said.status, "headers": fields})
    await send({"type": f"{kind}.response.body", "body": b"" if scope.get("method") == "HEAD" else said.body})
