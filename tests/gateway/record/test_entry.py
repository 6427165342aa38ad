"""What the record tells: as much as was known, of every kind of end, and never what a stranger merely claims."""

import itertools
from typing import Any

import pytest

from audit.event import Actor, Client, Kind, Outcome, Phase, Producer, Resource, Severity
from audit.event import Request as RequestPart
from gateway.case import Case, Closing
from gateway.decide.question import ask
from gateway.errors import BadRequest, Code, Forbidden, GatewayError, NotIdentified, Unready, UpstreamError
from gateway.model import DataClass, Peer, Sensitive
from gateway.record import entry
from policies.model import Answer, Effect, Entity, EntityUid, PolicyError
from tests.builders.heads import EVENT, TRACE, make_case, make_head, make_identity, make_route

PRODUCER = Producer(id="gw-1", epoch=3, seq=42)
AT = "2026-11-23T15:00:00.250000Z"
ALLOW = Answer(Effect.ALLOW, ("order.read",))
DENY = Answer(Effect.DENY, ("tenancy.own",))
NOBODY = make_identity(
    issuer="-", tenant_id="-", sub="anonymous", roles=("Anonymous",), token_sha256=b"", auth_method="anonymous"
)
ROUTE = make_route(resource_id="{order_id}")


def _judged(answer: Answer = ALLOW, **changes: Any) -> Case:
    """A case that Cedar has decided."""
    case = make_case(ROUTE, answer=answer, decision_us=80, **changes)
    if case.identity is None:
        return case
    principal = case.identity.principal
    user = Entity(principal.uid, {"tenant": "acme", "sub": "u-17"}, (EntityUid("Role", "Cashier"),))
    entities = (user, Entity(EntityUid("Role", "Cashier"), {}))
    case.question = ask(ROUTE, {"order_id": "o-1"}, principal, entities, "acme", {"amount": 7}, AT, cross_tenant=False)
    return case


def _single(case: Case) -> Any:
    return entry.single(case, PRODUCER, AT, 1234, "v1", "s1")


def test_an_exchange_that_is_over_is_told_whole() -> None:
    """Everything a reader may ask, in one record."""
    case = _judged(status=200, request_bytes=3, head=make_head((b"user-agent", b"till/1")))
    event = _single(case)
    assert (event.event_id, event.phase, event.event_type) == (EVENT, Phase.SINGLE, "authz.decision.evaluated")
    assert (event.kind, event.tenant_id, event.occurred_at, event.producer) == (Kind.DECISION, "acme", AT, PRODUCER)
    assert event.actor == Actor(type="user", id="u-17", roles=("Cashier",), auth_method="jwt", issuer="dev")
    assert event.client == Client(ip="192.0.2.7", user_agent="till/1")
    assert (event.action, event.crud, event.resource) == ("order:read", "r", Resource(type="Order", id="o-1"))
    assert (event.decision.effect, event.decision.reasons, event.decision.policy_version) == (
        "allow",
        ("order.read",),
        "v1",
    )
    assert (event.decision.code, event.decision.missing_role, event.decision.duration_us) == (None, None, 80)
    assert (event.outcome, event.status, event.latency_us, event.trace_id) == (Outcome.SUCCESS, 200, 1234, TRACE)
    assert event.request == RequestPart(method="GET", route="/orders/{order_id}", service="order", size_bytes=3)
    assert (event.severity, event.details) == (Severity.INFO, None)


def test_a_decision_can_be_replayed_from_its_record() -> None:
    """What Cedar was given stands in it: principal with its roles, resource, context, schema."""
    case = _judged()
    told = _single(case).input
    assert case.question is not None
    assert told.schema_version == "s1"
    assert told.context == dict(case.question.context)
    assert told.principal == {
        "type": "User",
        "id": "dev/acme/u-17",
        "attrs": {"tenant": "acme", "sub": "u-17"},
        "parents": [{"type": "Role", "id": "Cashier"}],
    }
    assert told.resource == {"type": "Order", "id": "o-1", "attrs": {"tenant": "acme"}}


def test_a_durable_allow_is_two_records_of_one_event() -> None:
    """The first says what was decided and not how it ended, the second how it ended and not again who."""
    case = _judged()
    first = entry.decided(case, PRODUCER, AT, "v1", "s1")
    assert (first.phase, first.outcome, first.status, first.latency_us) == (Phase.DECIDED, None, None, None)
    assert (first.decision.effect if first.decision else "", first.input is not None) == ("allow", True)
    case.status, case.cut = 200, "client_gone"
    second = entry.completed(case, PRODUCER, AT, 99)
    assert (second.event_id, second.phase, second.tenant_id) == (first.event_id, Phase.COMPLETED, first.tenant_id)
    assert (second.outcome, second.status, second.latency_us) == (Outcome.FAILURE, 200, 99)
    assert (second.actor, second.decision, second.input) == (None, None, None)
    assert second.details == {"cut": "client_gone"}
    assert second.request == first.request


@pytest.mark.parametrize(
    ("kind", "why", "event_type", "outcome", "severity"),
    [
        ("websocket", "closed", "authz.tunnel.closed", Outcome.SUCCESS, Severity.INFO),
        ("websocket", "idle", "authz.tunnel.closed", Outcome.FAILURE, Severity.WARN),
        ("event_stream", "client_gone", "authz.stream.closed", Outcome.SUCCESS, Severity.INFO),
        ("event_stream", "token_expired", "authz.stream.closed", Outcome.FAILURE, Severity.WARN),
    ],
)
def test_the_end_of_what_lasts_names_its_opening(
    kind: str, why: str, event_type: str, outcome: Outcome, severity: Severity
) -> None:
    """An event of its own: who, what, how long, how much, why; the opening by its id."""
    case = _judged(status=101, request_bytes=3, response_bytes=4)
    closing = Closing(kind=kind, why=why, lasted_s=1.5, close_code=1000 if kind == "websocket" else None)
    event = entry.closed(case, closing, "0193a5b0-0000-7000-8000-00000000000f", PRODUCER, AT)
    assert (event.event_type, event.phase, event.kind) == (event_type, Phase.SINGLE, Kind.DECISION)
    assert (event.outcome, event.severity, event.latency_us) == (outcome, severity, 1_500_000)
    assert event.event_id != EVENT
    opening = _single(case)
    for part in ("actor", "client", "action", "resource", "tenant_id", "trace_id"):
        assert getattr(event, part) == getattr(opening, part)
    assert event.decision is None
    told = {"opened_by": EVENT, "kind": kind, "why": why, "bytes_received": 3, "bytes_sent": 4}
    assert event.details == (told | {"close_code": 1000} if kind == "websocket" else told)


def test_an_end_by_refusal_tells_the_decision_that_cut_it() -> None:
    """The one of the request as it was judged again, and by which policies."""
    again = _judged(DENY, error=Forbidden("policy", missing_role="Manager"))
    closing = Closing(kind="websocket", why="refused", lasted_s=1.0, again=again, policy_version="v2")
    event = entry.closed(_judged(), closing, "0193a5b0-0000-7000-8000-00000000000f", PRODUCER, AT)
    assert event.decision is not None
    assert (event.decision.effect, event.decision.code, event.decision.reasons) == (
        "deny",
        "forbidden",
        ("tenancy.own",),
    )
    assert (event.decision.policy_version, event.decision.missing_role) == ("v2", "Manager")
    assert event.details is not None
    assert event.details["reason"] == "policy"


def test_a_refusal_tells_code_reason_and_missing_role() -> None:
    """The reason is in the record only."""
    case = _judged(DENY, status=403, error=Forbidden("policy", missing_role="Manager"))
    event = _single(case)
    assert (event.decision.effect, event.decision.code, event.decision.missing_role) == ("deny", "forbidden", "Manager")
    assert (event.outcome, event.severity, event.details) == (Outcome.FAILURE, Severity.WARN, {"reason": "policy"})


def test_what_cannot_even_be_read_is_told_as_far_as_it_was() -> None:
    """No head, no route, no caller: a record all the same."""
    nothing = dict.fromkeys(("head", "path", "match", "identity", "tenant_id"))
    event = _single(make_case(**nothing, status=400, error=BadRequest("head: control character")))
    assert (event.tenant_id, event.crud, event.action, event.request, event.resource) == ("-", "x", None, None, None)
    assert (event.actor, event.input) == (Actor(), None)
    assert (event.decision.effect, event.decision.code, event.decision.policy_version) == ("deny", "bad_request", None)
    assert event.details == {"reason": "head: control character"}


@pytest.mark.parametrize(
    ("changes", "tenant", "actor"),
    [
        ({}, "acme", Actor(type="user", id="u-17", roles=("Cashier",), auth_method="jwt", issuer="dev")),
        (
            {"identity": NOBODY, "tenant_id": "acme"},
            "-",
            Actor(type="anonymous", roles=("Anonymous",), auth_method="anonymous"),
        ),
        ({"identity": None, "named_tenants": ("acme",)}, "-", Actor()),
        ({"identity": None, "claimed_tenant": "acme", "claimed_sub": "u-17"}, "acme", Actor(id="u-17")),
        (
            {"tenant_id": "globex"},
            "acme",
            Actor(type="user", id="u-17", roles=("Cashier",), auth_method="jwt", issuer="dev"),
        ),
    ],
    ids=["known", "anonymous", "named only", "expired token of ours", "crossing"],
)
def test_a_record_is_booked_to_the_credentials_tenant(changes: dict[str, Any], tenant: str, actor: Actor) -> None:
    """Never to one that a stranger names: nobody may fill another's audit."""
    case = make_case(**changes)
    assert entry.tenant_of(case) == tenant
    assert _single(case).actor == actor
    assert entry.is_known(case) is (case.identity is not None and case.identity is not NOBODY)


@pytest.mark.parametrize(
    ("changes", "details", "severity"),
    [
        ({}, None, Severity.INFO),
        ({"named_tenants": ("acme",)}, None, Severity.INFO),
        (
            {"tenant_id": "globex", "named_tenants": ("globex",)},
            {"named_tenants": ["globex"], "resource_tenant_id": "globex"},
            Severity.SECURITY,
        ),
        (
            {
                "named_tenants": ("globex", "x" * 300),
                "error": Forbidden("tenant", code=Code.TENANT_MISMATCH),
                "status": 403,
            },
            {"reason": "tenant", "named_tenants": ["globex", "x" * 256]},
            Severity.SECURITY,
        ),
        (
            {"identity": NOBODY, "tenant_id": "acme", "named_tenants": ("acme",)},
            {"named_tenants": ["acme"]},
            Severity.INFO,
        ),
        (
            {"identity": make_identity(dropped_roles=("Wizard", "y" * 300))},
            {"dropped_roles": ["Wizard", "y" * 256]},
            Severity.INFO,
        ),
        ({"error": UpstreamError("cannot connect"), "status": 502}, {"reason": "cannot connect"}, Severity.ERROR),
        ({"status": 500}, None, Severity.ERROR),
        ({"status": 404}, None, Severity.INFO),
        ({"error": NotIdentified("expired"), "status": 401, "identity": None}, {"reason": "expired"}, Severity.WARN),
        ({"status": 200, "cut": "total"}, {"cut": "total"}, Severity.INFO),
    ],
)
def test_details_and_severity_say_what_an_auditor_needs(
    changes: dict[str, Any], details: dict[str, Any] | None, severity: Severity
) -> None:
    """Reason, tenants named and crossed into, roles dropped, why it was cut; bounded, whatever was sent."""
    event = _single(make_case(**changes))
    assert (event.details, event.severity) == (details, severity)


def test_policies_that_failed_are_named() -> None:
    """An erroring `permit` was ignored: somebody must be told."""
    answer = Answer(Effect.ALLOW, ("order.read",), (PolicyError("order.broken", Effect.ALLOW, "type error"),))
    assert _single(_judged(answer)).details == {"policy_errors": ["order.broken"]}


@pytest.mark.parametrize(
    ("status", "forwarded", "cut", "outcome"),
    [
        (200, True, None, Outcome.SUCCESS),
        (101, True, None, Outcome.SUCCESS),
        (304, True, None, Outcome.SUCCESS),
        (400, True, None, Outcome.FAILURE),
        (503, False, None, Outcome.FAILURE),
        (200, True, "upstream_stall", Outcome.FAILURE),
        (None, True, "client_gone", Outcome.UNKNOWN),
        (None, False, "client_gone", Outcome.FAILURE),
    ],
)
def test_the_outcome_is_what_the_caller_saw(
    status: int | None, forwarded: bool, cut: str | None, outcome: Outcome
) -> None:
    """Without an answer, what reached a service may have had its effect."""
    assert _single(_judged(status=status, forwarded=forwarded, cut=cut)).outcome is outcome


@pytest.mark.parametrize(
    ("method", "crud"),
    [
        ("GET", "r"),
        ("HEAD", "r"),
        ("POST", "c"),
        ("PUT", "u"),
        ("PATCH", "u"),
        ("DELETE", "d"),
        ("OPTIONS", "x"),
        ("PURGE", "x"),
    ],
)
def test_a_method_is_booked_as_what_it_does(method: str, crud: str) -> None:
    """One of create, read, update, delete, or neither."""
    assert _single(make_case(head=make_head(method=method.encode()))).crud == crud


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ((), None),
        ((b"",), None),
        ((b"curl/8 \xe9",), "curl/8 é"),
        ((b"z" * 5000,), "z" * 256),
        ((b"one", b"two"), "one"),
    ],
)
def test_a_user_agent_is_told_in_bounds(sent: tuple[bytes, ...], told: str | None) -> None:
    """Any bytes, not any length."""
    case = make_case(head=make_head(*((b"user-agent", value) for value in sent)))
    assert _single(case).client.user_agent == told


def test_strangers_refusals_are_folded_only_where_they_are_alike() -> None:
    """Code, exact reason, network, route and door: a difference in any keeps them apart."""
    base: dict[str, Any] = {"identity": None, "status": 401, "error": NotIdentified("expired")}
    same = [
        make_case(**base),
        make_case(**base, event_id="other", trace_id="0" * 31 + "1", peer=Peer("192.0.2.99", 1)),
        make_case(**base, target=b"/orders/o-2"),
    ]
    assert len({entry.fold_key(case) for case in same}) == 1
    errors: list[GatewayError] = [
        NotIdentified("signature"),
        NotIdentified("expired", code=Code.TOKEN_EXPIRED),
        Unready("x"),
    ]
    different = [
        same[0],
        *(make_case(**{**base, "error": error}) for error in errors),
        make_case(**base, peer=Peer("198.51.100.7", 1)),
        make_case(make_route("/stock/{id}"), target=b"/stock/1", **base),
        make_case(**base, match=None),
        make_case(**base, claimed_tenant="acme"),
        make_case(**base, claimed_tenant="globex"),
    ]
    keys = [entry.fold_key(case) for case in different] + [entry.fold_key(same[0], door) for door in ("a", "b")]
    assert all(one != two for one, two in itertools.combinations(keys, 2))


def test_what_was_withheld_is_told_by_class_and_never_by_value() -> None:
    """With the count of fields that went, and the policies that could not say."""
    pii = Sensitive(DataClass.PII, ("/email",), (("email",),), frozenset({"email"}))
    failed = PolicyError("data.till", Effect.ALLOW, "x")
    case = _judged(status=200, withheld=(pii,), redacted=3, field_errors=(failed,))
    assert _single(case).details == {"withheld": ["pii"], "redacted_fields": 3, "policy_errors": ["data.till"]}
    assert entry.decided(_judged(withheld=(pii,)), PRODUCER, AT, "v1", "s1").details == {"withheld": ["pii"]}


@pytest.mark.parametrize("granted", [True, False])
def test_a_preflight_is_a_record_of_nobodys_tenant(granted: bool) -> None:
    """It says what was asked and whether the page may go on; those told the same share a fold."""
    head = make_head(
        (b"origin", b"https://shop.example" + b"x" * 500), (b"access-control-request-method", b"PUT"), method=b"OPTIONS"
    )
    case = make_case(ROUTE, head=head, identity=None, status=204, cors_granted=granted)
    event: Any = entry.preflight(case, PRODUCER, AT)
    assert (event.event_type, event.tenant_id, event.status) == ("authz.preflight.answered", "-", 204)
    assert (event.decision.effect, event.details["method"]) == ("allow" if granted else "deny", "PUT")
    assert len(event.details["origin"]) == 256
    assert ("granted" in entry.preflight_key(case).code) is granted
