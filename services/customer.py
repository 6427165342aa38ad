"""The customer service: people, as little of them as each task needs."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from audit.registry.types.customer import (
    ConsentChanged,
    CustomerCreated,
    CustomerErased,
    CustomerExported,
    CustomerUpdated,
)
from roles.security_context import GuardedRoute
from services.desk import AtDesk, Desk
from services.errors import Conflict, Unprocessable
from services.page import DEFAULT_LIMIT, After, Limit, Page, page
from services.records import Customer, Email, LoyaltyAccount, Order, Phone, Text, new_id

router = APIRouter(route_class=GuardedRoute)


class NewCustomer(BaseModel):
    """What is asked of a new customer."""

    model_config = ConfigDict(extra="forbid")
    name: Text
    email: Email
    phone: Phone | None = None
    marketing_consent: bool = False


class CustomerEdit(BaseModel):
    """What may be corrected; a field that is left out stays as it is."""

    model_config = ConfigDict(extra="forbid")
    name: Text | None = None
    email: Email | None = None
    phone: Phone | None = None


class Consent(BaseModel):
    """Whether a customer wants to hear from the shop."""

    model_config = ConfigDict(extra="forbid")
    marketing: bool


class Found(BaseModel):
    """What the till is told of a customer: enough to greet them and to book their points."""

    id: str
    name: str
    loyalty_account_id: str | None


class Dossier(BaseModel):
    """Everything that is held on a person, for that person."""

    customer: Customer
    accounts: list[LoyaltyAccount]
    orders: list[Order]


@router.get("/customers")
async def list_customers(desk: AtDesk, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Page[Customer]:
    """Every customer."""
    return page(desk.data.customers, desk.data.customers.all(), limit, after)


@router.get("/customers/lookup")
async def look_up(
    desk: AtDesk,
    phone: Annotated[str | None, Query(max_length=24)] = None,
    card: Annotated[str | None, Query(max_length=64)] = None,
) -> Found:
    """Find a customer by telephone number or loyalty card, whichever is given."""
    if card is not None and phone is None:
        account = desk.data.accounts.get(card)
        customer = desk.data.customers.get(account.customer_id)
        return Found(id=customer.id, name=customer.name, loyalty_account_id=account.id)
    if phone is None or card is not None:
        raise Unprocessable(code="phone_or_card")
    wanted = _digits(phone)
    customer = desk.data.customers.first(lambda row: row.phone is not None and _digits(row.phone) == wanted)
    accounts = desk.data.accounts.where(lambda row: row.customer_id == customer.id)
    return Found(id=customer.id, name=customer.name, loyalty_account_id=accounts[0].id if accounts else None)


@router.get("/customers/{customer_id}")
async def read_customer(customer_id: str, desk: AtDesk) -> Customer:
    """One customer."""
    return desk.data.customers.get(customer_id)


@router.get("/customers/{customer_id}/export")
async def export_customer(customer_id: str, desk: AtDesk) -> Dossier:
    """Everything that is held on a person."""
    customer = desk.data.customers.get(customer_id)
    await desk.noting(CustomerExported(), customer.id)
    return Dossier(
        customer=customer,
        accounts=list(desk.data.accounts.where(lambda row: row.customer_id == customer.id)),
        orders=list(desk.data.orders.where(lambda row: row.customer_id == customer.id)),
    )


@router.post("/customers", status_code=201)
async def create_customer(new: NewCustomer, desk: AtDesk) -> Customer:
    """Enter a customer."""
    async with desk.changing(CustomerCreated) as change:
        _ensure_free(desk, new.email)
        customer = Customer(id=new_id("c"), since=desk.now, **new.model_dump())
        change.create(desk.data.customers, customer)
    return customer


@router.patch("/customers/{customer_id}")
async def update_customer(customer_id: str, edit: CustomerEdit, desk: AtDesk) -> Customer:
    """Correct what is known of a customer."""
    async with desk.changing(CustomerUpdated, customer_id) as change:
        old = desk.data.customers.get(customer_id)
        if edit.email is not None and edit.email.casefold() != old.email.casefold():
            _ensure_free(desk, edit.email)
        new = old.model_copy(update=edit.model_dump(exclude_none=True))
        change.replace(desk.data.customers, old, new)
    return new


@router.put("/customers/{customer_id}/consent")
async def set_consent(customer_id: str, consent: Consent, desk: AtDesk) -> Customer:
    """Note whether a customer wants to hear from the shop."""
    async with desk.changing(ConsentChanged, customer_id) as change:
        old = desk.data.customers.get(customer_id)
        new = old.model_copy(update={"marketing_consent": consent.marketing})
        change.replace(desk.data.customers, old, new)
    return new


@router.delete("/customers/{customer_id}", status_code=204)
async def erase_customer(customer_id: str, desk: AtDesk) -> None:
    """Forget a person: the customer and their memberships go; their orders stay in the books, without a name.

    The record names the id and nothing of what was known: an audit that kept it would undo the erasure.
    """
    async with desk.changing(CustomerErased, customer_id) as change:
        customer = desk.data.customers.get(customer_id)
        accounts = desk.data.accounts.where(lambda row: row.customer_id == customer.id)
        orders = desk.data.orders.where(lambda row: row.customer_id == customer.id)
        change.tell(CustomerErased(accounts=len(accounts), orders=len(orders)))
        change.crud = "d"
        change.beside(lambda: desk.data.customers.remove(customer))
        for account in accounts:
            change.beside(partial(desk.data.accounts.remove, account))
        for order in orders:
            change.beside(partial(desk.data.orders.put, order.model_copy(update={"customer_id": None})))


def _ensure_free(desk: Desk, email: str) -> None:
    if desk.data.customers.where(lambda row: row.email.casefold() == email.casefold()):
        raise Conflict("email_taken")


def _digits(phone: str) -> str:
    return "".join(character for character in phone if character.isdecimal())
