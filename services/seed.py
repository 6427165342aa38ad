"""Believable data for the two sample tenants: a bicycle shop and a stationer's. No id of one is an id of the other.

Called once, where the store is built; pure but for the store it fills.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.records import (
    Customer,
    Delivery,
    DeliveryStatus,
    IntentStatus,
    LoyaltyAccount,
    LoyaltyEntry,
    Order,
    OrderLine,
    OrderStatus,
    Partner,
    PaymentIntent,
    PaymentMethod,
    Product,
    Stock,
    Tier,
)
from services.store import Store, TenantData

OPENED = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
"""The sample data's first morning; everything in it happens at a fixed distance from here."""

Goods = tuple[str, str, str, int, int, int]
"""SKU, name, category, price in minor units, on the shelf, in the backroom."""
Person = tuple[str, str, str, Tier, int]
"""Name, e-mail, telephone, loyalty tier, points."""


@dataclass(frozen=True, slots=True)
class Shop:
    """What one tenant's sample data is made from.

    Attributes:
        first: The number its ids count from; two shops' ranges do not meet.
        sales: One a placed order: the customer's index, how it was paid, and the lines as (goods index, quantity).
    """

    tenant_id: str
    currency: str
    first: int
    goods: Sequence[Goods]
    people: Sequence[Person]
    sales: Sequence[tuple[int, PaymentMethod, Sequence[tuple[int, int]]]]
    partners: Sequence[tuple[str, str, str]]


ACME = Shop(
    tenant_id="acme",
    currency="EUR",
    first=1001,
    goods=(
        ("ACM-BIKE-CITY", "City bicycle, 7 gears", "bicycles", 54_900, 4, 6),
        ("ACM-BIKE-KID20", "Children's bicycle, 20 inch", "bicycles", 27_900, 3, 5),
        ("ACM-HELM-M", "Helmet, medium", "safety", 4_990, 18, 30),
        ("ACM-LOCK-U", "U-lock, 230 mm", "security", 3_490, 22, 40),
        ("ACM-LAMP-F", "Front lamp, 70 lux", "lights", 3_990, 15, 24),
        ("ACM-TUBE-28", "Inner tube, 28 inch", "spares", 690, 60, 240),
        ("ACM-PUMP-FLR", "Floor pump with gauge", "tools", 2_990, 9, 12),
        ("ACM-GLOV-L", "Winter gloves, large", "clothing", 2_490, 12, 0),
    ),
    people=(
        ("Marta Lindqvist", "marta.lindqvist@example.com", "+46 70 555 0112", Tier.GOLD, 4_820),
        ("Jonas Weber", "jonas.weber@example.com", "+49 151 555 0178", Tier.SILVER, 1_310),
        ("Aisha Okafor", "aisha.okafor@example.com", "+44 7700 900142", Tier.BRONZE, 240),
        ("Pedro Nunes", "pedro.nunes@example.com", "+351 912 555 019", Tier.PLATINUM, 15_075),
    ),
    sales=(
        (0, PaymentMethod.CARD, ((0, 1), (2, 1), (3, 1))),
        (1, PaymentMethod.CASH, ((5, 2), (6, 1))),
        (2, PaymentMethod.CARD, ((1, 1), (2, 1))),
        (3, PaymentMethod.GIFT_CARD, ((4, 1),)),
        (0, PaymentMethod.CARD, ((7, 1),)),
    ),
    partners=(
        ("Northwind Cycles Marketplace", "marketplace", "https://feeds.northwind.example/acme"),
        ("Velo Logistics", "warehouse", "https://api.velo-logistics.example/inbound"),
    ),
)
GLOBEX = Shop(
    tenant_id="globex",
    currency="USD",
    first=5001,
    goods=(
        ("GLX-PEN-GEL07", "Gel pen, 0.7 mm, blue", "writing", 249, 140, 600),
        ("GLX-NOTE-A5", "Notebook, A5, dotted", "paper", 899, 70, 180),
        ("GLX-DESK-LMP", "Desk lamp, warm white", "office", 4_599, 6, 14),
        ("GLX-CHAIR-ERG", "Office chair, adjustable", "furniture", 28_900, 2, 8),
        ("GLX-TAPE-CLR", "Adhesive tape, clear", "paper", 199, 90, 400),
        ("GLX-CALC-SCI", "Scientific calculator", "office", 3_250, 11, 25),
    ),
    people=(
        ("Priya Raman", "priya.raman@example.net", "+1 415 555 0134", Tier.SILVER, 2_040),
        ("Tom Becker", "tom.becker@example.net", "+1 206 555 0187", Tier.BRONZE, 95),
        ("Lucia Moretti", "lucia.moretti@example.net", "+39 333 555 0121", Tier.GOLD, 6_700),
    ),
    sales=(
        (0, PaymentMethod.CARD, ((3, 1), (2, 1))),
        (1, PaymentMethod.CASH, ((0, 10), (1, 2))),
        (2, PaymentMethod.CARD, ((5, 1), (4, 3))),
    ),
    partners=(("Paperline Wholesale", "supplier", "https://edi.paperline.example/globex"),),
)


def sample_store() -> Store:
    """A store with both sample tenants in it."""
    store = Store()
    for shop in (ACME, GLOBEX):
        _fill(store.tenant(shop.tenant_id), shop)
    return store


def _fill(data: TenantData, shop: Shop) -> None:
    _stock_shelves(data, shop)
    _enter_people(data, shop)
    for number, (person, method, lines) in enumerate(shop.sales):
        _sell(data, shop, number, person, method, lines)
    for number, (name, kind, endpoint) in enumerate(shop.partners, start=shop.first):
        data.partners.put(Partner(id=f"x-{number}", name=name, kind=kind, endpoint=endpoint))
        data.deliveries.put(
            Delivery(
                id=f"d-{number}",
                partner_id=f"x-{number}",
                subject="stock levels, morning run",
                status=DeliveryStatus.FAILED,
                attempts=3,
                updated_at=OPENED,
            )
        )


def _stock_shelves(data: TenantData, shop: Shop) -> None:
    for number, (sku, name, category, price, shelf, backroom) in enumerate(shop.goods, start=shop.first):
        data.products.put(
            Product(id=f"p-{number}", sku=sku, name=name, category=category, price=price, currency=shop.currency)
        )
        data.stock.put(Stock(sku=sku, shelf=shelf, backroom=backroom, counted_at=OPENED))


def _enter_people(data: TenantData, shop: Shop) -> None:
    for number, (name, email, phone, tier, points) in enumerate(shop.people, start=shop.first):
        customer_id, account_id = f"c-{number}", f"l-{number}"
        data.customers.put(
            Customer(
                id=customer_id, name=name, email=email, phone=phone, marketing_consent=tier != Tier.BRONZE, since=OPENED
            )
        )
        data.accounts.put(
            LoyaltyAccount(id=account_id, customer_id=customer_id, tier=tier, points=points, enrolled_at=OPENED)
        )
        data.ledger.put(
            LoyaltyEntry(
                id=f"le-{number}",
                account_id=account_id,
                points=points,
                reason="balance carried over",
                order_id=None,
                booked_at=OPENED,
                booked_by="migration",
            )
        )


def _sell(
    data: TenantData,
    shop: Shop,
    number: int,
    person: int,
    method: PaymentMethod,
    lines: Sequence[tuple[int, int]],
) -> None:
    placed_at = OPENED + timedelta(hours=3 * number + 1)
    order_lines = tuple(
        OrderLine(
            sku=shop.goods[index][0], name=shop.goods[index][1], quantity=quantity, unit_price=shop.goods[index][3]
        )
        for index, quantity in lines
    )
    order = Order(
        id=f"o-{shop.first + number}",
        customer_id=f"c-{shop.first + person}",
        # the last sale of each shop is still waiting for its money
        status=OrderStatus.PLACED if number == len(shop.sales) - 1 else OrderStatus.PAID,
        lines=order_lines,
        total=sum(line.quantity * line.unit_price for line in order_lines),
        currency=shop.currency,
        placed_at=placed_at,
        placed_by="till-1",
    )
    paid = order.status is OrderStatus.PAID
    data.orders.put(order)
    data.intents.put(
        PaymentIntent(
            id=f"pi-{shop.first + number}",
            order_id=order.id,
            amount=order.total,
            currency=order.currency,
            method=method,
            status=IntentStatus.SUCCEEDED if paid else IntentStatus.REQUIRES_CONFIRMATION,
            card_last4="4242" if method is PaymentMethod.CARD else None,
            created_at=placed_at,
        )
    )
