"""What was worked out for one request and holds for the next of the same bytes. Filled by `gateway.serve.recall`.

INVARIANT: everything here follows from bytes of a head and from one snapshot. What depends on the clock, on a body or
on the connection is never in it: expiry, time, record numbers, traces and bound signatures are made anew.
"""

import msgspec

from gateway.model import Identity, Match, Route
from gateway.wire.framing import Framing
from gateway.wire.target import NormalPath
from policies.model import Answer, Entity


class Target(msgspec.Struct, frozen=True):
    """What a request line means.

    Attributes:
        method: As sent.
        target: As sent, origin-form.
        path: The canonical path.
        match: Its route.
        shape: Equal for request lines whose decisions cannot differ for one caller.
        resource_id: The resource's id.
        resource_json: The same as the inside of a JSON text.
        start: The request line a service is sent, CRLF included.
        hashed: `target_hash` of what the service is sent, for contexts that are bound to it.
    """

    method: bytes
    target: bytes
    path: NormalPath
    match: Match
    shape: str
    resource_id: str
    resource_json: bytes
    start: bytes
    hashed: str


class Ruling(msgspec.Struct):
    """An allow that was given to a caller for requests of one shape.

    Attributes:
        route: Of the shape.
        tenant_id: The tenant of the resource.
        named_tenants: Every tenant such a request names.
        answer: What Cedar said.
        context: The fields that tell a service who asks, ready to send; without the signed one, which is made for each
            request, where the route changes something.
        context_until: When those must be made again, seconds since the epoch.
        records: Formats of the records such a request leaves, by phase, status and whether it has a body; None where
            there can be none.
    """

    route: Route
    tenant_id: str
    named_tenants: tuple[str, ...]
    answer: Answer
    context: bytes = b""
    context_until: float = 0.0
    records: "dict[tuple[str, int | None, bool], bytes | None]" = {}


class Caller(msgspec.Struct, frozen=True):
    """What the fields of a head say, whose credential they show, and what that caller was allowed.

    Neither the credential's text nor a cookie is in it.

    Attributes:
        host: The one `Host` value.
        headers: As `Head.headers`, without the credential and the trace.
        framing: How a body ends.
        keep_alive: Whether the connection may be kept.
        expects_continue: Whether the client waits for `100 Continue`.
        identity: Whose credential it is.
        entities: The principal as Cedar sees it.
        passed: The fields a service is sent of these, ready to send.
        rulings: What was allowed, by `Target.shape`.
    """

    host: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    framing: Framing
    keep_alive: bool
    expects_continue: bool
    identity: Identity
    entities: tuple[Entity, ...]
    passed: bytes
    rulings: dict[str, Ruling]
