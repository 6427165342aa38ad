"""What is known of one request so far.

A `Case` is opened for every request, also for one that cannot be read, and each stage writes down what it found out.
The record is made from it whatever happens, so a refusal tells as much as was known when it was made.
"""

import msgspec

from gateway.errors import GatewayError
from gateway.known import Caller, Ruling, Target
from gateway.model import Identity, Match, Peer, Sensitive
from gateway.wire.head import Head
from gateway.wire.target import NormalPath
from policies.model import Answer, PolicyError, Question


class Case(msgspec.Struct, kw_only=True):
    """One request on its way; written by the stages in their order, never read across connections.

    Attributes:
        event_id: The decision id, UUIDv7.
        trace_id: 32 hex digits, the caller's or ours.
        received_at: Wall time when the head was complete, seconds; the only time this request is decided by.
        peer: Who is at the other end.
        head: None while, or because, it cannot be read.
        path: The canonical path.
        match: The route and its parameters.
        identity: The caller, once the credential held.
        claimed_tenant: The tenant of a caller whose credential is ours but did not hold (expired, wrong audience).
        claimed_sub: That caller.
        tenant_id: The tenant of the resource; the identity's, or another where crossing is allowed.
        named_tenants: Every tenant the request names.
        question: What Cedar was asked.
        answer: What it said.
        decision_us: How long that took.
        withheld: Fields of the answer that the caller may not see, by class.
        field_errors: Policies that could not be evaluated when that was decided.
        redacted: How many of them the answer had.
        cors_granted: Whether a preflight's page may go on to ask.
        memo_hit: Whether it was remembered.
        target: What the line was remembered to mean; with `caller` and `ruling` for a request that was judged before,
            whose question is asked again only where somebody wants to know it.
        caller: Whose fields those are.
        ruling: What they were allowed.
        seq: The number of its record, taken when it was decided; 0 until then, and once it is written.
        error: Why the request ended here.
        forwarded: Whether any byte may have reached a service.
        status: What the caller was answered; None while nothing was.
        request_bytes: Of the body, so far.
        response_bytes: Of the answer's body, so far.
        cut: Why the exchange ended early, a fixed word.
    """

    event_id: str
    trace_id: str
    received_at: float
    peer: Peer
    head: Head | None = None
    path: NormalPath | None = None
    match: Match | None = None
    identity: Identity | None = None
    claimed_tenant: str | None = None
    claimed_sub: str | None = None
    tenant_id: str | None = None
    named_tenants: tuple[str, ...] = ()
    question: Question | None = None
    answer: Answer | None = None
    decision_us: int = 0
    memo_hit: bool = False
    withheld: tuple[Sensitive, ...] = ()
    field_errors: tuple[PolicyError, ...] = ()
    redacted: int = 0
    cors_granted: bool = False
    target: Target | None = None
    caller: Caller | None = None
    ruling: Ruling | None = None
    seq: int = 0
    error: GatewayError | None = None
    forwarded: bool = False
    status: int | None = None
    request_bytes: int = 0
    response_bytes: int = 0
    cut: str | None = None

    @property
    def crosses(self) -> bool:
        """Whether a caller acts in a tenant that is not their own. One without a credential has none to leave."""
        identity = self.identity
        if identity is None or not identity.token_sha256:
            return False
        return self.tenant_id not in {None, identity.principal.tenant_id}


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """How a tunnel or an event stream ended; its record names the one that opened it.

    Attributes:
        kind: `websocket` or `event_stream`.
        why: A fixed word; `closed` where an end was meant by those who made it.
        lasted_s: From its opening.
        close_code: Of a WebSocket's close frame, the service's before the client's.
        again: The request as it was judged the last time, where that is why it was cut.
        policy_version: Of the policies that it was judged by then.
    """

    kind: str
    why: str
    lasted_s: float
    close_code: int | None = None
    again: Case | None = None
    policy_version: str = ""
