"""Events of `loyalty`. Generated from the registry of event types: change it there."""

from typing import ClassVar, Literal, TypeAlias

from audit.registry.typed import TypedEvent


class AccountEnrolled(TypedEvent, frozen=True):
    """A customer became a member."""

    event_type: ClassVar[str] = "loyalty.account.enrolled"
    action: ClassVar[str | None] = "loyalty:enrol"
    resource_type: ClassVar[str | None] = "LoyaltyAccount"
    crud: ClassVar[str | None] = "c"


class PointsEarned(TypedEvent, frozen=True, kw_only=True):
    """The points of a purchase were booked.

    Attributes:
        points: How many, negative where they were taken; in points.
    """

    event_type: ClassVar[str] = "loyalty.points.earned"
    action: ClassVar[str | None] = "loyalty:earn"
    resource_type: ClassVar[str | None] = "LoyaltyAccount"
    crud: ClassVar[str | None] = "u"
    points: int


class PointsRedeemed(TypedEvent, frozen=True, kw_only=True):
    """Points were given for a reward.

    Attributes:
        points: How many, negative where they were taken; in points.
    """

    event_type: ClassVar[str] = "loyalty.points.redeemed"
    action: ClassVar[str | None] = "loyalty:redeem"
    resource_type: ClassVar[str | None] = "LoyaltyAccount"
    crud: ClassVar[str | None] = "u"
    points: int


class PointsAdjusted(TypedEvent, frozen=True, kw_only=True):
    """Points were put right by hand.

    Attributes:
        points: How many, negative where they were taken; in points.
    """

    event_type: ClassVar[str] = "loyalty.points.adjusted"
    action: ClassVar[str | None] = "loyalty:adjust"
    resource_type: ClassVar[str | None] = "LoyaltyAccount"
    crud: ClassVar[str | None] = "u"
    points: int


class AccountClosed(TypedEvent, frozen=True, kw_only=True):
    """A membership ended.

    Attributes:
        points_forfeited: What points were left; in points; from 0.
    """

    event_type: ClassVar[str] = "loyalty.account.closed"
    action: ClassVar[str | None] = "loyalty:close"
    resource_type: ClassVar[str | None] = "LoyaltyAccount"
    crud: ClassVar[str | None] = "d"
    points_forfeited: int


EventName: TypeAlias = Literal[
    "loyalty.account.enrolled",
    "loyalty.points.earned",
    "loyalty.points.redeemed",
    "loyalty.points.adjusted",
    "loyalty.account.closed",
]
"""Every name of an event here, for who passes names along."""
