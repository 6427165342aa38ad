"""A decision that was recorded is explained by its id, on the whole stack."""

import asyncio
from typing import Any

import httpx

from tests.builders.patience import PATIENCE_S
from tests.servers.stack import Stack


async def explained(stack: Stack, role: str, decision_id: str) -> httpx.Response:
    """What the operations port says, asked until the record is in the store."""
    headers = {"authorization": f"Bearer {stack.tokens[role]}"}
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    async with httpx.AsyncClient(base_url=stack.ops, headers=headers, timeout=PATIENCE_S, trust_env=False) as ops:
        while True:
            answer = await ops.post("/explain", json={"decision_id": decision_id})
            if answer.status_code == 200 or asyncio.get_running_loop().time() > deadline:
                return answer
            await asyncio.sleep(0.1)


async def test_a_decision_is_explained_by_its_id(stack: Stack) -> None:
    """By whoever may, and is shown it by the audit; the reading is recorded as theirs."""
    async with stack.client("SuperAdmin") as platform:
        decided = await platform.get("/orders")
        decision_id = decided.headers["x-decision-id"]
        answer = await explained(stack, "SuperAdmin", decision_id)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        assert told["recorded"]["event_id"] == decision_id
        assert told["decision"]["reasons"] == ["tenancy.super-admin"]
        assert told["recorded"]["same_policies"]
    refused = await explained_once(stack, "Admin", decision_id)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def explained_once(stack: Stack, role: str, decision_id: str) -> httpx.Response:
    """What the operations port says at once."""
    headers = {"authorization": f"Bearer {stack.tokens[role]}"}
    async with httpx.AsyncClient(base_url=stack.ops, headers=headers, timeout=PATIENCE_S, trust_env=False) as ops:
        return await ops.post("/explain", json={"decision_id": decision_id})


async def test_a_tenants_decision_is_not_shown_to_the_platform(stack: Stack) -> None:
    """What the audit does not show its asker is not explained either."""
    async with stack.client("Cashier") as cashier:
        decision_id = (await cashier.get("/orders")).headers["x-decision-id"]
    answer = await explained_once(stack, "SuperAdmin", decision_id)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
