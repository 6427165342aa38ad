"""The integration gateway: partners' systems, and the work that takes several services.

What it needs of orders and stock it asks their services, in the caller's name (`services.onward`): a caller who may
start a run here and may not read stock there is refused there, and told so.
"""

from collections import Counter
from typing import Annotated

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from audit.registry.types.integration import DeliveryRetried, DeliveryTaken, PartnerConfigured, StockSynced
from roles.security_context import GuardedRoute
from services.desk import AtDesk, Desk
from services.errors import Conflict, Unreachable
from services.inventory import Lookup, LookupAnswer
from services.onward import Onward
from services.page import Page
from services.records import (
    Delivery,
    DeliveryStatus,
    Order,
    Partner,
    PartnerEndpoint,
    Sku,
    Stock,
    Text,
    new_id,
)

router = APIRouter(route_class=GuardedRoute)

MAX_STOCK_PAGES = 50
"""A run reads this many pages of stock at most: an upper bound on what one request may cost the others."""


class PartnerSetup(BaseModel):
    """How a partner is connected."""

    model_config = ConfigDict(extra="forbid")
    name: Text
    kind: Text
    endpoint: PartnerEndpoint
    enabled: bool = True


class Feed(BaseModel):
    """A message from a partner. It names a tenant too, for the gateway to hold against the token's; not used here."""

    model_config = ConfigDict(extra="ignore")
    subject: Text


class LineAvailability(BaseModel):
    """Whether what an order wants of one SKU can be had."""

    sku: Sku
    wanted: int
    available: int
    enough: bool


class Availability(BaseModel):
    """Whether what was ordered can be had."""

    order_id: str
    complete: bool
    lines: list[LineAvailability]


class SyncOrder(BaseModel):
    """To whom the stock levels are to be sent."""

    model_config = ConfigDict(extra="forbid")
    partner_id: Annotated[str, Field(max_length=64)]


class SyncReport(BaseModel):
    """What a stock run has done."""

    delivery_id: str
    partner_id: str
    skus: int
    out_of_stock: list[Sku]
    as_of: AwareDatetime


@router.get("/integration/partners")
async def list_partners(desk: AtDesk) -> list[Partner]:
    """Every partner."""
    return list(desk.data.partners.all())


@router.get("/integration/partners/{partner_id}")
async def read_partner(partner_id: str, desk: AtDesk) -> Partner:
    """One partner."""
    return desk.data.partners.get(partner_id)


@router.get("/integration/partners/{partner_id}/deliveries")
async def list_deliveries(partner_id: str, desk: AtDesk) -> list[Delivery]:
    """What went to and came from a partner."""
    partner = desk.data.partners.get(partner_id)
    return list(desk.data.deliveries.where(lambda row: row.partner_id == partner.id))


@router.put("/integration/partners/{partner_id}")
async def configure_partner(partner_id: str, setup: PartnerSetup, desk: AtDesk) -> Partner:
    """Change how a partner is connected."""
    async with desk.changing(PartnerConfigured, partner_id) as change:
        old = desk.data.partners.get(partner_id)
        new = Partner(id=old.id, **setup.model_dump())
        change.replace(desk.data.partners, old, new)
    return new


@router.post("/integration/partners/{partner_id}/deliveries", status_code=201)
async def take_delivery(partner_id: str, feed: Feed, desk: AtDesk) -> Delivery:
    """Take a message in from a partner's system."""
    async with desk.changing(DeliveryTaken, partner_id) as change:
        partner = _enabled(desk, partner_id)
        delivery = Delivery(
            id=new_id("d"),
            partner_id=partner.id,
            subject=feed.subject,
            status=DeliveryStatus.DELIVERED,
            attempts=1,
            updated_at=desk.now,
        )
        change.tell(DeliveryTaken(delivery_id=delivery.id))
        change.create(desk.data.deliveries, delivery)
    return delivery


@router.post("/integration/deliveries/{delivery_id}/retry")
async def retry_delivery(delivery_id: str, desk: AtDesk) -> Delivery:
    """Send again what a partner did not take."""
    async with desk.changing(DeliveryRetried, delivery_id) as change:
        old = desk.data.deliveries.get(delivery_id)
        if old.status is not DeliveryStatus.FAILED:
            raise Conflict(f"delivery_{old.status}")
        _enabled(desk, old.partner_id)
        new = old.model_copy(
            update={"status": DeliveryStatus.PENDING, "attempts": old.attempts + 1, "updated_at": desk.now}
        )
        change.replace(desk.data.deliveries, old, new)
    return new


@router.get("/integration/orders/{order_id}/availability")
async def read_availability(order_id: str, desk: AtDesk) -> Availability:
    """Whether what was ordered can be had, asked of the order and the inventory service."""
    onward = _onward(desk)
    order = await onward.get(desk.caller, ("orders", order_id), Order)
    wanted: Counter[Sku] = Counter()
    for line in order.lines:
        wanted[line.sku] += line.quantity
    asked = Lookup(skus=list(wanted))
    found = await onward.post(desk.caller, ("inventory", "lookup"), LookupAnswer, asked)
    available = {level.sku: level.available for level in found.data}
    lines = [
        LineAvailability(sku=sku, wanted=count, available=available.get(sku, 0), enough=available.get(sku, 0) >= count)
        for sku, count in wanted.items()
    ]
    return Availability(order_id=order.id, complete=all(line.enough for line in lines), lines=lines)


@router.post("/integration/stock-sync")
async def sync_stock(wanted: SyncOrder, desk: AtDesk) -> SyncReport:
    """Send a partner every stock level, as the inventory service knows them."""
    with desk.preparing(StockSynced, wanted.partner_id):
        _enabled(desk, wanted.partner_id)
        levels = await _levels(desk)  # before the change: see services.onward for why not within
    async with desk.changing(StockSynced, wanted.partner_id) as change:
        partner = _enabled(desk, wanted.partner_id)
        delivery = Delivery(
            id=new_id("d"),
            partner_id=partner.id,
            subject=f"stock levels of {len(levels)} SKUs",
            status=DeliveryStatus.PENDING,
            attempts=0,
            updated_at=desk.now,
        )
        change.tell(StockSynced(skus=len(levels), delivery_id=delivery.id))
        change.create(desk.data.deliveries, delivery)
    return SyncReport(
        delivery_id=delivery.id,
        partner_id=partner.id,
        skus=len(levels),
        out_of_stock=[level.sku for level in levels if level.available <= 0],
        as_of=desk.now,
    )


def _onward(desk: Desk) -> Onward:
    """The way to the other services; a service that was started without one cannot serve what needs it."""
    if desk.backend.onward is None:
        raise Unreachable
    return desk.backend.onward


def _enabled(desk: Desk, partner_id: str) -> Partner:
    partner = desk.data.partners.get(partner_id)
    if not partner.enabled:
        raise Conflict("partner_disabled")
    return partner


async def _levels(desk: Desk) -> list[Stock]:
    """Every stock level, page by page."""
    onward = _onward(desk)
    levels: list[Stock] = []
    query = {"limit": "200"}
    for _ in range(MAX_STOCK_PAGES):
        portion = await onward.get(desk.caller, ("inventory", "stock"), Page[Stock], query)
        levels.extend(portion.data)
        if portion.next_after is None:
            break
        query["after"] = portion.next_after
    return levels
