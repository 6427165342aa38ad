"""The inventory service: what lies where, what is promised, and every movement of it."""

from collections.abc import AsyncIterator
from typing import Annotated, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from audit.registry.types.inventory import (
    StockAdjusted,
    StockCounted,
    StockReceived,
    StockReleased,
    StockReserved,
    StockTransferred,
)
from roles.security_context import GuardedRoute, context_rule
from services.change import Change
from services.desk import AtDesk, Desk
from services.errors import Conflict, Unprocessable
from services.page import DEFAULT_LIMIT, After, Limit, Page, page
from services.records import (
    MAX_LEVEL,
    Level,
    MovementKind,
    Place,
    Quantity,
    Sku,
    Stock,
    StockMovement,
    Text,
    new_id,
)

router = APIRouter(route_class=GuardedRoute)

Moved = TypeVar("Moved", StockReceived, StockCounted, StockAdjusted, StockTransferred, StockReserved, StockReleased)
"""What moves goods."""


class StockView(BaseModel):
    """A stock level with what follows from it."""

    sku: Sku
    shelf: Level
    backroom: Level
    reserved: Level
    available: int


class Lookup(BaseModel):
    """The SKUs asked about."""

    model_config = ConfigDict(extra="forbid")
    skus: Annotated[list[Sku], Field(min_length=1, max_length=200)]


class LookupAnswer(BaseModel):
    """What is known of them; a SKU that is not stocked is not in it."""

    data: list[StockView]


class Receipt(BaseModel):
    """Goods that came in."""

    model_config = ConfigDict(extra="forbid")
    quantity: Quantity
    place: Place = Place.BACKROOM
    supplier: Text | None = None


class Count(BaseModel):
    """What somebody counted; it replaces what the book says."""

    model_config = ConfigDict(extra="forbid")
    shelf: Level
    backroom: Level


class Adjustment(BaseModel):
    """A correction: breakage, theft, goods found again."""

    model_config = ConfigDict(extra="forbid")
    quantity: Annotated[int, Field(ge=-100_000, le=100_000)]
    place: Place
    reason: Text


class Transfer(BaseModel):
    """Goods carried from one place to the other."""

    model_config = ConfigDict(extra="forbid")
    quantity: Quantity
    to: Place


class Promise(BaseModel):
    """Goods promised to an order, or no longer."""

    model_config = ConfigDict(extra="forbid")
    quantity: Quantity
    order_id: Annotated[str, Field(max_length=64)]


@router.get("/inventory/stock")
async def list_stock(desk: AtDesk, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Page[Stock]:
    """Every stock level."""
    return page(desk.data.stock, desk.data.stock.all(), limit, after)


@router.post("/inventory/lookup")
@context_rule(reads=True)
async def lookup(wanted: Lookup, desk: AtDesk) -> LookupAnswer:
    """Many stock levels at once."""
    found = (desk.data.stock.find(sku) for sku in dict.fromkeys(wanted.skus))
    return LookupAnswer(data=[_view(stock) for stock in found if stock is not None])


@router.get("/inventory/events")
async def watch(request: Request, desk: AtDesk) -> Response:
    """Stock movements from now on, as server-sent events."""
    headers = {"Cache-Control": "no-store"}
    if request.method == "HEAD":  # whoever asks for the header alone is not to wait for a stream to end
        return Response(headers=headers, media_type="text/event-stream")
    return StreamingResponse(_stream(desk), headers=headers, media_type="text/event-stream")


@router.get("/inventory/stock/{sku}")
async def read_stock(sku: str, desk: AtDesk) -> StockView:
    """One stock level."""
    return _view(desk.data.stock.get(sku))


@router.get("/inventory/stock/{sku}/movements")
async def list_movements(sku: str, desk: AtDesk) -> list[StockMovement]:
    """How one stock level came about, oldest first, as far back as the log is kept."""
    desk.data.stock.get(sku)
    return list(desk.data.movements.of(sku))


@router.post("/inventory/stock/{sku}/receive")
async def receive(sku: str, receipt: Receipt, desk: AtDesk) -> StockView:
    """Book goods in."""
    async with desk.changing(StockReceived, sku) as change:
        old = desk.data.stock.get(sku)
        new = _moved(old, receipt.place, receipt.quantity)
        _book(change, desk, old, new, MovementKind.RECEIVED, StockReceived(quantity=receipt.quantity), receipt.supplier)
    return _view(new)


@router.post("/inventory/stock/{sku}/count")
async def count(sku: str, counted: Count, desk: AtDesk) -> StockView:
    """Set a stock level to what was counted."""
    async with desk.changing(StockCounted, sku) as change:
        old = desk.data.stock.get(sku)
        new = old.model_copy(
            update={"shelf": counted.shelf, "backroom": counted.backroom, "counted_at": desk.now},
        )
        _book(change, desk, old, new, MovementKind.COUNTED, StockCounted(quantity=new.on_hand - old.on_hand), None)
    return _view(new)


@router.post("/inventory/stock/{sku}/adjust")
async def adjust(sku: str, adjustment: Adjustment, desk: AtDesk) -> StockView:
    """Correct a stock level."""
    async with desk.changing(StockAdjusted, sku) as change:
        old = desk.data.stock.get(sku)
        new = _moved(old, adjustment.place, adjustment.quantity)
        _book(
            change,
            desk,
            old,
            new,
            MovementKind.ADJUSTED,
            StockAdjusted(quantity=adjustment.quantity),
            adjustment.reason,
        )
    return _view(new)


@router.post("/inventory/stock/{sku}/transfer")
async def transfer(sku: str, carried: Transfer, desk: AtDesk) -> StockView:
    """Carry goods from the backroom to the shelf or back."""
    async with desk.changing(StockTransferred, sku) as change:
        old = desk.data.stock.get(sku)
        origin = Place.SHELF if carried.to is Place.BACKROOM else Place.BACKROOM
        new = _moved(_moved(old, origin, -carried.quantity), carried.to, carried.quantity)
        _book(
            change,
            desk,
            old,
            new,
            MovementKind.MOVED,
            StockTransferred(quantity=carried.quantity),
            f"to the {carried.to}",
        )
    return _view(new)


@router.post("/inventory/stock/{sku}/reserve")
async def reserve(sku: str, promise: Promise, desk: AtDesk) -> StockView:
    """Promise goods to an order."""
    async with desk.changing(StockReserved, sku) as change:
        old = desk.data.stock.get(sku)
        desk.data.orders.get(promise.order_id)
        if promise.quantity > old.available:
            raise Conflict("out_of_stock")
        new = old.model_copy(update={"reserved": old.reserved + promise.quantity})
        _book(change, desk, old, new, MovementKind.RESERVED, StockReserved(quantity=promise.quantity), promise.order_id)
    return _view(new)


@router.post("/inventory/stock/{sku}/release")
async def release(sku: str, promise: Promise, desk: AtDesk) -> StockView:
    """Take a promise back."""
    async with desk.changing(StockReleased, sku) as change:
        old = desk.data.stock.get(sku)
        desk.data.orders.get(promise.order_id)
        if promise.quantity > old.reserved:
            raise Conflict("not_reserved")
        new = old.model_copy(update={"reserved": old.reserved - promise.quantity})
        _book(change, desk, old, new, MovementKind.RELEASED, StockReleased(quantity=promise.quantity), promise.order_id)
    return _view(new)


def _view(stock: Stock) -> StockView:
    return StockView(
        sku=stock.sku,
        shelf=stock.shelf,
        backroom=stock.backroom,
        reserved=stock.reserved,
        available=stock.available,
    )


def _moved(old: Stock, place: Place, quantity: int) -> Stock:
    level = (old.shelf if place is Place.SHELF else old.backroom) + quantity
    if level < 0:
        raise Conflict("out_of_stock")
    if level > MAX_LEVEL:
        raise Unprocessable(code="quantity_too_large")
    return old.model_copy(update={place.value: level})


def _book(
    change: Change[Moved], desk: Desk, old: Stock, new: Stock, kind: MovementKind, moved: Moved, reason: str | None
) -> None:
    """Stage the new level and the movement that led to it."""
    movement = StockMovement(
        id=new_id("m"),
        sku=new.sku,
        kind=kind,
        quantity=moved.quantity,
        reason=reason,
        moved_at=desk.now,
        moved_by=desk.caller.sub,
    )
    change.tell(moved)
    change.replace(desk.data.stock, old, new)
    change.beside(lambda: desk.data.movements.append(movement))


async def _stream(desk: Desk) -> AsyncIterator[bytes]:
    yield b": watching\n\n"
    async for movement in desk.data.movements.follow(pause_s=desk.backend.heartbeat_s):
        if movement is None:
            yield b": still here\n\n"
        else:
            yield f"id: {movement.id}\nevent: {movement.kind}\ndata: {movement.model_dump_json()}\n\n".encode()
