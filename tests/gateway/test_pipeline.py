"""A request's sentence, by the real policies and roles: who may pass, who may not, and what is known when it ends."""

from typing import Any

import pytest

from gateway.case import Case
from gateway.errors import BadRequest, Code, GatewayError, Unready
from gateway.model import Peer
from gateway.pipeline import Forward, Refuse, admit, judge
from gateway.snapshot import Snapshot, build_snapshot
from gateway.wire.framing import Ending, Framing
from policies.engine import Engine
from policies.errors import NoDecision
from policies.model import Answer, Effect, Question
from tests.builders import plane, tokens
from tests.builders.heads import EVENT, TRACE, make_head

NOW = "2026-11-23T15:00:00.000000Z"
EXTRA = """
[[route]]
id = "order.update"
method = "PUT"
path = "/orders/{order_id}"
service = "order"
action = "order:update"
resource = { type = "Order", id = "{order_id}" }
tenant_pointers = ["/tenant_id"]
max_body_bytes = 50

[[route]]
id = "order.broken"
method = "GET"
path = "/orders/broken"
service = "nowhere"
action = "order:list"
resource = { type = "Order" }
"""
JSON = (b"content-type", b"application/json")
REFUND = b'{"amount": 100}'


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    """The real policies and roles over the plane's routes and a few more."""
    return build_snapshot(plane.sources(9002, routes=plane.ROUTES + EXTRA))


@pytest.fixture
def forgetful() -> Snapshot:
    """One that has decided nothing yet, so that Cedar is asked."""
    return build_snapshot(plane.sources(9002))


@pytest.fixture(scope="module")
def crossing() -> Snapshot:
    """The same, where a SuperAdmin may cross."""
    return build_snapshot(plane.sources(9002, routes=plane.ROUTES + EXTRA, cross_tenant=True))


def _case(method: str, target: str, *fields: tuple[bytes, bytes], role: str | None = "Cashier", **changes: Any) -> Case:
    """A case as it is when its head has been read; `role` None for a caller without a token."""
    who = {name: changes.pop(name) for name in ("tenant_id", "exp") if name in changes}
    auth = [] if role is None else [(b"authorization", tokens.bearer(tokens.mint(roles=[role], **who)))]
    head = make_head(*auth, *fields, method=method.encode(), target=target.encode(), **changes)
    return Case(event_id=EVENT, trace_id=TRACE, received_at=tokens.NOW, peer=Peer("192.0.2.7", 1), head=head)


def _judged(case: Case, snapshot: Snapshot, body: bytes | None = None) -> Forward | Refuse:
    admit(case, snapshot, 0, 1000)
    return judge(case, snapshot, body, NOW)


def _refused(case: Case, snapshot: Snapshot, body: bytes | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        _judged(case, snapshot, body)
    return caught.value


@pytest.mark.parametrize(
    ("method", "target", "role", "missing"),
    [
        ("GET", "/orders", "Cashier", None),
        ("HEAD", "/orders/o-1", "Cashier", None),
        ("POST", "/orders", "Cashier", None),
        ("POST", "/orders", "Support", "Cashier"),
        ("POST", "/orders", "Auditor", "Cashier"),
        ("GET", "/orders", "Auditor", "Cashier"),
        ("POST", "/products/import", "Cashier", "Manager"),
    ],
)
def test_cedar_decides_and_a_denial_says_what_was_missing(
    snapshot: Snapshot, method: str, target: str, role: str, missing: str | None
) -> None:
    """A denial is a value; the case knows question and answer in either event."""
    case = _case(method, target, role=role)
    verdict = _judged(case, snapshot)
    if missing is None:
        assert isinstance(verdict, Forward)
        assert verdict.route is (case.match and case.match.route)
    else:
        assert isinstance(verdict, Refuse)
        assert verdict.error.code is Code.FORBIDDEN
        assert (verdict.error.missing_role, verdict.error.reason) == (missing, "policy")
    assert case.answer is not None
    assert case.answer.allows is (missing is None)
    assert case.question is not None
    assert dict(case.question.context)["now"] == {"__extn": {"fn": "datetime", "arg": "2026-11-23T15:00:00.000Z"}}
    assert (case.tenant_id, case.decision_us >= 0) == ("acme", True)


@pytest.mark.parametrize(("amount", "passes"), [(1, True), (50_000, True), (50_001, False)])
def test_the_body_is_part_of_the_question(snapshot: Snapshot, amount: int, passes: bool) -> None:
    """What a Manager may refund is in the policies; how much it is in the body."""
    case = _case("POST", "/payments/p-1/refund", JSON, role="Manager", framing=Framing(Ending.LENGTH, 20))
    verdict = _judged(case, snapshot, b'{"amount": %d}' % amount)
    assert isinstance(verdict, Forward) is passes
    assert case.question is not None
    assert dict(case.question.context)["amount"] == amount


@pytest.mark.parametrize(
    ("case", "body", "code", "known"),
    [
        (_case("GET", "/orders/../x"), None, "bad_request", (False, False, False)),
        (_case("GET", "/nowhere"), None, "route_unknown", (True, False, False)),
        (_case("DELETE", "/orders"), None, "method_not_allowed", (True, False, False)),
        (_case("GET", "/orders/broken"), None, "policy_unavailable", (True, True, False)),
        (_case("GET", "/orders", role=None), None, "unauthenticated", (True, True, False)),
        (_case("GET", "/orders", exp=int(tokens.NOW) - 3600), None, "token_expired", (True, True, False)),
        (
            _case("GET", "/orders", (b"authorization", b"Bearer x"), role=None),
            None,
            "token_invalid",
            (True, True, False),
        ),
        (_case("GET", "/orders", (b"authorization", b""), role=None), None, "unauthenticated", (True, True, False)),
        (_case("GET", "/orders", (b"authorization", b"Bearer x")), None, "bad_request", (True, True, False)),
        (_case("GET", "/orders", (b"x-tenant-id", b"globex")), None, "tenant_mismatch", (True, True, True)),
        (_case("GET", "/orders", (b"x-tenant-id", b"")), None, "tenant_mismatch", (True, True, True)),
        (
            _case("GET", "/orders", (b"x-tenant-id", b"acme"), (b"x-tenant-id", b"globex")),
            None,
            "tenant_mismatch",
            (True, True, True),
        ),
        (_case("GET", "/tenants/globex/orders"), None, "tenant_mismatch", (True, True, True)),
        (_case("GET", "/tenants/ACME/orders"), None, "tenant_mismatch", (True, True, True)),
        (_case("POST", "/payments/p-1/refund"), REFUND, "unsupported_media_type", (True, True, True)),
        (_case("POST", "/payments/p-1/refund", JSON), b"{}", "bad_request", (True, True, True)),
        (_case("POST", "/payments/p-1/refund", JSON), None, "bad_request", (True, True, True)),
        (_case("POST", "/payments/p-1/refund", JSON), b'{"amount": "100"}', "bad_request", (True, True, True)),
        (_case("POST", "/payments/p-1/refund", JSON), b'{"amount":1,"amount":2}', "bad_request", (True, True, True)),
        (_case("PUT", "/orders/o-1", JSON), b'{"tenant_id": "globex"}', "tenant_mismatch", (True, True, True)),
        (_case("PUT", "/orders/o-1", JSON), b'{"tenant_id": 1}', "bad_request", (True, True, True)),
        (_case("PUT", "/orders/o-1", JSON), b"{}", "bad_request", (True, True, True)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_judged_ends_before_cedar_is_asked(
    snapshot: Snapshot, case: Case, body: bytes | None, code: str, known: tuple[bool, bool, bool]
) -> None:
    """With its own code, and with path, route and caller as far as they were found out."""
    error = _refused(case, snapshot, body)
    assert error.code.word == code
    assert (case.path is not None, case.match is not None, case.identity is not None) == known
    assert (case.question, case.answer) == (None, None)


def test_two_credentials_close_the_connection(snapshot: Snapshot) -> None:
    """Which of them a hop behind us believes is not for us to guess."""
    assert _refused(_case("GET", "/orders", (b"authorization", b"Bearer x")), snapshot).close


@pytest.mark.parametrize("method", ["DELETE", "TRACK", "PURGE"])
def test_another_method_is_told_which_there_are(snapshot: Snapshot, method: str) -> None:
    """`Allow`, in the refusal's own fields."""
    [(name, value)] = _refused(_case(method, "/orders"), snapshot).headers
    assert (name, value) == (b"allow", b"GET, POST, HEAD")


@pytest.mark.parametrize(
    ("fields", "named"),
    [((), ()), (((b"x-tenant-id", b"acme"),), ("acme",)), (((b"x-tenant-id", b"acme"),) * 2, ("acme", "acme"))],
)
def test_a_tenant_that_is_named_and_is_the_callers_is_no_matter(
    snapshot: Snapshot, fields: tuple[tuple[bytes, bytes], ...], named: tuple[str, ...]
) -> None:
    """However often it is named."""
    case = _case("GET", "/tenants/acme/orders", *fields)
    assert isinstance(_judged(case, snapshot), Forward)
    assert (case.tenant_id, case.named_tenants) == ("acme", ("acme", *named))


def test_crossing_needs_the_role_and_the_setting(snapshot: Snapshot, crossing: Snapshot) -> None:
    """A SuperAdmin where it is allowed, in one other tenant at a time; nobody else, nowhere else."""

    def case(role: str, tenant: str, *fields: tuple[bytes, bytes]) -> Case:
        return _case("GET", "/tenants/globex/orders", *fields, role=role, tenant_id=tenant)

    allowed = case("SuperAdmin", "platform")
    _judged(allowed, crossing)
    assert (allowed.tenant_id, allowed.crosses) == ("globex", True)
    assert _refused(case("SuperAdmin", "platform"), snapshot).code is Code.TENANT_MISMATCH
    assert _refused(case("Admin", "acme"), crossing).code is Code.TENANT_MISMATCH
    both = case("SuperAdmin", "platform", (b"x-tenant-id", b"platform"))
    assert _refused(both, crossing).code is Code.TENANT_MISMATCH
    odd = _case("GET", "/tenants/..x/orders", role="SuperAdmin", tenant_id="platform")
    assert _refused(odd, crossing).code is Code.TENANT_MISMATCH
    assert odd.tenant_id is None


def test_a_stranger_is_let_in_where_the_route_says_so(snapshot: Snapshot) -> None:
    """As nobody, in the one tenant that is named; a credential that is sent must hold even there."""
    case = _case("GET", "/catalog/acme/products", role=None)
    assert isinstance(_judged(case, snapshot), Forward)
    assert case.identity is snapshot.nobody
    assert (case.tenant_id, case.crosses) == ("acme", False)
    two = _case("GET", "/catalog/acme/products", (b"x-tenant-id", b"globex"), role=None)
    assert isinstance(_caught(two, snapshot), BadRequest)
    assert isinstance(_caught(_case("GET", "/catalog/NoTenant/products", role=None), snapshot), BadRequest)
    bad = _case("GET", "/catalog/acme/products", (b"authorization", b"Bearer x"), role=None)
    assert _refused(bad, snapshot).code is Code.TOKEN_INVALID


def _caught(case: Case, snapshot: Snapshot) -> GatewayError:
    return _refused(case, snapshot)


def test_a_stranger_whom_cedar_denies_is_asked_to_log_in(forgetful: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    """401 with a challenge, not 403; and no role is looked for."""
    asked: list[Question] = []

    def deny(_: Engine, question: Question) -> Answer:
        asked.append(question)
        return Answer(Effect.DENY)

    monkeypatch.setattr(Engine, "decide", deny)
    error = _refused(_case("GET", "/catalog/acme/products", role=None), forgetful)
    assert (error.code, error.missing_role, len(asked)) == (Code.UNAUTHENTICATED, None, 1)
    assert error.headers == ((b"www-authenticate", b'Bearer realm="lychgate"'),)


def test_no_decision_is_a_refusal_and_our_own_fault(forgetful: Snapshot, monkeypatch: pytest.MonkeyPatch) -> None:
    """503, never an allow."""

    def broken(_: Engine, __: Question) -> Answer:
        raise NoDecision("no decision")

    monkeypatch.setattr(Engine, "decide", broken)
    error = _refused(_case("GET", "/orders"), forgetful)
    assert (type(error), error.code) == (Unready, Code.POLICY_UNAVAILABLE)


@pytest.mark.parametrize(
    ("target", "ending", "length", "general", "decided", "code"),
    [
        ("/orders", Ending.LENGTH, 100, 100, 10, None),
        ("/orders", Ending.LENGTH, 101, 100, 1000, "payload_too_large"),
        ("/orders", Ending.LENGTH, 10**12, 0, 10, None),
        ("/orders", Ending.CHUNKED, 0, 1, 1, None),
        ("/payments/p-1/refund", Ending.LENGTH, 100, 0, 100, None),
        ("/payments/p-1/refund", Ending.LENGTH, 101, 0, 100, "payload_too_large"),
        ("/payments/p-1/refund", Ending.LENGTH, 51, 50, 100, "payload_too_large"),
        ("/payments/p-1/refund", Ending.LENGTH, 101, 1000, 100, "payload_too_large"),
    ],
)
def test_a_body_that_says_it_is_too_long_is_not_read(
    snapshot: Snapshot, target: str, ending: Ending, length: int, general: int, decided: int, code: str | None
) -> None:
    """By the gateway's limit, or by that for bodies which are decided on; the connection ends with the answer."""
    case = _case("POST", target, JSON, role="Manager", framing=Framing(ending, length))
    if code is None:
        assert admit(case, snapshot, general, decided).id
    else:
        with pytest.raises(GatewayError) as caught:
            admit(case, snapshot, general, decided)
        assert (caught.value.code.word, caught.value.close) == (code, True)


def test_a_routes_own_limit_stands_before_the_gateways(snapshot: Snapshot) -> None:
    """And under that for bodies which are decided on."""
    for length, code in ((50, None), (51, "payload_too_large")):
        case = _case("PUT", "/orders/o-1", JSON, framing=Framing(Ending.LENGTH, length))
        try:
            admit(case, snapshot, 0, 1000)
        except GatewayError as error:
            assert error.code.word == code  # noqa: PT017 - one of the two is refused
        else:
            assert code is None


def test_whoever_forgets_a_stage_forwards_nothing(snapshot: Snapshot) -> None:
    """A case without a head is not admitted, one that was not admitted is not judged."""
    case = _case("GET", "/orders")
    with pytest.raises(BadRequest) as early:
        judge(case, snapshot, None, NOW)
    assert early.value.code is Code.INTERNAL
    case.head = None
    with pytest.raises(BadRequest) as unread:
        admit(case, snapshot, 0, 0)
    assert unread.value.close
