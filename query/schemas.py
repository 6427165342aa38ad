"""What goes out, for those who read the API's description. The replies themselves are encoded by `msgspec`.

`tests/query/test_routes.py` holds real replies against these models.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Timestamp = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")]
"""RFC 3339, UTC, microseconds, `Z`."""


class Redacted(BaseModel):
    """A field the reader's view hides.

    Attributes:
        path: Where it is; `*` for the whole body, where hiding failed.
        how: `mask`: the value is replaced; `remove`: the field is gone.
        reason: The class it belongs to, or `failed`.
    """

    model_config = ConfigDict(extra="forbid")

    path: str
    how: Literal["mask", "remove"]
    reason: str


class Event(BaseModel):
    """One event; `docs/reference/events.md` has all fields. A decision and its completion are one."""

    model_config = ConfigDict(extra="allow")

    event_id: str
    event_type: str
    kind: str
    tenant_id: str
    occurred_at: Timestamp
    completed_at: Timestamp | None = None
    schema_version: str | None = None
    phase: str | None = None
    outcome: str | None = None
    severity: str | None = None
    actor: dict[str, Any] | str | None = None
    redacted: list[Redacted] = []


class EventPage(BaseModel):
    """A page of events, in the reader's view."""

    model_config = ConfigDict(extra="forbid")

    data: list[Event]
    has_more: bool
    next_cursor: str | None
    complete_through: Timestamp | None


class Refusal(BaseModel):
    """Whatever is answered with 4xx or 5xx; `detail` on a 400 alone."""

    model_config = ConfigDict(extra="forbid")

    code: str
    missing_role: str | None
    trace_id: str
    detail: str | None = None
