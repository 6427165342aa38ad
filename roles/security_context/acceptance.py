"""How a request with a security context is believed or not: the rules, once, for every kind of service. Pure.

`Acceptance.steps` is a generator. It asks for what it needs (keys, fresh keys, the body), is sent it, and returns the
`RequestContext`. The shells (`extractor`, `asgi`, `wsgi`) know how their world gets these things, and nothing else:
`drive` and `drive_blocking` run the generator for them.
"""

from collections.abc import Awaitable, Callable, Generator, Sequence
from enum import Enum, auto
from typing import Final, NamedTuple, TypeAlias

from msgspec import structs

from roles.errors import ContextRejected, ContextUnusable
from roles.security_context import headers
from roles.security_context.claims import SecurityContext
from roles.security_context.context import RequestContext
from roles.security_context.keys import TrustedKeys
from roles.security_context.verifier import ContextVerifier, Reason, check_binding

BODY_LIMIT_BYTES: Final = 1 << 20
"""What a shell holds of a body in order to compare it. The gateway binds only what it has read itself: 64 KiB as it
comes (`gateway.body_limit_bytes`)."""


class Need(Enum):
    """What the rules ask for."""

    KEYS = auto()
    FRESH_KEYS = auto()
    BODY = auto()


class Received(NamedTuple):
    """What of a request the rules look at.

    Attributes:
        method: As it stands in the request line.
        target: Path and query as received; None where the server has not kept the bytes.
        contexts: Every value of the context's field.
        trace_id: The field of that name.
        traceparent: The field of that name.
        decision_id: The field of that name; empty if there is none.
        reads: Whether the endpoint changes nothing although its method says otherwise.
        opens: Whether it opens a tunnel, which counts as a change although its method says otherwise.
    """

    method: str
    target: bytes | None
    contexts: Sequence[str]
    trace_id: str | None = None
    traceparent: str | None = None
    decision_id: str = ""
    reads: bool = False
    opens: bool = False

    def sent_trace(self) -> str | None:
        """The trace id that the fields say, if it is one."""
        return headers.usable_trace_id(self.trace_id) or headers.trace_id_of(self.traceparent)


Steps: TypeAlias = Generator[Need, TrustedKeys | bytes | None, RequestContext]


class Acceptance:
    """The rules of one service.

    Args:
        verifier: For this service.
        clock: Seconds since the epoch.
    """

    __slots__ = ("_clock", "_verifier")

    def __init__(self, verifier: ContextVerifier, clock: Callable[[], float]) -> None:
        self._verifier = verifier
        self._clock = clock

    def steps(self, received: Received, trace_id: str) -> Steps:
        """Say who asks.

        Args:
            received: The request.
            trace_id: What to call it where neither the context nor a field says.

        Yields:
            What is needed. `KEYS` and `FRESH_KEYS` are answered with keys, or `ContextUnusable` is thrown in; `BODY` is
            answered with the body, or with None where there is nothing left to compare.

        Raises:
            ContextRejected: No context, or not one for this service and this request.
        """
        token = _token(received.contexts)
        context = yield from self._verified(token)
        if context.bound and received.target is None:
            raise ContextRejected(Reason.TARGET)  # a server that does not keep the bytes cannot verify them
        if received.opens and not context.bound:
            raise ContextRejected(Reason.NOT_BOUND)
        body: bytes | None = None
        if context.htb is not None:
            # Everything else first: nobody's body is read for a context that does not fit anyway.
            _check(structs.replace(context, htb=None), received, None)
            answer = yield Need.BODY
            body = answer if isinstance(answer, bytes) else None
        _check(context, received, body)
        return RequestContext(
            tenant_id=context.tenant_id,
            sub=context.sub,
            idp=context.idp,
            roles=context.roles,
            trace_id=_trace_of(context, received, trace_id),
            decision_id=context.jti if context.bound else headers.usable_decision_id(received.decision_id),
            policy_version=context.policy_version,
            act=context.act,
            token=token,
        )

    def _verified(self, token: str) -> Generator[Need, TrustedKeys | bytes | None, SecurityContext]:
        try:
            keys = _keys((yield Need.KEYS))
            try:
                return self._verifier.verify(token, keys, self._clock())
            except ContextRejected as exc:
                if exc.reason != Reason.UNKNOWN_KEY:
                    raise
            keys = _keys((yield Need.FRESH_KEYS))
            return self._verifier.verify(token, keys, self._clock())
        except ContextUnusable as exc:
            raise ContextRejected(Reason.KEYS_UNAVAILABLE) from exc


async def drive(steps: Steps, answer: Callable[[Need], Awaitable[TrustedKeys | bytes | None]]) -> RequestContext:
    """Run the rules, awaiting what they need.

    Raises:
        ContextRejected: As `Acceptance.steps`.
    """
    try:
        need = next(steps)
        while True:
            try:
                given = await answer(need)
            except ContextUnusable as exc:
                need = steps.throw(exc)
            else:
                need = steps.send(given)
    except StopIteration as done:
        found: RequestContext = done.value
        return found


def drive_blocking(steps: Steps, answer: Callable[[Need], TrustedKeys | bytes | None]) -> RequestContext:
    """As `drive`, for threads.

    Raises:
        ContextRejected: As `Acceptance.steps`.
    """
    try:
        need = next(steps)
        while True:
            try:
                given = answer(need)
            except ContextUnusable as exc:
                need = steps.throw(exc)
            else:
                need = steps.send(given)
    except StopIteration as done:
        found: RequestContext = done.value
        return found


def _keys(given: TrustedKeys | bytes | None) -> TrustedKeys:
    if not isinstance(given, TrustedKeys):
        raise ContextUnusable("no keys were given")
    return given


def _check(context: SecurityContext, received: Received, body: bytes | None) -> None:
    check_binding(context, method=received.method, target=received.target or b"", body=body, reads=received.reads)


def _token(values: Sequence[str]) -> str:
    """The one token. Some servers hand repeated fields on as one, with a comma, which no compact JWS holds."""
    if not values or (len(values) == 1 and not values[0]):
        raise ContextRejected(Reason.MISSING, code="unauthenticated")
    if len(values) > 1 or "," in values[0]:
        raise ContextRejected(Reason.REPEATED)
    return values[0]


def _trace_of(context: SecurityContext, received: Received, otherwise: str) -> str:
    """The trace of the request in hand.

    A context that is not bound may be one that was signed for an earlier request of the same caller (DESIGN section 4),
    so there the fields beside it count first.
    """
    signed = headers.usable_trace_id(context.trace_id)
    sent = received.sent_trace()
    first, second = (signed, sent) if context.bound else (sent, signed)
    return first or second or otherwise
