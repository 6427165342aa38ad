"""The payment service, around payment intents.

An intent is created for an order, then confirmed (the money is taken, the order is paid) or cancelled; of what was
taken, no more can ever be given back. Whether an amount may be given back by this caller has been decided before, on
the very bytes that arrive here.
"""

from typing import Annotated

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from audit.registry.types.payment import IntentCancelled, IntentConfirmed, IntentCreated, RefundIssued, RefundRequested
from roles.security_context import GuardedRoute
from services.desk import AtDesk, Desk
from services.errors import Conflict, Unprocessable
from services.page import DEFAULT_LIMIT, After, Limit, Page, page
from services.records import (
    IntentStatus,
    OrderStatus,
    PaymentIntent,
    PaymentMethod,
    PositiveMinorUnits,
    Refund,
    RefundRequest,
    Text,
    new_id,
)

router = APIRouter(route_class=GuardedRoute)


class NewIntent(BaseModel):
    """How an order is to be paid. Of a card, nothing but its last four digits ever comes here."""

    model_config = ConfigDict(extra="forbid")
    order_id: Annotated[str, Field(max_length=64)]
    method: PaymentMethod
    card_last4: Annotated[str, StringConstraints(pattern=r"^[0-9]{4}$")] | None = None


class WantedRefund(BaseModel):
    """How much is to be given back, and why."""

    model_config = ConfigDict(extra="forbid")
    amount: PositiveMinorUnits
    reason: Text


class RefundsOfIntent(BaseModel):
    """What was given back and what was asked for."""

    refunds: list[Refund]
    requests: list[RefundRequest]


class MethodTotal(BaseModel):
    """What came in and went back by one method, in one currency."""

    method: PaymentMethod
    currency: str
    taken: int
    refunded: int
    count: int


class Report(BaseModel):
    """The books as of now."""

    as_of: AwareDatetime
    totals: list[MethodTotal]


@router.get("/payments/intents")
async def list_intents(desk: AtDesk, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Page[PaymentIntent]:
    """Every payment intent."""
    return page(desk.data.intents, desk.data.intents.all(), limit, after)


@router.get("/payments/report")
async def report(desk: AtDesk) -> Report:
    """What was taken and given back, by method and currency."""
    totals: dict[tuple[PaymentMethod, str], MethodTotal] = {}
    for intent in desk.data.intents.where(lambda row: row.status is IntentStatus.SUCCEEDED):
        key = (intent.method, intent.currency)
        so_far = totals.setdefault(
            key, MethodTotal(method=intent.method, currency=intent.currency, taken=0, refunded=0, count=0)
        )
        so_far.taken += intent.amount
        so_far.refunded += intent.refunded
        so_far.count += 1
    return Report(as_of=desk.now, totals=list(totals.values()))


@router.get("/payments/intents/{intent_id}")
async def read_intent(intent_id: str, desk: AtDesk) -> PaymentIntent:
    """One payment intent."""
    return desk.data.intents.get(intent_id)


@router.post("/payments/intents", status_code=201)
async def create_intent(new: NewIntent, desk: AtDesk) -> PaymentIntent:
    """Begin to take what an order costs."""
    async with desk.changing(IntentCreated) as change:
        order = desk.data.orders.get(new.order_id)
        if order.status is not OrderStatus.PLACED:
            raise Conflict(f"order_{order.status}")
        if order.total == 0:
            raise Conflict("nothing_to_pay")
        if desk.data.intents.where(
            lambda row: row.order_id == order.id and row.status is IntentStatus.REQUIRES_CONFIRMATION
        ):
            raise Conflict("intent_open")
        if (new.method is PaymentMethod.CARD) != (new.card_last4 is not None):
            raise Unprocessable(code="card_mismatch")
        intent = PaymentIntent(
            id=new_id("pi"),
            order_id=order.id,
            amount=order.total,
            currency=order.currency,
            method=new.method,
            status=IntentStatus.REQUIRES_CONFIRMATION,
            card_last4=new.card_last4,
            created_at=desk.now,
        )
        change.create(desk.data.intents, intent)
    return intent


@router.post("/payments/intents/{intent_id}/confirm")
async def confirm_intent(intent_id: str, desk: AtDesk) -> PaymentIntent:
    """Take the money. The order is paid with it."""
    async with desk.changing(IntentConfirmed, intent_id) as change:
        old = _in_status(desk, intent_id, IntentStatus.REQUIRES_CONFIRMATION)
        order = desk.data.orders.get(old.order_id)
        if order.status is not OrderStatus.PLACED:
            raise Conflict(f"order_{order.status}")
        if order.total != old.amount:
            raise Conflict("order_changed")
        new = old.model_copy(update={"status": IntentStatus.SUCCEEDED})
        paid = order.model_copy(update={"status": OrderStatus.PAID})
        change.tell(IntentConfirmed(amount=new.amount, currency=new.currency, order_id=order.id))
        change.replace(desk.data.intents, old, new)
        change.beside(lambda: desk.data.orders.put(paid))
    return new


@router.post("/payments/intents/{intent_id}/cancel")
async def cancel_intent(intent_id: str, desk: AtDesk) -> PaymentIntent:
    """Give up an intent before its money was taken."""
    async with desk.changing(IntentCancelled, intent_id) as change:
        old = _in_status(desk, intent_id, IntentStatus.REQUIRES_CONFIRMATION)
        new = old.model_copy(update={"status": IntentStatus.CANCELLED})
        change.replace(desk.data.intents, old, new)
    return new


@router.get("/payments/intents/{intent_id}/refunds")
async def list_refunds(intent_id: str, desk: AtDesk) -> RefundsOfIntent:
    """What was given back of a payment, and what was asked to be."""
    intent = desk.data.intents.get(intent_id)
    return RefundsOfIntent(
        refunds=list(desk.data.refunds.where(lambda row: row.intent_id == intent.id)),
        requests=list(desk.data.refund_requests.where(lambda row: row.intent_id == intent.id)),
    )


@router.post("/payments/intents/{intent_id}/refunds", status_code=201)
async def issue_refund(intent_id: str, wanted: WantedRefund, desk: AtDesk) -> Refund:
    """Give money back."""
    async with desk.changing(RefundIssued, intent_id) as change:
        change.details["amount"] = wanted.amount
        old = _refundable(desk, intent_id, wanted.amount)
        new = old.model_copy(update={"refunded": old.refunded + wanted.amount})
        refund = Refund(
            id=new_id("r"),
            intent_id=old.id,
            amount=wanted.amount,
            reason=wanted.reason,
            issued_at=desk.now,
            issued_by=desk.caller.sub,
        )
        change.tell(RefundIssued(amount=refund.amount, currency=old.currency, refund_id=refund.id))
        change.replace(desk.data.intents, old, new)
        change.beside(lambda: desk.data.refunds.put(refund))
    return refund


@router.post("/payments/intents/{intent_id}/refund-requests", status_code=201)
async def request_refund(intent_id: str, wanted: WantedRefund, desk: AtDesk) -> RefundRequest:
    """Ask for money to be given back by somebody who may."""
    async with desk.changing(RefundRequested, intent_id) as change:
        intent = _refundable(desk, intent_id, wanted.amount)
        request = RefundRequest(
            id=new_id("rr"),
            intent_id=intent.id,
            amount=wanted.amount,
            reason=wanted.reason,
            opened_at=desk.now,
            opened_by=desk.caller.sub,
        )
        change.tell(RefundRequested(request_id=request.id))
        change.create(desk.data.refund_requests, request)
    return request


def _in_status(desk: Desk, intent_id: str, allowed: IntentStatus) -> PaymentIntent:
    intent = desk.data.intents.get(intent_id)
    if intent.status is not allowed:
        raise Conflict(f"intent_{intent.status}")
    return intent


def _refundable(desk: Desk, intent_id: str, amount: int) -> PaymentIntent:
    intent = _in_status(desk, intent_id, IntentStatus.SUCCEEDED)
    # INVARIANT: the sum of refunds never exceeds what was taken
    if intent.refunded + amount > intent.amount:
        raise Conflict("more_than_was_paid")
    return intent
