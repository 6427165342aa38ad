"""The same question at both doors: through the proxy with a token, and at the decision API about its bearer."""

from pathlib import Path

import pytest

from tests.builders import plane
from tests.builders.decisions import decisions, question

ASKED = [
    ("GET", "/orders", "order:list", ("Order", "*")),
    ("GET", "/orders/1", "order:read", ("Order", "1")),
    ("POST", "/orders", "order:create", ("Order", "*")),
    ("POST", "/products/import", "product:import", ("Product", "*")),
]


@pytest.mark.parametrize(
    "role", ["Cashier", "Support", "InventoryClerk", "Auditor", "Manager", "Admin", "POS_OPERATOR"]
)
async def test_both_doors_say_the_same(tmp_path: Path, role: str) -> None:
    """Effect and reasons, as the audit has them of either."""
    async with plane.plane(tmp_path / "proxy") as proxy, decisions(tmp_path / "api", reasons=True) as api:
        for method, path, action, (kind, name) in ASKED:
            head = await proxy.raw(plane.request(method, path, auth=plane.token(role)))
            allowed = head.startswith(b"HTTP/1.1 200")
            assert allowed or head.startswith(b"HTTP/1.1 403"), head
            subject = ("User", "dev/acme/u-17", {"roles": [role], "tenant": "acme"})
            answer = await api.decide(question(subject, action, (kind, name, {"tenant": "acme"})))
            assert answer["decision"] is allowed
            mine, theirs = api.events[-1], next(one for one in reversed(proxy.events) if one.decision is not None)
            assert mine.decision is not None
            assert theirs.decision is not None
            assert (mine.action, mine.resource, mine.decision.reasons) == (
                theirs.action,
                theirs.resource,
                theirs.decision.reasons,
            )
            assert mine.input is not None
            assert theirs.input is not None
            assert (mine.input.principal, mine.input.resource) == (theirs.input.principal, theirs.input.resource)
