"""A context for the next service: `POST /context/exchange` (DESIGN section 4). Pure but for the memos of the snapshot.

A service that has to ask another one in its caller's name proves who it is (its own token, decided by
`context:exchange` before this is called), shows the context it was given, and says what it wants to do next. What Cedar
decides then is the onward action for the *original* caller: a service cannot do more for a caller than they could
themselves. The new context keeps subject, tenant, roles and trace, names the asking service in `act`, and is bound
wherever the onward route changes something.
"""

import hashlib
from typing import Final

import msgspec

from gateway.case import Case
from gateway.errors import BadRequest, Code, Forbidden, Internal, Unready, UnsupportedMedia
from gateway.forward.headers import header_text
from gateway.model import Identity
from gateway.ops.door import Door, head
from gateway.route.extract import context_values, named_tenants
from gateway.snapshot import Snapshot
from gateway.wire.head import Head
from gateway.wire.target import normal_path
from roles.errors import ContextRejected, ContextUnusable
from roles.model import PLATFORM_TENANT, Principal
from roles.security_context.claims import Actor, SecurityContext, target_hash
from roles.security_context.headers import USER_ID, fields, trace_id_of
from roles.security_context.verifier import ContextVerifier

MAX_HOPS: Final = 4
"""Services that may stand in `act`. Each exchange makes a fresh context, so this also bounds how long, by passing a
context around, services could keep alive what a caller let them do: 4 times `context.ttl_s`."""

_BODY_HASH_LENGTH: Final = 43
"""SHA-256 in base64url without padding."""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The request's body.

    Attributes:
        context: The security context the service was sent, as it came.
        method: Of the onward request.
        path: Its path and query, as a client of the gateway would send it.
        body_sha256: Of its body, base64url without padding, where it has one.
    """

    context: str
    method: str
    path: str
    body_sha256: str | None = None


class Answered(msgspec.Struct, frozen=True):
    """The answer's body.

    Attributes:
        context: The new security context.
        service: Whom it is for.
        url: Where the onward request goes.
        headers: Everything to send with it, the context included.
        expires_at: Until when it holds, seconds since the epoch.
    """

    context: str
    service: str
    url: str
    headers: dict[str, str]
    expires_at: int


def exchange(case: Case, asked: Asked, caller: Principal, snapshot: Snapshot, door: Door) -> Answered:
    """Decide the onward request and make the context for it.

    Args:
        case: Admitted for the exchange itself; from here on it tells of the onward request.
        asked: What the service shows and wants.
        caller: The service.
        snapshot: What to decide by.
        door: Asks Cedar.

    Raises:
        GatewayError: What was shown cannot be believed, the onward request means nothing, or it may not be made.
    """
    snapshot.revocations.check_fresh()
    shown = _shown(asked.context, caller.sub, snapshot, case.received_at)
    _check_revoked(shown, snapshot)
    actor = Actor(caller.sub, shown.act)
    if _hops(actor) > MAX_HOPS:
        raise Forbidden("exchange: too many services in a row")
    if asked.body_sha256 is not None and len(asked.body_sha256) != _BODY_HASH_LENGTH:
        raise BadRequest("exchange: body_sha256 is not a SHA-256 in base64url")
    trace = _trace(case, shown)
    onward = _head(asked)
    path = normal_path(onward.target)
    match = snapshot.routes.match(asked.method, path.segments)
    # INVARIANT: from here on the case is the onward request of the original caller, whoever reads the record.
    case.trace_id, case.head, case.path, case.match = trace, onward, path, match
    case.question = case.answer = None
    identity = case.identity = _identity(shown, asked.context, snapshot)
    _decide(case, identity, shown.tenant_id, snapshot, door)
    return _answer(case, asked, shown, actor, snapshot)


def _shown(context: str, audience: str, snapshot: Snapshot, now: float) -> SecurityContext:
    """The context the service was sent: ours, for this service, and still good."""
    try:
        keys = snapshot.signer.trusted_keys(audience)
        return ContextVerifier(snapshot.signer.issuer, audience).verify(context, keys, now)
    except (ContextRejected, ContextUnusable) as exc:
        reason = exc.reason if isinstance(exc, ContextRejected) else "audience"
        raise BadRequest(f"exchange: shown context: {reason}") from None


def _check_revoked(shown: SecurityContext, snapshot: Snapshot) -> None:
    """What a caller who is revoked was given before is good for nothing new."""
    if not shown.sub:
        return  # a stranger has nothing that could be revoked
    home = (PLATFORM_TENANT,) if snapshot.catalogue.any_cross_tenant(shown.roles) else ()
    if snapshot.revocations.refuses_context(shown.idp, shown.sub, (shown.tenant_id, *home), shown.iat):
        raise Forbidden("exchange: the caller is revoked")


def _trace(case: Case, shown: SecurityContext) -> str:
    """The trace of the request in the service's hand.

    A context that is not bound may be one that the gateway signed for an earlier request of the same caller; the
    service knows the present one's trace from its `traceparent`, and hands it on in the same field.
    """
    sent = case.head.get(b"traceparent") if case.head is not None and not shown.bound else None
    return (trace_id_of(sent.decode("latin-1")) if sent else None) or shown.trace_id


def _hops(actor: Actor | None) -> int:
    count = 0
    while actor is not None:
        count, actor = count + 1, actor.act
    return count


def _head(asked: Asked) -> Head:
    try:
        return head(asked.method, asked.path.encode("ascii"), [])
    except UnicodeEncodeError:
        raise BadRequest("exchange: method or path is not ASCII") from None


def _identity(shown: SecurityContext, context: str, snapshot: Snapshot) -> Identity:
    """The original caller. Roles that have left the catalogue since are gone."""
    if snapshot.catalogue.anonymous in shown.roles:
        return snapshot.nobody
    principal = Principal(shown.idp, shown.tenant_id, shown.sub, snapshot.catalogue.resolve(shown.roles).roles)
    digest = hashlib.sha256(context.encode("ascii")).digest()
    return Identity(principal, "context", expires_at=float(shown.exp), token_sha256=digest, jti=shown.jti)


def _decide(case: Case, identity: Identity, tenant_id: str, snapshot: Snapshot, door: Door) -> None:
    """Ask whether the original caller may make the onward request, in the tenant the context speaks of.

    A role that had crossed into that tenant is asked about as a principal of it, and so is not let across again.
    """
    onward, path, match = case.head, case.path, case.match
    if onward is None or path is None or match is None:
        raise Internal("exchange: no onward request")
    route = match.route
    if route.problem:
        raise Unready(f"route: {route.problem}")
    if route.reads_body:
        # DESIGN section 7: a door that does not bring the body cannot be used for a route that decides on it.
        raise UnsupportedMedia("exchange: this route decides on the body")
    if not identity.token_sha256 and not route.anonymous:
        raise Forbidden("exchange: the caller has no credential")
    case.tenant_id = tenant_id
    case.named_tenants = tuple(named_tenants(route, onward, match.params, None))
    if set(case.named_tenants) - {tenant_id}:
        raise Forbidden("tenant", code=Code.TENANT_MISMATCH)
    context = context_values(route, onward, path.query, match.params, None)
    door.decide(case, snapshot, match, identity, tenant_id, context)


def _answer(case: Case, asked: Asked, shown: SecurityContext, actor: Actor, snapshot: Snapshot) -> Answered:
    """Sign the context for the next service, and say where to go with it."""
    identity, path, match = case.identity, case.path, case.match
    if identity is None or path is None or match is None:
        raise Internal("exchange: no onward request")
    now = int(case.received_at)
    service, bound = match.route.service, match.route.changes
    claims = msgspec.structs.replace(
        shown,
        aud=service,
        roles=identity.principal.roles,
        trace_id=case.trace_id,
        policy_version=snapshot.bundle.version,
        iat=now,
        exp=now + snapshot.signer.ttl_s,
        jti=case.event_id,
        htm=asked.method if bound else None,
        htp=target_hash(path.target) if bound else None,
        htb=asked.body_sha256 if bound else None,
        act=actor,
    )
    source = snapshot.services.get(service)
    if source is None or not source.addresses:
        raise Internal("exchange: a service without an address")
    try:
        signed = snapshot.signer.sign(claims)
    except ContextUnusable as exc:
        raise Internal(f"exchange: {exc}") from None
    return Answered(
        context=signed,
        service=service,
        url=f"{source.url}{path.target.decode('ascii')}",
        headers={**fields(claims, signed, case.event_id), USER_ID: header_text(claims.sub).decode("ascii")},
        expires_at=claims.exp,
    )
