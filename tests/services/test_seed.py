"""The sample data."""

from dataclasses import fields
from itertools import combinations

from services.records import IntentStatus, OrderStatus
from services.seed import ACME, GLOBEX, sample_store
from services.store import Table, TenantData

SHOPS = (ACME, GLOBEX)


def tables(data: TenantData) -> dict[str, set[str]]:
    """The ids in every table."""
    found = {one.name: getattr(data, one.name) for one in fields(data)}
    return {name: {table.key(row) for row in table.all()} for name, table in found.items() if isinstance(table, Table)}


def test_no_id_is_good_in_two_tenants() -> None:
    """Whatever kind, no id of one shop is an id of another: a test of isolation could pass by chance otherwise."""
    store = sample_store()
    for one, other in combinations(SHOPS, 2):
        ours, theirs = tables(store.tenant(one.tenant_id)), tables(store.tenant(other.tenant_id))
        assert not [name for name in ours if ours[name] & theirs[name]]


def test_every_shop_has_something_of_what_is_kept() -> None:
    """No list is empty but those that only people's work fills."""
    for shop in SHOPS:
        empty = {name for name, ids in tables(sample_store().tenant(shop.tenant_id)).items() if not ids}
        assert empty == {"refunds", "refund_requests"}


def test_the_books_agree() -> None:
    """Orders add up, intents are for their order's total, and exactly the paid orders are paid."""
    for shop in SHOPS:
        data = sample_store().tenant(shop.tenant_id)
        for intent in data.intents.all():
            order = data.orders.get(intent.order_id)
            assert intent.amount == order.total == sum(line.quantity * line.unit_price for line in order.lines)
            assert (intent.status is IntentStatus.SUCCEEDED) == (order.status is OrderStatus.PAID)
            assert order.customer_id is not None
            assert data.customers.find(order.customer_id) is not None
        for account in data.accounts.all():
            assert account.points == sum(
                entry.points for entry in data.ledger.where(lambda row, key=account.id: row.account_id == key)
            )


def test_there_is_something_a_manager_may_not_refund_whole() -> None:
    """One payment is above the 50,000 minor units at which a Manager's refunds end."""
    assert max(intent.amount for intent in sample_store().tenant("acme").intents.all()) > 50_000


def test_two_stores_share_nothing() -> None:
    """Each call makes its own data."""
    first, second = sample_store(), sample_store()
    first.tenant("acme").products.remove(first.tenant("acme").products.get("p-1001"))
    assert second.tenant("acme").products.find("p-1001") is not None
