"""A table of roles and actions becomes a case for each cell."""

from policies.model import Effect
from tests.builders.tables import cases_of

TABLE = """
resource: Order
tenant: globex
context:
  order:discount: {percent: 5}
roles:             [Anonymous, Cashier, SuperAdmin]
decisions:
  order:create:    [deny,      allow,   allow]
  order:discount:  [deny,      allow,   allow]
"""


def test_every_cell_is_a_case() -> None:
    """Named for action and role, on the line of its row."""
    cases = cases_of(TABLE)
    assert [case.name for case in cases] == [
        *("order:create-Anonymous", "order:create-Cashier", "order:create-SuperAdmin"),
        *("order:discount-Anonymous", "order:discount-Cashier", "order:discount-SuperAdmin"),
    ]
    assert [case.line for case in cases] == [8, 8, 8, 9, 9, 9]
    assert [case.expect for case in cases[:3]] == [Effect.DENY, Effect.ALLOW, Effect.ALLOW]
    assert cases[0].policies is None


def test_each_role_asks_at_home() -> None:
    """Nobody has no tenant and asks about the table's; who crosses tenants is of the platform."""
    tenants = []
    for case in cases_of(TABLE)[:3]:
        resource = next(entity for entity in case.question.entities if entity.uid == case.question.resource)
        assert case.caller is not None
        tenants.append((case.caller.tenant_id, resource.attrs["tenant"]))
    assert tenants == [("-", "globex"), ("globex", "globex"), ("platform", "platform")]


def test_a_context_is_that_of_its_action() -> None:
    """The others have none."""
    contexts = {case.action.id: case.question.context for case in cases_of(TABLE)}
    assert contexts["order:discount"]["percent"] == 5
    assert "percent" not in contexts["order:create"]
