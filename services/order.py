"""The order service: sales from the till to the handing over."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from audit.registry.types.order import (
    OrderCancelled,
    OrderCreated,
    OrderDiscounted,
    OrderFulfilled,
    OrdersExported,
    OrderUpdated,
)
from roles.security_context import GuardedRoute
from services.desk import AtDesk, Desk
from services.errors import Conflict, Unprocessable
from services.ndjson import NDJSON, written_lines
from services.page import DEFAULT_LIMIT, After, Limit, Page, page
from services.records import Order, OrderLine, OrderStatus, Quantity, Sku, Text, new_id

router = APIRouter(route_class=GuardedRoute)


class WantedLine(BaseModel):
    """How many of what; the price is the product's, never the caller's."""

    model_config = ConfigDict(extra="forbid")
    sku: Sku
    quantity: Quantity


class NewOrder(BaseModel):
    """What is bought, and by whom where that is known."""

    model_config = ConfigDict(extra="forbid")
    customer_id: Annotated[str, Field(max_length=64)] | None = None
    lines: Annotated[list[WantedLine], Field(min_length=1, max_length=100)]
    note: Text | None = None


class OrderEdit(BaseModel):
    """What may be altered of a placed order."""

    model_config = ConfigDict(extra="forbid")
    note: Text | None


class Discount(BaseModel):
    """A share of the total, in whole per cent. How much who may give is the policies' business."""

    model_config = ConfigDict(extra="forbid")
    percent: Annotated[int, Field(ge=1, le=100)]


class Cancellation(BaseModel):
    """Why an order is given up."""

    model_config = ConfigDict(extra="forbid")
    reason: Text


@router.get("/orders")
async def list_orders(
    desk: AtDesk,
    status: Annotated[OrderStatus | None, Query()] = None,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> Page[Order]:
    """Orders, oldest first."""
    orders = desk.data.orders
    return page(orders, orders.where(lambda row: status is None or row.status is status), limit, after)


@router.get("/orders/export")
async def export_orders(desk: AtDesk) -> StreamingResponse:
    """Every order, one JSON object a line."""
    await desk.noting(OrdersExported(), "*")
    return StreamingResponse(written_lines(desk.data.orders.all()), media_type=NDJSON)


@router.get("/orders/{order_id}")
async def read_order(order_id: str, desk: AtDesk) -> Order:
    """One order."""
    return desk.data.orders.get(order_id)


@router.post("/orders", status_code=201)
async def create_order(new: NewOrder, desk: AtDesk) -> Order:
    """Sell something, at today's prices."""
    async with desk.changing(OrderCreated) as change:
        if new.customer_id is not None:
            desk.data.customers.get(new.customer_id)
        lines, currency = _priced(new.lines, desk)
        order = Order(
            id=new_id("o"),
            customer_id=new.customer_id,
            status=OrderStatus.PLACED,
            lines=lines,
            total=sum(line.quantity * line.unit_price for line in lines),
            currency=currency,
            placed_at=desk.now,
            placed_by=desk.caller.sub,
            note=new.note,
        )
        change.create(desk.data.orders, order)
    return order


@router.patch("/orders/{order_id}")
async def update_order(order_id: str, edit: OrderEdit, desk: AtDesk) -> Order:
    """Note something on an order."""
    async with desk.changing(OrderUpdated, order_id) as change:
        old = desk.data.orders.get(order_id)
        new = old.model_copy(update={"note": edit.note})
        change.replace(desk.data.orders, old, new)
    return new


@router.post("/orders/{order_id}/discount")
async def discount_order(order_id: str, discount: Discount, desk: AtDesk) -> Order:
    """Mark an order down before it is paid."""
    async with desk.changing(OrderDiscounted, order_id) as change:
        old = _in_status(desk, order_id, OrderStatus.PLACED)
        off = old.total * discount.percent // 100
        new = old.model_copy(update={"total": old.total - off})
        change.tell(OrderDiscounted(percent=discount.percent, off=off))
        change.replace(desk.data.orders, old, new)
    return new


@router.post("/orders/{order_id}/cancel")
async def cancel_order(order_id: str, cancellation: Cancellation, desk: AtDesk) -> Order:
    """Give an order up before it is handed over."""
    async with desk.changing(OrderCancelled, order_id) as change:
        old = _in_status(desk, order_id, OrderStatus.PLACED, OrderStatus.PAID)
        new = old.model_copy(update={"status": OrderStatus.CANCELLED})
        change.tell(OrderCancelled(reason=cancellation.reason))
        change.replace(desk.data.orders, old, new)
    return new


@router.post("/orders/{order_id}/fulfil")
async def fulfil_order(order_id: str, desk: AtDesk) -> Order:
    """Hand a paid order over."""
    async with desk.changing(OrderFulfilled, order_id) as change:
        old = _in_status(desk, order_id, OrderStatus.PAID)
        new = old.model_copy(update={"status": OrderStatus.FULFILLED})
        change.replace(desk.data.orders, old, new)
    return new


def _in_status(desk: Desk, order_id: str, *allowed: OrderStatus) -> Order:
    order = desk.data.orders.get(order_id)
    if order.status not in allowed:
        raise Conflict(f"order_{order.status}")
    return order


def _priced(wanted: list[WantedLine], desk: Desk) -> tuple[tuple[OrderLine, ...], str]:
    """The lines at the products' prices, and the one currency they are in."""
    on_sale = {row.sku: row for row in desk.data.products.all() if row.active}
    if any(line.sku not in on_sale for line in wanted):
        raise Unprocessable(code="sku_unknown")
    currencies = {on_sale[line.sku].currency for line in wanted}
    if len(currencies) > 1:
        raise Unprocessable(code="currencies_mixed")
    lines = tuple(
        OrderLine(sku=line.sku, name=on_sale[line.sku].name, quantity=line.quantity, unit_price=on_sale[line.sku].price)
        for line in wanted
    )
    return lines, currencies.pop()
