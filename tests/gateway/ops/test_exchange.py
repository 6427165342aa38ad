"""A context for the next service: what is kept, what is bound, and everything that is refused."""

import time
from pathlib import Path
from typing import Any

import pytest

from gateway.ops.exchange import MAX_HOPS
from roles.security_context.claims import Actor, body_hash, target_hash
from roles.security_context.keys import new_private_jwk
from roles.security_context.signer import ContextSigner
from tests.gateway.ops.port import ASKER, PLATFORM, TRACE, bearer, claims, port, service

READ = {"method": "GET", "path": "/orders/o-1?full=1"}
CREATE = {"method": "POST", "path": "/orders"}


async def test_the_new_context_keeps_the_caller_and_names_the_asker(tmp_path: Path) -> None:
    """Subject, tenant, roles, issuer and trace go on; audience and actor are new; a read is not bound."""
    async with port(tmp_path) as ops:
        answer = await ops.exchange({"context": ops.context(), **READ})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["service"] == "order"
        assert body["url"] == "http://127.0.0.1:9002/orders/o-1?full=1"
        new = ops.believed(body["context"])
        assert (new.sub, new.tenant_id, new.roles, new.idp, new.trace_id) == (
            "u-17",
            "acme",
            ("Cashier",),
            "dev",
            TRACE,
        )
        assert new.act == Actor(ASKER)
        assert new.policy_version == ops.snapshot.bundle.version
        assert not new.bound
        assert new.exp == body["expires_at"]
        sent = {name.lower(): value for name, value in body["headers"].items()}
        assert sent["x-security-context"] == body["context"]
        assert (sent["x-tenant-id"], sent["x-user-id"], sent["x-trace-id"]) == ("acme", "u-17", TRACE)
        assert sent["x-decision-id"] == answer.headers["x-decision-id"]
        assert sent["traceparent"].split("-")[1] == TRACE


async def test_a_change_is_bound_to_method_target_and_body(tmp_path: Path) -> None:
    """On a route that changes something the new context fits one request: its id, method, target and body."""
    async with port(tmp_path) as ops:
        answer = await ops.exchange({"context": ops.context(), **CREATE, "body_sha256": body_hash(b'{"sku":1}')})
        new = ops.believed(answer.json()["context"])
        assert (new.htm, new.htp, new.htb) == ("POST", target_hash(b"/orders"), body_hash(b'{"sku":1}'))
        assert new.jti == answer.headers["x-decision-id"]


async def test_the_record_is_the_callers_and_names_the_service(tmp_path: Path) -> None:
    """The decision is booked to the original caller's tenant, with the asking service beside it."""
    async with port(tmp_path) as ops:
        await ops.exchange({"context": ops.context(), **CREATE})
        (event,) = ops.events
        assert (event.tenant_id, event.action, event.trace_id) == ("acme", "order:create", TRACE)
        assert event.actor is not None
        assert (event.actor.id, event.actor.auth_method) == ("u-17", "context")
        assert event.details == {"exchanged_by": ASKER}
        assert event.decision is not None
        assert event.decision.effect == "allow"
        assert event.request is not None
        assert (event.request.service, event.request.route) == ("order", "/orders")


async def test_cedar_decides_for_the_original_caller(tmp_path: Path) -> None:
    """What the caller may not do, no service does for them; the missing role is the caller's."""
    async with port(tmp_path) as ops:
        answer = await ops.exchange({"context": ops.context(roles=("Auditor",)), **CREATE})
        assert answer.status_code == 403
        assert answer.json() == {"code": "forbidden", "missing_role": "Cashier", "trace_id": TRACE}
        (event,) = ops.events
        assert event.decision is not None
        assert (event.decision.effect, event.decision.missing_role) == ("deny", "Cashier")
        assert event.tenant_id == "acme"


async def test_an_anonymous_caller_stays_anonymous(tmp_path: Path) -> None:
    """A context without a person opens what is open to anyone in its tenant, and nothing else."""
    async with port(tmp_path) as ops:
        nobody = ops.context(sub="", idp="", roles=(ops.snapshot.catalogue.anonymous,))
        browse = await ops.exchange({"context": nobody, "method": "GET", "path": "/catalog/acme/products"})
        assert browse.status_code == 200, browse.text
        assert ops.believed(browse.json()["context"]).sub == ""
        other = await ops.exchange({"context": nobody, "method": "GET", "path": "/catalog/globex/products"})
        assert (other.status_code, other.json()["code"]) == (403, "tenant_mismatch")
        orders = await ops.exchange({"context": nobody, **READ})
        assert (orders.status_code, orders.json()["code"]) == (403, "forbidden")
        assert ops.events[-1].details == {"reason": "exchange: the caller has no credential", "exchanged_by": ASKER}


async def test_another_tenant_in_the_path_is_refused(tmp_path: Path) -> None:
    """The onward request stays inside the caller's tenant."""
    async with port(tmp_path) as ops:
        answer = await ops.exchange({"context": ops.context(), "method": "GET", "path": "/tenants/globex/orders"})
        assert (answer.status_code, answer.json()["code"]) == (403, "tenant_mismatch")


async def test_a_subject_of_any_script_can_be_sent(tmp_path: Path) -> None:
    """A subject that no header can carry as it is goes percent-encoded, and whole in the context."""
    async with port(tmp_path) as ops:
        answer = await ops.exchange({"context": ops.context(sub="Zoë 店"), **READ})
        sent = {name.lower(): value for name, value in answer.json()["headers"].items()}
        assert sent["x-user-id"] == "Zo%C3%AB%20%E5%BA%97"
        assert ops.believed(answer.json()["context"]).sub == "Zoë 店"


async def test_the_trace_is_the_requests_in_hand(tmp_path: Path) -> None:
    """A context kept from an earlier request has an old trace, so the service says which; a bound one is fixed."""
    now = "0af7651916cd43dd8448eb211c80319c"
    auth = {**service(), "traceparent": f"00-{now}-00f067aa0ba902b7-01"}
    bound = {"htm": "POST", "htp": target_hash(b"/x")}
    async with port(tmp_path) as ops:
        for context, credential, expected in [
            (ops.context(), auth, now),
            (ops.context(), service(), TRACE),
            (ops.context(**bound), auth, TRACE),
        ]:
            answer = await ops.exchange({"context": context, **READ}, credential)
            assert ops.believed(answer.json()["context"]).trace_id == expected
            assert answer.json()["headers"]["X-Trace-Id"] == expected
            assert answer.headers["x-trace-id"] == expected
            assert ops.events[-1].trace_id == expected


async def test_only_a_service_may_ask(tmp_path: Path) -> None:
    """Without a token 401; with a person's 403, however powerful in their tenant; no role is offered as missing."""
    async with port(tmp_path) as ops:
        asked = {"context": ops.context(), **READ}
        assert (await ops.exchange(asked, {})).status_code == 401
        for credential in (bearer("Cashier"), bearer("Admin"), bearer("Service", "acme", sub=ASKER)):
            answer = await ops.exchange(asked, credential)
            assert answer.status_code == 403
            assert (answer.json()["code"], answer.json()["missing_role"]) == ("forbidden", None)


def _forged(ops: Any) -> str:
    return ContextSigner("lychgate", 60, {"*": new_private_jwk()}, "EdDSA").sign(claims())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda ops: ops.context(aud="order"), "audience"),
        (lambda ops: ops.context(exp=int(time.time()) - 60), "expired"),
        (lambda ops: ops.context(iat=int(time.time()) + 60, exp=int(time.time()) + 120), "not_yet"),
        (_forged, "unknown_key"),
        (lambda ops: ops.context()[:-8] + "AAAAAAAA", "signature"),
        (lambda _: "x" * 5000, "too_large"),
        (lambda _: "", "malformed"),
        (lambda _: "é.é.é", "malformed"),
        (lambda _: bearer("Cashier")["authorization"].removeprefix("Bearer "), "malformed"),
    ],
)
async def test_a_context_that_is_not_the_services_own_is_refused(tmp_path: Path, make: Any, reason: str) -> None:
    """Only a good context of ours, made out to the asking service, can be exchanged; the reason is in the record."""
    async with port(tmp_path) as ops:
        answer = await ops.exchange({"context": make(ops), **READ})
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        (event,) = ops.events
        assert event.details is not None
        assert event.details["reason"] == f"exchange: shown context: {reason}"
        assert event.tenant_id == PLATFORM, "nothing that was shown is believed, so it is booked to the asker"


async def test_one_service_cannot_use_anothers_context(tmp_path: Path) -> None:
    """A context for `integration` is worth nothing in the hands of `loyalty`."""
    async with port(tmp_path) as ops:
        answer = await ops.exchange({"context": ops.context(), **READ}, service("loyalty"))
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_services_cannot_pass_a_context_around_for_ever(tmp_path: Path) -> None:
    """A chain of actors has an end, and the one before the end still works."""
    async with port(tmp_path) as ops:
        chain: Actor | None = None
        for n in range(MAX_HOPS - 1):
            chain = Actor(f"s{n}", chain)
        last = await ops.exchange({"context": ops.context(act=chain), **READ})
        assert last.status_code == 200
        assert ops.believed(last.json()["context"]).act == Actor(ASKER, chain)
        over = await ops.exchange({"context": ops.context(act=Actor("s", chain)), **READ})
        assert (over.status_code, over.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"method": "GET", "path": "/nowhere"}, 404, "route_unknown"),
        ({"method": "DELETE", "path": "/orders"}, 405, "method_not_allowed"),
        ({"method": "GET", "path": "/orders/../orders"}, 400, "bad_request"),
        ({"method": "GET", "path": "http://127.0.0.1:1/orders"}, 400, "bad_request"),
        ({"method": "GET", "path": "/orders\r\nx: y"}, 400, "bad_request"),
        ({"method": "GÉT", "path": "/orders"}, 400, "bad_request"),
        ({"method": "GET", "path": "/ordérs"}, 400, "bad_request"),
        ({"method": "POST", "path": "/orders", "body_sha256": "short"}, 400, "bad_request"),
        ({"method": "POST", "path": "/payments/p-1/refund"}, 415, "unsupported_media_type"),
        ({"method": "GET"}, 400, "bad_request"),
        ({"method": "GET", "path": "/orders", "more": 1}, 400, "bad_request"),
        ({"method": 1, "path": "/orders"}, 400, "bad_request"),
    ],
)
async def test_an_onward_request_that_means_nothing_is_refused(
    tmp_path: Path, asked: dict[str, Any], status: int, code: str
) -> None:
    """Whatever is wrong with the onward request has the gateway's own code for it, and leaves one record."""
    async with port(tmp_path) as ops:
        answer = await ops.exchange({"context": ops.context(), **asked})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.json().keys() == {"code", "missing_role", "trace_id"}
        assert len(ops.events) == 1


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b'{"context":"a","context":"b","method":"GET","path":"/"}', b"\xff", b"[" * 30_000]
)
async def test_a_body_that_is_not_one_json_object_is_refused(tmp_path: Path, raw: bytes) -> None:
    """No body, two equal keys, or anything else than the object asked for is 400, never a fault."""
    async with port(tmp_path) as ops:
        headers = {**service(), "content-type": "application/json"}
        answer = await ops.client.post("/context/exchange", content=raw, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


async def test_size_and_type_of_the_body_are_checked(tmp_path: Path) -> None:
    """More than a context and a path could need is 413; something else than JSON is 415."""
    async with port(tmp_path) as ops:
        huge = await ops.exchange({"context": "x" * 40_000, **READ})
        assert (huge.status_code, huge.json()["code"]) == (413, "payload_too_large")
        form = await ops.client.post("/context/exchange", data={"context": "x"}, headers=service())
        assert (form.status_code, form.json()["code"]) == (415, "unsupported_media_type")


async def test_no_record_no_context(tmp_path: Path) -> None:
    """When the record cannot be kept the exchange is refused, and no context leaves."""
    async with port(tmp_path) as ops:
        ops.emitter.full = True
        answer = await ops.exchange({"context": ops.context(), **READ})
        assert (answer.status_code, answer.json()["code"]) == (503, "audit_unavailable")
        assert "context" not in answer.json()


async def test_a_role_that_is_gone_counts_no_more(tmp_path: Path) -> None:
    """Roles are read again against the catalogue: one that is gone opens nothing and goes no further."""
    async with port(tmp_path) as ops:
        answer = await ops.exchange({"context": ops.context(roles=("Retired",)), **READ})
        assert answer.status_code == 403
        both = await ops.exchange({"context": ops.context(roles=("Retired", "Cashier")), **READ})
        assert ops.believed(both.json()["context"]).roles == ("Cashier",)
        actor = ops.events[-1].actor
        assert actor is not None
        assert actor.roles == ("Cashier",)
