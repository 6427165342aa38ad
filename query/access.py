"""Who may see how much of the audit: Cedar's word, for every request anew. Pure but for the engine it asks.

A reader must first be allowed to ask at all (`audit:read`); then the fullest view that Cedar allows is theirs. No role
is named here: what a role may see stands in `policies/audit.cedar`, which roles there are in the catalogue.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

import msgspec

from audit.event import NO_TENANT
from policies.model import Answer, Entity, EntityUid, Question
from query.errors import Refused
from roles.catalogue import Catalogue
from roles.entities import principal_entities
from roles.missing import missing_role
from roles.model import Principal

READ: Final = "audit:read"
RESOURCE_TYPE: Final = "AuditLog"


class View(StrEnum):
    """How much a reader sees, fullest first."""

    FULL = "full"
    MASKED = "masked"
    OWN = "own"

    @property
    def action(self) -> str:
        """The Cedar action that gives this view."""
        return f"audit:view_{self.value}"


class Own(NamedTuple):
    """Whose rows are somebody's own: the issuer's configured name and its name for them, as actors are recorded."""

    issuer: str
    sub: str


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows a reader may see at all.

    Attributes:
        session_tenant: What row-level security is told: the floor under everything below.
        tenants: Whose rows are asked for.
        actor: The reader, where they see only their own rows.
    """

    session_tenant: str
    tenants: tuple[str, ...]
    actor: Own | None = None


@dataclass(frozen=True, slots=True)
class Granted:
    """What a reader may see, and why.

    Attributes:
        view: How much of each row.
        scope: Which rows.
        crosses: Whether they are another tenant's than the reader's own.
        reasons: The policies that gave the view.
    """

    view: View
    scope: Scope
    crosses: bool = False
    reasons: tuple[str, ...] = ()


class Decides(Protocol):
    """Whom we ask: `policies.engine.Engine`."""

    def decide(self, question: Question) -> Answer:
        """Answer one question."""


class Access:
    """Decides which rows a reader gets, and how much of them.

    Args:
        engine: Whom to ask.
        catalogue: The roles; its order decides which one a refusal names as missing.
        platform_tenant: The tenant that also reads what belongs to none.
        cross_tenant: The setting `tenancy.cross_tenant`.
    """

    def __init__(self, engine: Decides, catalogue: Catalogue, *, platform_tenant: str, cross_tenant: bool) -> None:
        self._engine = engine
        self._catalogue = catalogue
        self._platform = platform_tenant
        self._cross_tenant = cross_tenant

    def grant(self, reader: Principal, tenant: str | None, include_redacted: bool | None, now: datetime) -> Granted:
        """The rows and the view a reader gets.

        Args:
            reader: Who asks, as the security context vouches for them.
            tenant: The tenant whose events are wanted, where the query names one.
            include_redacted: True asks for the full view, False for the masked one, None for the reader's own.
            now: When the request was taken up, UTC.

        Raises:
            Refused: `tenant_mismatch` for a tenant that is not theirs; else `forbidden`, with the least role that
                would have been enough.
        """
        own = reader.tenant_id
        target = own if tenant is None else tenant
        at_home = target == own or (target == NO_TENANT and own == self._platform)
        if not at_home and not (self._cross_tenant and self._catalogue.any_cross_tenant(reader.roles)):
            raise Refused(code="tenant_mismatch")

        wanted = (View.FULL,) if include_redacted else tuple(View)
        question = self._question(reader, target, now)
        view, answer = self._fullest(question, wanted)
        if not answer.allows and not at_home:
            raise Refused(code="tenant_mismatch")
        if not answer.allows:
            raise Refused(missing_role=self._missing(question, reader, wanted))

        tenants: tuple[str, ...] = (target,)
        if tenant is None and own == self._platform:  # what belongs to nobody is the platform's to read, unasked
            unbooked, also = self._fullest(self._question(reader, NO_TENANT, now), wanted)
            tenants = (own, NO_TENANT) if also.allows and unbooked is view else tenants
        if include_redacted is False and view is View.FULL:
            view = View.MASKED  # whoever may see everything may also look at it masked
        scope = Scope(own if at_home else target, tenants, Own(reader.issuer, reader.sub) if view is View.OWN else None)
        return Granted(view, scope, crosses=not at_home, reasons=answer.reasons)

    def _fullest(self, question: Question, wanted: tuple[View, ...]) -> tuple[View, Answer]:
        """The first wanted view that is allowed, or the last one asked for with its deny."""
        view, answer = wanted[0], self._engine.decide(msgspec.structs.replace(question, action=READ))
        if not answer.allows:
            return view, answer
        for view in wanted:
            answer = self._engine.decide(msgspec.structs.replace(question, action=view.action))
            if answer.allows:
                break
        return view, answer

    def _missing(self, question: Question, reader: Principal, wanted: tuple[View, ...]) -> str | None:
        """The least role that would have been enough for the whole way, not for its first step alone."""
        return missing_role(question, reader, self._catalogue, lambda richer: self._fullest(richer, wanted)[1])

    def _question(self, reader: Principal, target: str, now: datetime) -> Question:
        """About one reader and one log; `_fullest` puts the action in."""
        uid = EntityUid(RESOURCE_TYPE, target)
        owner = self._platform if target == NO_TENANT else target
        return Question(
            principal=reader.uid,
            action=READ,
            resource=uid,
            context={
                "now": {"__extn": {"fn": "datetime", "arg": _cedar_time(now)}},
                "cross_tenant": self._cross_tenant,
            },
            entities=(*principal_entities(reader, self._catalogue), Entity(uid, {"tenant": owner})),
        )


def _cedar_time(now: datetime) -> str:
    """As Cedar's `datetime` wants it: UTC, milliseconds, `Z`."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
