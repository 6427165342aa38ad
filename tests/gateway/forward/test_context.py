"""The signed context and the plain fields beside it: bound where something changes, reused where it is only read."""

import types
from typing import Any

import pytest

from gateway.errors import Internal
from gateway.forward.context import injected
from gateway.snapshot import KeptContexts
from roles.security_context.claims import SecurityContext, body_hash, target_hash
from roles.security_context.keys import new_private_jwk
from roles.security_context.signer import ContextSigner
from roles.security_context.verifier import ContextVerifier
from tests.builders.heads import AT, EVENT, TRACE, make_case, make_head, make_identity, make_route

CHANGING = make_route("/orders", id="order.create", method="POST", changes=True)
NOBODY = make_identity(
    issuer="-", tenant_id="-", sub="anonymous", roles=("Anonymous",), token_sha256=b"", auth_method="anonymous"
)


def _snapshot(ttl_s: int = 60) -> Any:
    """As much of a snapshot as contexts need: a real signer, a real memo, a version."""
    signer = ContextSigner("lychgate", ttl_s, {"*": new_private_jwk()}, "EdDSA")
    return types.SimpleNamespace(signer=signer, contexts=KeptContexts(), bundle=types.SimpleNamespace(version="v1"))


def _fields(snapshot: Any, body: bytes | None = None, **changes: Any) -> dict[str, str]:
    found = injected(make_case(**changes), snapshot, body)
    assert len({name for name, _ in found}) == len(found) == 7
    return {name.decode(): value.decode("ascii") for name, value in found}


def _claims(snapshot: Any, token: str, at: float = AT) -> SecurityContext:
    return ContextVerifier("lychgate", "order").verify(token, snapshot.signer.trusted_keys("order"), at)


def _post(body: bytes | None = None, **changes: Any) -> dict[str, Any]:
    return {"route": CHANGING, "target": b"/orders?x=1", "head": make_head(method=b"POST"), "body": body, **changes}


def test_a_service_is_told_who_asks_for_whom_and_in_which_trace() -> None:
    """The plain fields say the same as the signed ones."""
    snapshot = _snapshot()
    identity = make_identity(sub="ü x", roles=("Cashier", "Manager"))
    fields = _fields(snapshot, identity=identity)
    assert (fields["x-tenant-id"], fields["x-user-id"], fields["x-user-roles"]) == (
        "acme",
        "%C3%BC%20x",
        "Cashier,Manager",
    )
    assert (fields["x-trace-id"], fields["x-decision-id"]) == (TRACE, EVENT)
    assert fields["traceparent"].startswith(f"00-{TRACE}-")
    assert _claims(snapshot, fields["x-security-context"]) == SecurityContext(
        iss="lychgate",
        aud="order",
        sub="ü x",
        tenant_id="acme",
        roles=("Cashier", "Manager"),
        trace_id=TRACE,
        policy_version="v1",
        iat=int(AT),
        exp=int(AT) + 60,
        jti=EVENT,
        idp="dev",
    )


def test_on_a_changing_route_it_is_bound_to_the_request_and_signed_anew() -> None:
    """Method, forwarded path and query, the decision's id, and the body where it was read."""
    snapshot = _snapshot()
    first = _claims(snapshot, _fields(snapshot, **_post(b'{"a":1}'))["x-security-context"])
    assert (first.htm, first.htp, first.htb) == ("POST", target_hash(b"/orders?x=1"), body_hash(b'{"a":1}'))
    assert first.jti == EVENT
    unread = _claims(snapshot, _fields(snapshot, **_post(None))["x-security-context"])
    assert (unread.htm, unread.htb) == ("POST", None)
    empty = _claims(snapshot, _fields(snapshot, **_post(b""))["x-security-context"])
    assert empty.htb == body_hash(b"")
    again = _claims(snapshot, _fields(snapshot, **_post(b'{"a":1}', event_id="another"))["x-security-context"])
    assert again.jti == "another"


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": make_identity(sub="u-18", token_sha256=b"\x02" * 32)},
        {"tenant_id": "globex"},
        {"route": make_route(service="payment")},
        {"received_at": AT + 30},
    ],
    ids=["another token", "another tenant", "another service", "past half its life"],
)
def test_on_a_reading_route_it_is_reused_for_the_same_caller_tenant_and_service(changes: dict[str, Any]) -> None:
    """For half its life, so that a service never gets one about to end; each time with its own ids beside it."""
    snapshot = _snapshot()
    first = _fields(snapshot)
    second = _fields(snapshot, target=b"/orders/o-2", event_id="another", trace_id="1" * 32, received_at=AT + 29)
    assert second["x-security-context"] == first["x-security-context"]
    assert (second["x-decision-id"], second["x-trace-id"]) == ("another", "1" * 32)
    assert not _claims(snapshot, first["x-security-context"]).bound
    other = _fields(snapshot, **changes)
    assert other["x-security-context"] != first["x-security-context"]


def test_a_caller_without_a_credential_has_a_context_without_a_name() -> None:
    """In the signed and in the plain part alike: a user may be called `anonymous`."""
    snapshot = _snapshot()
    fields = _fields(snapshot, identity=NOBODY)
    claims = _claims(snapshot, fields["x-security-context"])
    assert (claims.sub, claims.idp, claims.tenant_id, claims.roles) == ("", "", "acme", ("Anonymous",))
    assert (fields["x-user-id"], fields["x-user-roles"], fields["x-tenant-id"]) == ("", "Anonymous", "acme")


def test_a_caller_who_crosses_acts_in_the_other_tenant() -> None:
    """Both parts name the tenant of the resource."""
    snapshot = _snapshot()
    fields = _fields(snapshot, identity=make_identity(tenant_id="platform", roles=("SuperAdmin",)))
    assert fields["x-tenant-id"] == _claims(snapshot, fields["x-security-context"]).tenant_id == "acme"


def test_a_context_that_cannot_be_signed_is_our_own_fault() -> None:
    """Claims past 4 KiB, and a service without a key: nothing is sent half told."""
    with pytest.raises(Internal, match="context"):
        injected(make_case(identity=make_identity(roles=tuple(f"Role{n}" for n in range(900)))), _snapshot(), None)
    snapshot = _snapshot()
    snapshot.signer = ContextSigner("lychgate", 60, {}, "HS256")
    with pytest.raises(Internal, match="order"):
        injected(make_case(), snapshot, None)


@pytest.mark.parametrize("missing", ["identity", "match", "path", "head"])
def test_a_case_that_was_not_judged_gets_no_context(missing: str) -> None:
    """Whoever forgets a stage forwards nothing."""
    with pytest.raises(Internal, match="not judged"):
        injected(make_case(**{missing: None}), _snapshot(), None)
