"""The sentence of a request: path, route, identity, tenant; then what it carries, the question, and the answer.

Pure but for the memos that the snapshot owns: no clock, no environment, no waiting. A denial is a value; what cannot be
judged at all raises `GatewayError`. Whatever is found out stands in the case, so the record tells it in either event.
"""

import time
from typing import Final, TypeAlias

import msgspec

from gateway.case import Case
from gateway.decide.disclosure import check_conditions, withheld
from gateway.decide.question import ask
from gateway.errors import BadRequest, Code, Forbidden, NotIdentified, TooLarge, Unready
from gateway.model import Identity, Route
from gateway.route.extract import check_json_head, context_values, named_tenants, parse_json
from gateway.snapshot import Snapshot
from gateway.wire.framing import Ending
from gateway.wire.target import normal_path
from policies.errors import NoDecision
from policies.model import Json, Question
from roles.missing import missing_role
from roles.model import is_tenant

_NO_TENANT: Final = "-"


class Forward(msgspec.Struct, frozen=True, gc=False):
    """The request may pass."""

    route: Route


class Refuse(msgspec.Struct, frozen=True, gc=False):
    """It may not, and why."""

    error: Forbidden


Verdict: TypeAlias = Forward | Refuse


def admit(case: Case, snapshot: Snapshot, body_bytes_limit: int, decided_body_limit: int) -> Route:
    """Everything that the head alone tells.

    Args:
        case: With its head.
        snapshot: What to judge by.
        body_bytes_limit: For any request body; 0 for none.
        decided_body_limit: For a body that the decision needs.

    Returns:
        The route. Where it reads the body, the body must be brought to `judge`.

    Raises:
        GatewayError: The request ends here; the case says what was known.
    """
    head = case.head
    if head is None:
        raise BadRequest("head: unreadable", close=True)
    path = case.path = normal_path(head.target)
    match = case.match = snapshot.routes.match(head.method.decode("ascii"), path.segments)
    route = match.route
    if route.problem:
        raise Unready(f"route: {route.problem}")
    identity = case.identity = _identity(case, route, snapshot)
    if not route.reads_body:
        _agree_on_tenant(case, identity, named_tenants(route, head, match.params, None), snapshot)
    else:
        check_json_head(head)
        named = named_tenants(msgspec.structs.replace(route, tenant_pointers=()), head, match.params, None)
        _agree_on_tenant(case, identity, named, snapshot)
    limit = route.body_bytes if route.body_bytes is not None else body_bytes_limit
    if route.reads_body:
        limit = min(limit, decided_body_limit) if limit else decided_body_limit
    if limit and head.framing.ending is Ending.LENGTH and head.framing.length > limit:
        raise TooLarge("body: longer than its limit", close=True)
    return route


def judge(case: Case, snapshot: Snapshot, body: bytes | None, now: str) -> Verdict:
    """Put the request to Cedar.

    Args:
        case: Admitted.
        snapshot: The one it was admitted by.
        body: The whole body, where the route reads it.
        now: The request's time, RFC 3339 in UTC with microseconds.

    Raises:
        GatewayError: The body cannot be decided on, a tenant does not agree, or Cedar cannot decide.
    """
    head, path, match, identity = case.head, case.path, case.match, case.identity
    if head is None or path is None or match is None or identity is None:
        raise BadRequest("judged before it was admitted", code=Code.INTERNAL)
    route = match.route
    if route.reads_body and snapshot.revocations.active:
        snapshot.check_revoked(identity)  # the body took its time, and whoever sends it chooses how long
    document: Json = parse_json(body or b"") if route.reads_body else None
    if route.tenant_pointers:
        _agree_on_tenant(case, identity, named_tenants(route, head, match.params, document), snapshot)
    question = case.question = ask(
        route,
        match.params,
        identity.principal,
        snapshot.entities(identity.principal),
        case.tenant_id or _NO_TENANT,
        context_values(route, head, path.query, match.params, document),
        now,
        cross_tenant=snapshot.cross_tenant,
    )
    started = time.perf_counter()
    try:
        answer, case.memo_hit = snapshot.decisions.decide(question)
    except NoDecision:
        raise Unready("cedar gave no decision") from None
    case.answer = answer
    case.decision_us = int((time.perf_counter() - started) * 1e6)
    if answer.allows:
        if route.redact:
            _withhold(case, route, question, snapshot)
        return Forward(route)
    if not identity.token_sha256:
        raise NotIdentified(
            "anonymous",
            code=Code.UNAUTHENTICATED,
            headers=((b"www-authenticate", b'Bearer realm="lychgate"'),),
        )
    missing = missing_role(question, identity.principal, snapshot.catalogue, snapshot.decisions.answer)
    return Refuse(Forbidden("policy", missing_role=missing))


def asked(case: Case, snapshot: Snapshot, now: str) -> Question | None:
    """The question that was put to Cedar, or stands behind a remembered answer; None where there was none.

    Args:
        case: Any.
        snapshot: By which it was judged.
        now: The request's time, as for `judge`.
    """
    if case.question is None and case.caller is not None and case.match is not None and case.head is not None:
        route, path = case.match.route, case.path
        case.question = ask(
            route,
            case.match.params,
            case.caller.identity.principal,
            case.caller.entities,
            case.tenant_id or _NO_TENANT,
            context_values(route, case.head, path.query if path is not None else None, case.match.params, None),
            now,
            cross_tenant=snapshot.cross_tenant,
        )
    return case.question


def _withhold(case: Case, route: Route, question: Question, snapshot: Snapshot) -> None:
    """Say which fields of the answer the caller will not see.

    Raises:
        Unready: Cedar cannot say.
        BadRequest: It is a change on a condition that the service then cannot be asked to keep.
    """
    try:
        case.withheld, case.field_errors = withheld(route, question, snapshot.decisions.answer)
    except NoDecision:
        raise Unready("cedar gave no decision on a class of fields") from None
    if case.withheld and case.head is not None:
        check_conditions(case.head)


def _identity(case: Case, route: Route, snapshot: Snapshot) -> Identity:
    """Who asks; on a route that lets strangers in, possibly nobody."""
    values = case.head.get_all(b"authorization") if case.head else []
    if len(values) > 1:
        raise BadRequest("authorization: repeated", close=True)
    if not values and route.anonymous:
        return snapshot.nobody
    return snapshot.identify(values[0] if values else b"", case.received_at)


def _agree_on_tenant(case: Case, identity: Identity, named: list[str], snapshot: Snapshot) -> None:
    """Every tenant the request names must be the caller's, unless crossing is allowed to them.

    Raises:
        Forbidden: `tenant_mismatch`.
        BadRequest: A stranger names two tenants, or something that is none.
    """
    case.named_tenants = tuple(named)
    own = identity.principal.tenant_id
    different = set(named) - {own}
    if not different:
        case.tenant_id = own
        return
    other = named[0]
    if not identity.token_sha256:
        if len(different) > 1 or not is_tenant(other):
            raise BadRequest("tenant: not one tenant")
        case.tenant_id = other
        return
    if len(set(named)) > 1 or not is_tenant(other) or not snapshot.may_cross(identity.principal):
        raise Forbidden("tenant", code=Code.TENANT_MISMATCH)
    case.tenant_id = other
