"""The loyalty service: members, their points, and the ledger that explains them."""

from typing import Annotated, TypeVar

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from audit.registry.types.loyalty import AccountClosed, AccountEnrolled, PointsAdjusted, PointsEarned, PointsRedeemed
from roles.security_context import GuardedRoute
from services.change import Change
from services.desk import AtDesk, Desk
from services.errors import Conflict
from services.page import DEFAULT_LIMIT, After, Limit, Page, page
from services.records import LoyaltyAccount, LoyaltyEntry, PositiveMinorUnits, Text, Tier, new_id

router = APIRouter(route_class=GuardedRoute)

Booked = TypeVar("Booked", PointsEarned, PointsRedeemed, PointsAdjusted)
"""What moves points."""

SPENT_PER_POINT = 100
"""Minor units that earn one point."""
TIERS = ((Tier.PLATINUM, 10_000), (Tier.GOLD, 4_000), (Tier.SILVER, 1_000), (Tier.BRONZE, 0))
"""The least points of each tier, from the top."""


class Enrolment(BaseModel):
    """Who becomes a member."""

    model_config = ConfigDict(extra="forbid")
    customer_id: Annotated[str, Field(max_length=64)]


class Purchase(BaseModel):
    """What points are earned on."""

    model_config = ConfigDict(extra="forbid")
    order_id: Annotated[str, Field(max_length=64)]
    spent: PositiveMinorUnits


class Redemption(BaseModel):
    """Points given for a reward."""

    model_config = ConfigDict(extra="forbid")
    points: Annotated[int, Field(ge=1, le=1_000_000)]
    reward: Text


class Correction(BaseModel):
    """Points put right by hand; how many by whom is the policies' business."""

    model_config = ConfigDict(extra="forbid")
    points: Annotated[int, Field(ge=-1_000_000, le=1_000_000)]
    reason: Text


@router.get("/loyalty/accounts")
async def list_accounts(desk: AtDesk, limit: Limit = DEFAULT_LIMIT, after: After = None) -> Page[LoyaltyAccount]:
    """Every member."""
    return page(desk.data.accounts, desk.data.accounts.all(), limit, after)


@router.get("/loyalty/accounts/{account_id}")
async def read_account(account_id: str, desk: AtDesk) -> LoyaltyAccount:
    """One member's standing."""
    return desk.data.accounts.get(account_id)


@router.get("/loyalty/accounts/{account_id}/history")
async def read_history(account_id: str, desk: AtDesk) -> list[LoyaltyEntry]:
    """How a member's points came about, oldest first."""
    account = desk.data.accounts.get(account_id)
    return list(desk.data.ledger.where(lambda entry: entry.account_id == account.id))


@router.post("/loyalty/accounts", status_code=201)
async def enrol(enrolment: Enrolment, desk: AtDesk) -> LoyaltyAccount:
    """Make a customer a member."""
    async with desk.changing(AccountEnrolled) as change:
        customer = desk.data.customers.get(enrolment.customer_id)
        if desk.data.accounts.where(lambda row: row.customer_id == customer.id):
            raise Conflict("already_enrolled")
        account = LoyaltyAccount(
            id=new_id("l"), customer_id=customer.id, tier=Tier.BRONZE, points=0, enrolled_at=desk.now
        )
        change.create(desk.data.accounts, account)
    return account


@router.post("/loyalty/accounts/{account_id}/earn")
async def earn(account_id: str, purchase: Purchase, desk: AtDesk) -> LoyaltyAccount:
    """Book the points of a purchase, once an order."""
    async with desk.changing(PointsEarned, account_id) as change:
        account = desk.data.accounts.get(account_id)
        order = desk.data.orders.get(purchase.order_id)
        if purchase.spent > order.total:
            raise Conflict("more_than_the_order")
        if desk.data.ledger.where(lambda entry: entry.account_id == account.id and entry.order_id == order.id):
            raise Conflict("already_earned")
        return _book(
            change, desk, account, PointsEarned(points=purchase.spent // SPENT_PER_POINT), "purchase", order.id
        )


@router.post("/loyalty/accounts/{account_id}/redeem")
async def redeem(account_id: str, redemption: Redemption, desk: AtDesk) -> LoyaltyAccount:
    """Give points for a reward."""
    async with desk.changing(PointsRedeemed, account_id) as change:
        account = desk.data.accounts.get(account_id)
        return _book(change, desk, account, PointsRedeemed(points=-redemption.points), redemption.reward, None)


@router.post("/loyalty/accounts/{account_id}/adjust")
async def adjust(account_id: str, correction: Correction, desk: AtDesk) -> LoyaltyAccount:
    """Put points right."""
    async with desk.changing(PointsAdjusted, account_id) as change:
        account = desk.data.accounts.get(account_id)
        return _book(change, desk, account, PointsAdjusted(points=correction.points), correction.reason, None)


@router.delete("/loyalty/accounts/{account_id}")
async def close(account_id: str, desk: AtDesk) -> LoyaltyAccount:
    """End a membership; what points are left go with it."""
    async with desk.changing(AccountClosed, account_id) as change:
        account = desk.data.accounts.get(account_id)
        change.tell(AccountClosed(points_forfeited=account.points))
        change.delete(desk.data.accounts, account)
    return account


def _book(
    change: Change[Booked], desk: Desk, account: LoyaltyAccount, booked: Booked, reason: str, order_id: str | None
) -> LoyaltyAccount:
    """Stage the entry in the ledger and the account that follows from it."""
    balance = account.points + booked.points
    if balance < 0:
        raise Conflict("too_few_points")
    tier = next(tier for tier, least in TIERS if balance >= least)
    new = account.model_copy(update={"points": balance, "tier": tier})
    entry = LoyaltyEntry(
        id=new_id("le"),
        account_id=account.id,
        points=booked.points,
        reason=reason,
        order_id=order_id,
        booked_at=desk.now,
        booked_by=desk.caller.sub,
    )
    change.tell(booked)
    change.replace(desk.data.accounts, account, new)
    change.beside(lambda: desk.data.ledger.put(entry))
    return new
