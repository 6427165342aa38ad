"""What the supervisor and the shadow's process say to each other, over a `gateway.control.Channel`.

The first frame is `Load`; each `Load` is answered by `Loaded`, each `Judge` by `Judged`, in order.
"""

from typing import TypeAlias

import msgspec

from gateway.sources import SourceFile


class Load(msgspec.Struct, frozen=True, tag="load"):
    """Decide by these policies from now on.

    Attributes:
        policies: The candidate's files.
        schema: Its schema.
        live_schema: The schema under which decisions are recorded.
        roles: The names of the role catalogue.
        strict: Whether any policy error denies.
    """

    policies: tuple[SourceFile, ...]
    schema: SourceFile
    live_schema: SourceFile
    roles: tuple[str, ...]
    strict: bool


class Judge(msgspec.Struct, frozen=True, tag="judge"):
    """Decide again what these records tell of."""

    records: tuple[bytes, ...]


ToShadow: TypeAlias = Load | Judge


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    """The answer to `Load`.

    Attributes:
        version: Of the candidate; empty when there was a problem, and then nothing is decided.
        actions: Those its schema declares.
        problem: Why it cannot be used, with file, line and reason; empty when it can.
    """

    version: str
    actions: tuple[str, ...] = ()
    problem: str = ""


class Divergence(msgspec.Struct, frozen=True, gc=False):
    """A decision that the candidate would have made otherwise.

    Attributes:
        event_id: The decision's.
        tenant_id: To which it is booked.
        action: What was asked for.
        kind: `newly_allowed`, `newly_denied` or `reasons`.
        live_effect: What was answered.
        live_reasons: The policies that decided.
        live_version: Of their set.
        shadow_effect: What the candidate answers.
        shadow_reasons: By which of its policies.
    """

    event_id: str
    tenant_id: str
    action: str
    kind: str
    live_effect: str
    live_reasons: tuple[str, ...]
    live_version: str
    shadow_effect: str
    shadow_reasons: tuple[str, ...]


class Judged(msgspec.Struct, frozen=True, tag="judged"):
    """The answer to `Judge`.

    Attributes:
        same: Decisions that came out as they were.
        undecidable: Those that cannot be made again, by reason.
        diverged: Those that came out otherwise.
    """

    same: int = 0
    undecidable: dict[str, int] = {}
    diverged: tuple[Divergence, ...] = ()


FromShadow: TypeAlias = Loaded | Judged
