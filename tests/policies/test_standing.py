"""How close each policy came to applying."""

from policies.standing import Standings
from tests.builders.questions import real_bundle
from tests.builders.tables import cases_of, documents


def test_scope_and_conditions_are_told_apart() -> None:
    """A Manager beyond the limit is within the scope; a Cashier is not even that."""
    manager, cashier = cases_of("""
- {name: a, roles: [Manager], action: payment:refund, context: {amount: 50001}, expect: deny}
- {name: b, roles: [Cashier], action: payment:refund, context: {amount: 1}, expect: deny}
""")
    standings = Standings(real_bundle())
    found = standings.standings(manager.action, manager.question)
    assert set(found) == {
        *("payment.manager-refund", "payment.refund-something"),
        *("tenancy.admin", "tenancy.super-admin", "tenancy.wall"),
    }
    assert found["payment.manager-refund"].scope
    assert found["payment.manager-refund"].conditions == (False,)
    assert not found["payment.manager-refund"].applies
    other = standings.standings(cashier.action, cashier.question)["payment.manager-refund"]
    assert (other.scope, other.conditions) == (False, (None,))


def test_an_unless_counts_as_holding_while_its_body_does_not() -> None:
    """Conditions are told as they bear on the policy."""
    (case,) = cases_of("- {name: a, roles: [Cashier], action: order:read, resource: {tenant: globex}, expect: deny}")
    wall = Standings(real_bundle()).standings(case.action, case.question)["tenancy.wall"]
    assert (wall.applies, wall.conditions) == (True, (True, True, True))


def test_a_condition_that_cannot_be_evaluated_is_neither() -> None:
    """And the policy is said to fail."""
    bundle = documents()
    (case,) = cases_of(
        """
- name: a
  principal: {type: Person, id: p, attrs: {level: 3}}
  action: edit
  resource: {type: Doc, id: d, attrs: {owner: {__entity: {type: Person, id: p}}, public: false}}
  context: {hour: 23}
  expect: deny
  errors: [doc.night]
""",
        bundle,
    )
    night = Standings(bundle).standings(case.action, case.question)["doc.night"]
    assert (night.applies, night.fails, night.scope, night.conditions) == (False, True, True, (None,))
