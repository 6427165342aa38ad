"""What a service is told about the caller: the signed security context and the plain headers beside it.

On a route that only reads, the signed part is kept with the snapshot and used again for the same caller, tenant and
service until it is half through its life; so a service never gets one that is about to expire. On a route that changes
something it is bound to the request and signed anew.
"""

from gateway.case import Case
from gateway.errors import Internal
from gateway.forward.headers import CONTEXT, DECISION, TENANT, TRACE, TRACEPARENT, USER_ID, USER_ROLES, header_text
from gateway.snapshot import Snapshot
from roles.errors import ContextUnusable
from roles.security_context.claims import SecurityContext, body_hash, target_hash
from roles.security_context.headers import traceparent


def injected(case: Case, snapshot: Snapshot, body: bytes | None) -> list[tuple[bytes, bytes]]:
    """The headers a service is sent for an allowed request.

    Args:
        case: Judged, and allowed.
        snapshot: By which it was.
        body: The forwarded body where the gateway has read it; the context is then bound to it as well.

    Raises:
        Internal: The context cannot be signed: no key for the service, or claims past 4 KiB.
    """
    return [
        *who_asks(case, snapshot, body)[0],
        (TRACE, case.trace_id.encode("ascii")),
        (DECISION, case.event_id.encode("ascii")),
        (TRACEPARENT, traceparent(case.trace_id).encode("ascii")),
    ]


def who_asks(case: Case, snapshot: Snapshot, body: bytes | None) -> tuple[list[tuple[bytes, bytes]], float]:
    """Those of the headers that tell who asks, and until when they may be sent again; 0 for never.

    Args and errors: as `injected`.
    """
    identity, match = case.identity, case.match
    if identity is None or match is None or case.path is None or case.head is None:
        raise Internal("a context for a request that was not judged")
    principal = identity.principal
    tenant = case.tenant_id or principal.tenant_id
    until = 0.0
    try:
        if match.route.changes:
            token = bound_context(case, snapshot, tenant, body)
        else:
            token, until = _reusable(case, snapshot, tenant)
    except ContextUnusable as exc:
        raise Internal(f"context: {exc}") from None
    return [
        (CONTEXT, token.encode("ascii")),
        (TENANT, tenant.encode("ascii")),
        (USER_ID, header_text(principal.sub) if identity.token_sha256 else b""),  # as `sub`: nobody has no name
        (USER_ROLES, ",".join(principal.roles).encode("ascii")),
    ], until


def bound_context(case: Case, snapshot: Snapshot, tenant: str, body: bytes | None) -> str:
    """A context for this request and no other, signed.

    Raises:
        ContextUnusable: It cannot be signed.
    """
    if case.path is None or case.head is None:
        raise Internal("a context for a request that was not judged")
    hashed = case.target.hashed if case.target is not None else target_hash(case.path.target)
    return snapshot.signer.sign(_claims(case, snapshot, tenant, (case.head.method.decode("ascii"), hashed, body)))


def _reusable(case: Case, snapshot: Snapshot, tenant: str) -> tuple[str, float]:
    """A context for reading, the one that is kept or a fresh one, and until when it is kept."""
    identity, match = case.identity, case.match
    if identity is None or match is None:
        raise Internal("a context for a request that was not judged")
    key = (identity.token_sha256, tenant, match.route.service)
    kept = snapshot.contexts.get(key, case.received_at)
    if kept is None:
        token = snapshot.signer.sign(_claims(case, snapshot, tenant, None))
        kept = (token, case.received_at + snapshot.signer.ttl_s / 2)
        snapshot.contexts.put(key, *kept)
    return kept


def _claims(
    case: Case, snapshot: Snapshot, tenant: str, bound: tuple[str, str, bytes | None] | None
) -> SecurityContext:
    """What the context says; `bound` is method, target hash, and the body where it was read."""
    identity, match = case.identity, case.match
    if identity is None or match is None:
        raise Internal("a context for a request that was not judged")
    now = int(case.received_at)
    method, target, body = bound or (None, None, None)
    anonymous = not identity.token_sha256
    return SecurityContext(
        iss=snapshot.signer.issuer,
        aud=match.route.service,
        sub="" if anonymous else identity.principal.sub,
        tenant_id=tenant,
        roles=identity.principal.roles,
        trace_id=case.trace_id,
        policy_version=snapshot.bundle.version,
        iat=now,
        exp=now + snapshot.signer.ttl_s,
        jti=case.event_id,
        idp="" if anonymous else identity.principal.issuer,
        htm=method,
        htp=target,
        htb=None if body is None else body_hash(body),
    )
