"""`POST /explain`: for whom Cedar allows it, strictly read, recorded."""

import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.ops.explain import MAX_BODY_BYTES
from tests.gateway.ops.port import PLATFORM, Port, bearer, port

REQUEST = {"action": "order:discount", "roles": ["Cashier"], "context": {"percent": 60}}


DECISION = "01a21583-3b5c-705e-b94a-13f3ddd34290"


async def ask(ops: Port, body: Any, role: str = "Auditor", tenant: str = PLATFORM) -> httpx.Response:
    """As the platform's Auditor, unless told otherwise."""
    return await ops.client.post("/explain", json=body, headers=bearer(role, tenant))


@pytest.mark.parametrize(
    ("role", "tenant", "status"),
    [
        ("SuperAdmin", PLATFORM, 200),
        ("Auditor", PLATFORM, 200),
        ("Auditor", "acme", 403),
        ("Admin", PLATFORM, 403),
        ("Admin", "acme", 403),
        ("Service", PLATFORM, 403),
    ],
)
async def test_it_is_the_platforms(tmp_path: Path, role: str, tenant: str, status: int) -> None:
    """Whoever may learn what the policies say; either way it is recorded."""
    async with port(tmp_path) as ops:
        assert (await ask(ops, {"request": REQUEST}, role, tenant)).status_code == status
        (event,) = ops.events
        assert (event.action, event.tenant_id, event.status) == ("ops:explain", tenant, status)


async def test_a_described_request(tmp_path: Path) -> None:
    """By the policies in force; nothing of it is kept in the record but the action."""
    async with port(tmp_path) as ops:
        answer = await ask(ops, {"request": REQUEST})
        told = answer.json()
        assert answer.headers["cache-control"] == "no-store"
        assert told["policy_version"] == ops.snapshot.bundle.version
        assert told["decision"] == {"effect": "deny", "reasons": [], "errors": []}
        assert told["roles_enough"]["alone"] == ["Admin"]
        assert told["changes_enough"]["sets"][0][0]["new"] == 10
        assert told["question"]["context"]["cross_tenant"] is ops.snapshot.cross_tenant
        (event,) = ops.events
        assert event.details == {"explained_action": "order:discount"}
        assert event.decision is not None
        assert event.decision.reasons == ("ops.platform-explain",)


async def test_a_recorded_decision_of_this_very_gateway(tmp_path: Path) -> None:
    """A refusal's own record is explained; the record of that names it."""
    async with port(tmp_path) as ops:
        await ops.client.get("/internal/status", headers=bearer("Support", PLATFORM))
        record = json.loads(msgspec.json.encode(ops.events[0]))
        answer = await ask(ops, {"event": record})
        told = answer.json()
        assert told["roles_enough"]["alone"] == ["Auditor"]
        assert told["recorded"]["event_id"] == record["event_id"]
        assert told["recorded"]["same_policies"]
        assert ops.events[-1].details == {"explained_action": "ops:status", "explained_event": record["event_id"]}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([], "explain: Expected `object`, got `array`"),
        ({}, "explain: one of `request`, `event` and `decision_id`"),
        ({"request": REQUEST, "event": {}}, "explain: one of `request`, `event` and `decision_id`"),
        ({"event": {}, "decision_id": DECISION}, "explain: one of `request`, `event` and `decision_id`"),
        ({"decision_id": DECISION}, "explain: there is no audit to look a decision up in"),
        ({"request": {**REQUEST, "rolls": []}}, "explain: request: object contains unknown field `rolls`"),
        ({"request": {**REQUEST, "roles": ["x" * 9000]}}, f"explain: there is no role `{'x' * 9000}"[:256]),
        ({"request": {"action": "order:fly"}}, "explain: the schema declares no action `order:fly`"),
        ({"event": {"event_id": "e"}}, "explain: the event is not one of a decision"),
    ],
)
async def test_what_cannot_be_explained_is_a_bad_request(tmp_path: Path, body: Any, reason: str) -> None:
    """Why stands in the record, bounded."""
    async with port(tmp_path) as ops:
        answer = await ask(ops, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
        (event,) = ops.events
        assert event.details == {"reason": reason}


@pytest.mark.parametrize("odd", ["e-1", "", DECISION.upper(), f"{DECISION}\n", f"../{DECISION}", 7])
async def test_an_id_is_one(tmp_path: Path, odd: Any) -> None:
    """Nothing else is looked up."""
    async with port(tmp_path) as ops:
        assert (await ask(ops, {"decision_id": odd})).status_code == 400
        assert ops.events[0].details is not None
        assert ops.events[0].details["reason"].startswith("explain: Expected `str")


async def test_a_question_that_does_not_fit_the_schema(tmp_path: Path) -> None:
    """The reason has no value of it."""
    async with port(tmp_path) as ops:
        answer = await ask(ops, {"request": {**REQUEST, "context": {"percent": "s3cret"}}})
        assert answer.status_code == 400
        (event,) = ops.events
        assert event.details is not None
        assert event.details["reason"].startswith("explain: ")
        assert "s3cret" not in event.details["reason"]


async def test_the_body_is_bounded_and_json(tmp_path: Path) -> None:
    """Too long is 413, another type 415, what is no strict JSON 400."""
    async with port(tmp_path) as ops:
        headers = {**bearer("Auditor", PLATFORM), "content-type": "application/json"}
        long = await ops.client.post("/explain", content=b" " * (MAX_BODY_BYTES + 1), headers=headers)
        assert (long.status_code, long.json()["code"]) == (413, "payload_too_large")
        twice = await ops.client.post("/explain", content=b'{"request": {}, "request": {}}', headers=headers)
        assert twice.status_code == 400
        other = await ops.client.post("/explain", content=b"{}", headers=bearer("Auditor", PLATFORM))
        assert other.status_code == 415
        value = ops.registry.get_sample_value("lychgate_ops_requests_total", {"endpoint": "explain", "status": "4xx"})
        assert value == 3


async def test_nobody_is_told_anything(tmp_path: Path) -> None:
    """Without a credential the body is not even read."""
    async with port(tmp_path) as ops:
        answer = await ops.client.post("/explain", content=b"nonsense")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
