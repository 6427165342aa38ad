"""The product service: the assortment, its prices, and the public catalogue."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, ValidationError

from audit.registry.types.product import (
    AssortmentExported,
    AssortmentImported,
    PriceChanged,
    ProductCreated,
    ProductRetired,
    ProductUpdated,
)
from roles.security_context import GuardedRoute
from services.desk import AtDesk, Desk
from services.errors import Conflict
from services.ndjson import NDJSON, read_lines, written_lines
from services.page import DEFAULT_LIMIT, After, Limit, Page, page
from services.records import Currency, MinorUnits, Product, Sku, Text, new_id

router = APIRouter(route_class=GuardedRoute)

IMPORT_BATCH = 500
"""Rows of a feed that become one change: few records for a long feed, and little held in memory."""

MAX_PROBLEMS = 20


class NewProduct(BaseModel):
    """What it takes to put something on sale."""

    model_config = ConfigDict(extra="forbid")
    sku: Sku
    name: Text
    category: Text
    price: MinorUnits
    currency: Currency


class ProductEdit(BaseModel):
    """What may be altered; a field that is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")
    name: Text | None = None
    category: Text | None = None


class NewPrice(BaseModel):
    """A price in the product's own currency."""

    model_config = ConfigDict(extra="forbid")
    price: MinorUnits


class CatalogueEntry(BaseModel):
    """What the public sees of a product."""

    sku: Sku
    name: Text
    category: Text
    price: MinorUnits
    currency: Currency


class Problem(BaseModel):
    """A line of a feed that was left out."""

    line: int
    reason: str


class ImportReport(BaseModel):
    """What became of a feed; `problems` names the first `MAX_PROBLEMS` of the rejected lines."""

    created: int = 0
    updated: int = 0
    rejected: int = 0
    problems: list[Problem] = []


@router.get("/catalog/{tenant}/products")  # noqa: FAST003 - the gateway reads the tenant; no service parses one
async def browse(desk: AtDesk) -> list[CatalogueEntry]:
    """What is on sale in the shop whose tenant the context names."""
    on_sale = desk.data.products.where(lambda product: product.active)
    return [CatalogueEntry.model_validate(product, from_attributes=True) for product in on_sale]


@router.get("/products")
async def list_products(
    desk: AtDesk,
    category: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = DEFAULT_LIMIT,
    after: After = None,
) -> Page[Product]:
    """The assortment, retired products included."""
    products = desk.data.products
    return page(products, products.where(lambda row: category is None or row.category == category), limit, after)


@router.get("/products/export")
async def export_products(desk: AtDesk) -> StreamingResponse:
    """The whole assortment, one JSON object a line."""
    await desk.noting(AssortmentExported(), "*")
    return StreamingResponse(written_lines(desk.data.products.all()), media_type=NDJSON)


@router.get("/products/{product_id}")
async def read_product(product_id: str, desk: AtDesk) -> Product:
    """One product."""
    return desk.data.products.get(product_id)


@router.post("/products", status_code=201)
async def create_product(new: NewProduct, desk: AtDesk) -> Product:
    """Put something on sale."""
    async with desk.changing(ProductCreated) as change:
        if any(row.sku == new.sku for row in desk.data.products.all()):
            raise Conflict("sku_taken")
        product = Product(id=new_id("p"), **new.model_dump())
        change.create(desk.data.products, product)
    return product


@router.post("/products/import")
async def import_products(request: Request, desk: AtDesk) -> ImportReport:
    """Take in a feed of products, one JSON object a line; a SKU that is there already gets the feed's values.

    A batch is recorded and made at a time: when the feed breaks off, what was taken in before stays, and that it broke
    off is recorded. A feed without a single good row is recorded too.
    """
    report = ImportReport()
    batch: list[NewProduct] = []
    with desk.preparing(AssortmentImported, "*"):
        async for number, line in read_lines(request.stream()):
            try:
                batch.append(NewProduct.model_validate_json(line))
            except ValidationError as invalid:
                report.rejected += 1
                if len(report.problems) < MAX_PROBLEMS:
                    report.problems.append(Problem(line=number, reason=invalid.errors(include_url=False)[0]["msg"]))
            if len(batch) == IMPORT_BATCH:
                await _take_in(batch, report, desk)
                batch.clear()
    await _take_in(batch, report, desk)
    return report


async def _take_in(batch: list[NewProduct], report: ImportReport, desk: Desk) -> None:
    """Make one batch of a feed a change of its own; its record holds counts, not the rows."""
    products = desk.data.products
    async with desk.changing(AssortmentImported, "*") as change:
        known = {row.sku: row for row in products.all()}
        rows: dict[str, Product] = {}
        for new in batch:
            old = known.get(new.sku)
            rows[new.sku] = Product(id=old.id if old else new_id("p"), **new.model_dump())
        change.crud = "c"
        updated = len(known.keys() & rows.keys())
        created = len(rows) - updated
        change.tell(AssortmentImported(rows=len(batch), created=created, updated=updated, rejected=report.rejected))
        for row in rows.values():
            change.beside(partial(products.put, row))
    report.created += created
    report.updated += updated


@router.patch("/products/{product_id}")
async def update_product(product_id: str, edit: ProductEdit, desk: AtDesk) -> Product:
    """Correct a product's description."""
    async with desk.changing(ProductUpdated, product_id) as change:
        old = desk.data.products.get(product_id)
        new = old.model_copy(update=edit.model_dump(exclude_none=True))
        change.replace(desk.data.products, old, new)
    return new


@router.put("/products/{product_id}/price")
async def price_product(product_id: str, wanted: NewPrice, desk: AtDesk) -> Product:
    """Set a product's price; orders already placed keep theirs."""
    async with desk.changing(PriceChanged, product_id) as change:
        old = desk.data.products.get(product_id)
        new = old.model_copy(update={"price": wanted.price})
        change.replace(desk.data.products, old, new)
    return new


@router.delete("/products/{product_id}")
async def retire_product(product_id: str, desk: AtDesk) -> Product:
    """Take a product off sale. It stays readable: orders name it."""
    async with desk.changing(ProductRetired, product_id) as change:
        old = desk.data.products.get(product_id)
        new = old.model_copy(update={"active": False})
        change.replace(desk.data.products, old, new)
    return new
