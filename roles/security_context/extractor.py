"""The FastAPI dependency behind which every service stands.

A request's `X-Security-Context` in, a `RequestContext` out; without a context that holds and fits, the endpoint is not
reached. No service parses a tenant, a user or a role itself.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec
import structlog
from fastapi import Request
from fastapi.responses import JSONResponse

from roles.errors import ContextRejected, ContextUnusable
from roles.security_context import headers
from roles.security_context.claims import Actor, SecurityContext
from roles.security_context.key_source import KeySource
from roles.security_context.verifier import ContextVerifier, Reason, check_binding

_LOG: Final = structlog.get_logger(__name__)
_READS: Final = "__lychgate_reads__"

Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, as the gateway says.

    Attributes:
        tenant_id: The only tenant to answer for.
        sub: The principal's name at its issuer; empty for a caller without a credential.
        idp: The configured name of that issuer.
        roles: Our role names, in catalogue order.
        trace_id: 32 hex digits; made here where none came.
        decision_id: Of the gateway's decision; empty where it did not say.
        policy_version: Of the policies that decided.
        act: The service that calls on the principal's behalf, if one does.
        token: The signed context, to be shown when calling another service.
    """

    tenant_id: str
    sub: str
    idp: str
    roles: tuple[str, ...]
    trace_id: str
    decision_id: str
    policy_version: str
    act: Actor | None
    token: str

    def __repr__(self) -> str:
        """Without the token: a repr ends up in logs."""
        return f"RequestContext({self.tenant_id}/{self.sub}, {','.join(self.roles)}, trace {self.trace_id})"


def context_rule(*, reads: bool) -> Callable[[Endpoint], Endpoint]:
    """Say about an endpoint whether it only reads, whatever its method (a search by POST)."""

    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _READS, reads)
        return endpoint

    return mark


class SecurityContextExtractor:
    """The dependency: `Depends(extractor)` for a whole application, a router or an endpoint.

    It leaves what it found at `request.state.context`, and the trace id at `request.state.trace_id`, the latter also
    when it refuses. What it raises is answered by `refuse`.
    """

    def __init__(
        self, verifier: ContextVerifier, keys: KeySource, *, clock: Callable[[], float], reads: bool = False
    ) -> None:
        """Prepare.

        Args:
            verifier: For this service.
            keys: What to believe.
            clock: Seconds since the epoch.
            reads: Whether the endpoints behind this only read; `context_rule` says so for one alone.
        """
        self._verifier = verifier
        self._keys = keys
        self._clock = clock
        self._reads = reads

    async def __call__(self, request: Request) -> RequestContext:
        """Say who asks.

        Raises:
            ContextRejected: No context, or not one for this service and this request.
        """
        request.state.trace_id = _trace_id(request)
        try:
            token = _token(request)
            context = await self._verified(token)
            await self._check_binding(context, request)
        except ContextRejected as exc:
            _LOG.warning("context_rejected", reason=exc.reason, trace_id=request.state.trace_id)
            raise
        found = _request_context(context, token, request)
        request.state.trace_id = found.trace_id
        request.state.context = found
        return found

    async def _verified(self, token: str) -> SecurityContext:
        try:
            keys = await self._keys.keys()
            try:
                return self._verifier.verify(token, keys, self._clock())
            except ContextRejected as exc:
                if exc.reason != Reason.UNKNOWN_KEY:
                    raise
            return self._verifier.verify(token, await self._keys.refreshed(), self._clock())
        except ContextUnusable as exc:
            raise ContextRejected(Reason.KEYS_UNAVAILABLE) from exc

    async def _check_binding(self, context: SecurityContext, request: Request) -> None:
        body: bytes | None = None
        if context.htb is not None:
            try:
                body = await request.body()  # kept by the request: the endpoint reads it again
            except RuntimeError as exc:  # the framework has consumed it as a form: nothing left to compare
                raise ContextRejected(Reason.BODY) from exc
        check_binding(
            context,
            method=request.method,
            target=_target(request.scope),
            body=body,
            reads=getattr(request.scope.get("endpoint"), _READS, self._reads),
        )


def refuse(request: Request, exc: Exception) -> JSONResponse:
    """The answer to a request without a context to believe: an exception handler for `ContextRejected`."""
    code = exc.code if isinstance(exc, ContextRejected) else "token_invalid"
    trace_id = getattr(request.state, "trace_id", None) or headers.new_trace_id()
    return JSONResponse(
        {"code": code, "missing_role": None, "trace_id": trace_id},
        status_code=401,
        headers={"WWW-Authenticate": "Lychgate"},
    )


def _token(request: Request) -> str:
    values = request.headers.getlist(headers.CONTEXT)
    if not values or values == [""]:
        raise ContextRejected(Reason.MISSING, code="unauthenticated")
    if len(values) > 1:
        raise ContextRejected(Reason.REPEATED)
    return values[0]


def _trace_id(request: Request) -> str:
    """What the fields say, or a new one: never an error."""
    return (
        headers.usable_trace_id(request.headers.get(headers.TRACE_ID))
        or headers.trace_id_of(request.headers.get(headers.TRACEPARENT))
        or headers.new_trace_id()
    )


def _trace_id_of(context: SecurityContext, request: Request) -> str:
    """The trace of the request in hand.

    A context that is not bound may be one that was signed for an earlier request of the same caller (DESIGN section 4),
    so there the fields beside it count first.
    """
    signed = headers.usable_trace_id(context.trace_id)
    sent = headers.usable_trace_id(request.headers.get(headers.TRACE_ID)) or headers.trace_id_of(
        request.headers.get(headers.TRACEPARENT)
    )
    first, second = (signed, sent) if context.bound else (sent, signed)
    found: str = first or second or request.state.trace_id
    return found


def _target(scope: Mapping[str, object]) -> bytes:
    """Path and query as received: not what the framework made of the path."""
    path, query = scope.get("raw_path"), scope.get("query_string")
    if not isinstance(path, bytes) or not isinstance(query, bytes):
        raise ContextRejected(Reason.TARGET)  # a server that does not keep the bytes cannot verify them
    return path + b"?" + query if query else path


def _request_context(context: SecurityContext, token: str, request: Request) -> RequestContext:
    return RequestContext(
        tenant_id=context.tenant_id,
        sub=context.sub,
        idp=context.idp,
        roles=context.roles,
        trace_id=_trace_id_of(context, request),
        decision_id=context.jti if context.bound else request.headers.get(headers.DECISION_ID, ""),
        policy_version=context.policy_version,
        act=context.act,
        token=token,
    )
