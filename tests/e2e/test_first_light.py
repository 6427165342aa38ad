"""One request all the way, as a user sees it: real client, real tokens, the whole stack, the record in three views."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.builders.patience import PATIENCE_S
from tests.servers.stack import Stack

AUDITED_WITHIN_S = PATIENCE_S
FOREIGN = [
    ("product", "/products/{product}"),
    ("order", "/orders/{order}"),
    ("inventory", "/inventory/stock/{sku}"),
    ("loyalty", "/loyalty/accounts/{account}"),
    ("payment", "/payments/intents/{intent}"),
    ("customer", "/customers/{customer}"),
    ("integration", "/integration/partners/{partner}"),
]


async def audited(
    reader: httpx.AsyncClient, wanted: Callable[[dict[str, Any]], bool], **filters: str
) -> dict[str, Any]:
    """The first event that is as wanted, waited for."""
    until = time.monotonic() + AUDITED_WITHIN_S
    while time.monotonic() < until:
        answer = await reader.get("/audit/events", params={"limit": "200", **filters})
        assert answer.status_code == 200, answer.text
        for event in answer.json()["data"]:
            if wanted(event):
                found: dict[str, Any] = event
                return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"no such event within {AUDITED_WITHIN_S} s: {filters}")


async def test_an_allow_goes_all_the_way_and_stands_in_the_audit(stack: Stack) -> None:
    """Answered by the service, decided on grounds, recorded with the trace that the client was told."""
    async with stack.client("Cashier") as cashier, stack.client("Auditor") as auditor:
        answer = await cashier.get("/orders")
        assert answer.status_code == 200
        assert answer.json()["data"]
        trace = answer.headers["x-trace-id"]
        event = await audited(auditor, lambda item: item["kind"] == "decision", trace_id=trace)
        assert event["event_id"] == answer.headers["x-decision-id"]
        assert (event["action"], event["decision"]["effect"], event["status"]) == ("order:list", "allow", 200)
        assert event["decision"]["reasons"]
        assert event["tenant_id"] == stack.tenant


async def test_a_refusal_has_exactly_this_body_and_its_record(stack: Stack) -> None:
    """A Cashier refunds nothing; a Manager would be enough; the body says that and no more."""
    async with stack.client("Cashier") as cashier, stack.client("Admin") as admin:
        answer = await cashier.post("/payments/intents/pi-1001/refunds", json={"amount": 1000, "reason": "torn"})
        assert answer.status_code == 403
        trace = answer.headers["x-trace-id"]
        assert answer.json() == {"code": "forbidden", "missing_role": "Manager", "trace_id": trace}
        event = await audited(admin, lambda item: item["kind"] == "decision", trace_id=trace)
        assert event["decision"]["missing_role"] == "Manager"
        assert event["input"]["context"]["amount"] == 1000


async def test_the_manager_refunds_up_to_the_limit_and_the_service_says_so_too(stack: Stack) -> None:
    """The amount comes from the body; the domain event of the service carries the same trace as the decision."""
    async with stack.client("Manager") as manager, stack.client("Admin") as admin:
        over = await manager.post("/payments/intents/pi-1002/refunds", json={"amount": 50_001, "reason": "much"})
        assert (over.status_code, over.json()["missing_role"]) == (403, "Admin")
        done = await manager.post("/payments/intents/pi-1002/refunds", json={"amount": 100, "reason": "torn"})
        assert done.status_code in {200, 201}, done.text
        trace = done.headers["x-trace-id"]
        domain = await audited(admin, lambda item: item["kind"] == "domain", trace_id=trace)
        assert domain["actor"]["id"] == "manager-1"
        decision = await audited(admin, lambda item: item["kind"] == "decision" and "status" in item, trace_id=trace)
        assert (decision["outcome"], decision["status"]) == ("success", done.status_code)


async def test_three_readers_see_the_same_row_differently(stack: Stack) -> None:
    """Admin all of it, Support and Auditor masked with the reason, a Cashier only their own."""
    async with (
        stack.client("Cashier") as cashier,
        stack.client("Support") as support,
        stack.client("Auditor") as auditor,
        stack.client("Admin") as admin,
        stack.client("InventoryClerk") as clerk,
    ):
        trace = (await cashier.get("/orders")).headers["x-trace-id"]
        whole = await audited(admin, lambda item: item["kind"] == "decision", trace_id=trace)
        assert whole["client"]["ip"] == "127.0.0.1"
        assert not whole.get("redacted")
        for reader in (support, auditor):
            masked = await audited(reader, lambda item: item["kind"] == "decision", trace_id=trace)
            assert masked["client"]["ip"] == "***"
            assert {"path": "client.ip", "how": "mask", "reason": "pii"} in masked["redacted"]
        own = await audited(cashier, lambda item: item["kind"] == "decision", trace_id=trace)
        assert own["actor"]["id"] == "cashier-1"
        mine = (await cashier.get("/audit/events", params={"limit": "200"})).json()["data"]
        assert {item["actor"]["id"] for item in mine} == {"cashier-1"}
        foreign = (await clerk.get("/audit/events", params={"trace_id": trace})).json()
        assert foreign["data"] == []
        by_id = await clerk.get(f"/audit/events/{whole['event_id']}")
        assert by_id.status_code == 404


async def test_the_full_view_is_for_those_whom_cedar_allows_it(stack: Stack) -> None:
    """`include_redacted=true` is the full view or 403; `false` is the masked view for anyone."""
    async with stack.client("Support") as support, stack.client("Admin") as admin:
        refused = await support.get("/audit/events", params={"include_redacted": "true"})
        assert (refused.status_code, refused.json()["code"], refused.json()["missing_role"]) == (
            403,
            "forbidden",
            "Admin",
        )
        masked = await audited(admin, lambda item: item["kind"] == "decision", include_redacted="false")
        assert masked["client"]["ip"] == "***"


@pytest.mark.parametrize(("service", "path"), FOREIGN)
async def test_no_service_knows_another_tenants_id(stack: Stack, service: str, path: str) -> None:
    """The same id is found by its own tenant, and is a 404 for the other: the service was told whom it answers."""
    globex = stack.mint("--role", "Admin", "--tenant", "globex", "--user", "admin-2")
    async with (
        stack.client("Admin") as acme,
        httpx.AsyncClient(
            base_url=stack.gateway, headers={"authorization": f"Bearer {globex}"}, timeout=PATIENCE_S
        ) as other,
    ):
        collection = path.rpartition("/")[0]
        answer = (await other.get(collection)).json()
        listed = answer["data"] if isinstance(answer, dict) else answer
        key = "sku" if "{sku}" in path else "id"
        foreign = listed[0][key]
        target = path[: path.index("{")] + foreign
        theirs = await other.get(target)
        assert theirs.status_code == 200, (service, theirs.text)
        ours = await acme.get(target)
        assert (ours.status_code, ours.json()["code"]) == (404, "not_found")
        assert set(ours.json()) == {"code", "missing_role", "trace_id"}


async def test_identity_and_trace_go_on_to_the_next_service(stack: Stack) -> None:
    """The integration gateway asks order and inventory in its caller's name; each hop stands in the audit."""
    async with stack.client("Manager") as manager, stack.client("Admin") as admin:
        answer = await manager.get("/integration/orders/o-1001/availability")
        assert answer.status_code == 200, answer.text
        trace = answer.headers["x-trace-id"]
        await audited(admin, lambda item: item["action"] == "integration:availability", trace_id=trace)
        onward = await audited(admin, lambda item: item["action"] == "order:read", trace_id=trace)
        assert onward["actor"]["id"] == "manager-1"


async def test_what_streams_arrives_piece_by_piece(stack: Stack) -> None:
    """An export comes as lines, an import goes in as lines, events flow while the connection is open."""
    async with stack.client("Manager") as manager, stack.client("Admin") as admin:
        async with admin.stream("GET", "/orders/export") as export:
            assert export.status_code == 200
            lines = [line async for line in export.aiter_lines()]
        assert len(lines) >= 3

        async def goods() -> Any:
            for number in range(500):
                yield (
                    f'{{"sku": "ACM-E2E-{number}", "name": "Bell {number}", "category": "parts", "price": 100}}\n'
                ).encode()

        answer = await manager.post(
            "/products/import", content=goods(), headers={"content-type": "application/x-ndjson"}
        )
        assert answer.status_code in {200, 201}, answer.text


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "unauthenticated"),
        ("Bearer not.a.token", "token_invalid"),
        ("Basic dXNlcjpwYXNz", "token_invalid"),
    ],
)
async def test_who_shows_nothing_or_nonsense_is_told_to_show_something(
    stack: Stack, header: str | None, code: str
) -> None:
    """401 with the challenge, and the exact reason only in the platform's audit."""
    async with stack.client(None) as nobody, stack.client("SuperAdmin") as platform:
        answer = await nobody.get("/orders", headers={"authorization": header} if header else {})
        assert (answer.status_code, answer.json()["code"]) == (401, code)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        event = await audited(platform, lambda item: item["decision"]["code"] == code, tenant_id="-", decision="deny")
        assert event["tenant_id"] == "-"
        assert event["details"]["reason"]


async def test_a_stranger_sees_the_public_catalogue(stack: Stack) -> None:
    """Decided by Cedar for the anonymous role, answered for the tenant in the path."""
    async with stack.client(None) as nobody:
        assert (await nobody.get("/catalog/acme/products")).json()
        assert (await nobody.get("/products")).status_code == 401


async def test_the_operations_port_tells_strangers_only_how_it_is(stack: Stack) -> None:
    """Health, readiness, keys and metrics are open; everything else wants a token that Cedar allows."""
    async with httpx.AsyncClient(base_url=stack.ops, timeout=PATIENCE_S, trust_env=False) as ops:
        assert (await ops.get("/healthz")).status_code == 200
        assert (await ops.get("/readyz")).json()["ready"] is True
        assert (await ops.get("/.well-known/jwks.json")).json()["keys"]
        metrics = (await ops.get("/internal/metrics")).text
        assert "lychgate_requests_total{" in metrics
        assert stack.tenant not in metrics
        assert (await ops.get("/internal/status")).status_code == 401
        for role, status in (("Admin", 403), ("SuperAdmin", 200)):
            answer = await ops.get("/internal/status", headers={"authorization": f"Bearer {stack.tokens[role]}"})
            assert answer.status_code == status, role


async def test_the_query_api_alone_believes_nobody(stack: Stack) -> None:
    """Without the gateway's context its own port is shut, with a token or without."""
    async with httpx.AsyncClient(base_url=stack.query, timeout=PATIENCE_S, trust_env=False) as direct:
        token = {"authorization": f"Bearer {stack.tokens['Admin']}"}
        assert (await direct.get("/audit/events", headers=token)).status_code == 401
        forged = {"x-tenant-id": "acme", "x-user-roles": "Admin", "x-user-id": "admin-1"}
        assert (await direct.get("/audit/events", headers=forged)).status_code == 401


async def test_reading_the_audit_is_audited(stack: Stack) -> None:
    """By the query process, once for each read."""
    async with stack.client("Auditor") as auditor, stack.client("Admin") as admin:
        trace = (await auditor.get("/audit/events", params={"limit": "1"})).headers["x-trace-id"]
        read = await audited(admin, lambda item: item["event_type"] == "audit.log.read", trace_id=trace)
        assert read["actor"]["id"] == "auditor-1"
