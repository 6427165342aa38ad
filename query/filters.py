"""The query string, read once: raw bytes in, a `Listing` out, or `BadQuery` with the reason. Pure.

Strict on purpose. An audit query that silently ignores half of what was asked answers another question, and nobody
notices: unknown, repeated and empty parameters are errors, and so is every value that could match nothing.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import parse_qsl

from audit.event import NO_TENANT, Outcome, Severity
from audit.severity import normalise
from query.errors import BadQuery
from roles.model import TENANT_PATTERN, is_tenant

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
MAX_VALUE_CHARS: Final = 512
"""What the store keeps of a value in a typed column (`audit.ingest`): a longer one could match nothing."""

MAX_PARAMETERS: Final = 32

EFFECTS: Final = ("allow", "deny")

Value = TypeVar("Value")

_TRACE = re.compile(r"[0-9a-fA-F]{32}")
_COUNT = re.compile(r"[0-9]{1,3}")
_MOMENT = re.compile(
    r"(?P<date>\d{4}-\d{2}-\d{2})[Tt](?P<time>\d{2}:\d{2}:\d{2})(?:\.(?P<fraction>\d+))?"
    r"(?P<offset>[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
"""RFC 3339 section 5.6. Its leap second `:60` is not taken: PostgreSQL and Python know none."""


class Order(StrEnum):
    """Newest first or oldest first."""

    DESC = "desc"
    ASC = "asc"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events are wanted; a field that is None does not filter.

    Attributes:
        tenant_id: Whose, where it is not the reader's own; `-` for events that belong to no tenant.
        since: The parameter `from`, inclusive, UTC.
        until: The parameter `to`, exclusive, UTC.
        severity: Exactly this one.
        severity_gte: This one or a graver one.
    """

    tenant_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    actor: str | None = None
    action: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None
    service: str | None = None
    decision: str | None = None
    outcome: Outcome | None = None
    severity: Severity | None = None
    severity_gte: Severity | None = None
    trace_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page, as it was asked for.

    Attributes:
        include_redacted: True asks for the full view, False for the masked one, None for the reader's own.
        asked: The parameters as they were sent, without the cursor.
    """

    filter: Filter
    order: Order = Order.DESC
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    include_redacted: bool | None = None
    asked: Mapping[str, str] = field(default_factory=dict, compare=False)


def _text(value: str) -> str:
    if "\x00" in value:
        raise BadQuery("holds a NUL character, which no stored value can")
    if len(value) > MAX_VALUE_CHARS:
        raise BadQuery(f"is longer than {MAX_VALUE_CHARS} characters")
    return value


def _tenant(value: str) -> str:
    if value != NO_TENANT and not is_tenant(value):
        raise BadQuery(f"is not a tenant: `{TENANT_PATTERN}`, or `{NO_TENANT}` for events without one")
    return value


def _trace(value: str) -> str:
    if _TRACE.fullmatch(value) is None:
        raise BadQuery("is not a trace id: 32 hexadecimal digits")
    return value.lower()


def _count(value: str) -> int:
    if _COUNT.fullmatch(value) is None or not 1 <= (count := int(value)) <= MAX_LIMIT:
        raise BadQuery(f"is not a number from 1 to {MAX_LIMIT}")
    return count


def _boolean(value: str) -> bool:
    if value not in {"true", "false"}:
        raise BadQuery("is neither `true` nor `false`")
    return value == "true"


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in words:
            raise BadQuery(f"is not one of {', '.join(words)}")
        return value

    return read


def _severity(value: str) -> Severity:
    try:
        return normalise(value)[0]
    except KeyError as exc:
        raise BadQuery(f"is not a severity: one of {', '.join(Severity)}, or a word that stands for one") from exc


def moment(value: str) -> datetime:
    """An RFC 3339 time with offset, in UTC, rounded up to the store's microseconds.

    Rounding up is what keeps both ends exact: for a stored time `t` on the microsecond grid, `t >= x` and `t < x` say
    the same of `x` and of `x` rounded up to the grid.

    Raises:
        BadQuery: It is none, has no offset, or leaves the years 1 to 9999 on its way to UTC.
    """
    match = _MOMENT.fullmatch(value)
    if match is None:
        hint = "; a `+` must be sent as `%2B`" if " " in value else ""
        raise BadQuery(f"is not an RFC 3339 time with offset, like `2026-11-23T15:00:00Z`{hint}")
    digits = match["fraction"] or ""
    micros = int(digits[:6].ljust(6, "0")) + (1 if digits[6:].strip("0") else 0)
    try:
        whole = datetime.fromisoformat(f"{match['date']}T{match['time']}{match['offset'].upper()}")
        return whole.astimezone(UTC) + timedelta(microseconds=micros)
    except (ValueError, OverflowError) as exc:
        raise BadQuery("is not a time that exists") from exc


_FILTERS: Final[Mapping[str, tuple[str, Callable[[str], object]]]] = {
    "tenant_id": ("tenant_id", _tenant),
    "from": ("since", moment),
    "to": ("until", moment),
    "actor": ("actor", _text),
    "action": ("action", _text),
    "resource_type": ("resource_type", _text),
    "resource_id": ("resource_id", _text),
    "service": ("service", _text),
    "decision": ("decision", _one_of(EFFECTS)),
    "outcome": ("outcome", lambda value: Outcome(_one_of(tuple(Outcome))(value))),
    "severity": ("severity", _severity),
    "severity_gte": ("severity_gte", _severity),
    "trace_id": ("trace_id", _trace),
}
"""Parameter to field of `Filter` and the reading of its value, in the order of the reference page."""

_PAGING: Final[Mapping[str, tuple[str, Callable[[str], object]]]] = {
    "limit": ("limit", _count),
    "cursor": ("cursor", _text),
    "order": ("order", lambda value: Order(_one_of(tuple(Order))(value))),
    "include_redacted": ("include_redacted", _boolean),
}

LISTING: Final = frozenset({*_FILTERS, *_PAGING})
"""The parameters of a list."""

TRACE: Final = frozenset({"tenant_id", *_PAGING})
"""Those of a trace; its own id stands in the path."""

ONE: Final = frozenset({"tenant_id", "include_redacted"})
"""Those of a single event."""


def listing(query: bytes, allowed: frozenset[str] = LISTING, *, order: Order = Order.DESC, **fixed: str) -> Listing:
    """Read a query string.

    Args:
        query: As it came, without the `?`.
        allowed: The parameters this endpoint takes.
        order: What holds when the query names none.
        fixed: Parameters that the path has already said, read like the others.

    Returns:
        What was asked for, every value checked and normalised.

    Raises:
        BadQuery: With a `detail` that names the parameter.
    """
    fields: dict[str, object] = {}
    paging: dict[str, object] = {"order": order}
    pairs = (*_pairs(query, allowed), *fixed.items())
    for name, value in pairs:
        target, (key, read) = (fields, _FILTERS[name]) if name in _FILTERS else (paging, _PAGING[name])
        if not value:
            raise BadQuery(f"`{name}` is empty")
        try:
            target[key] = read(value)
        except BadQuery as exc:
            raise BadQuery(f"`{name}` {exc.detail}") from exc
    wanted = Filter(**fields)  # type: ignore[arg-type]  # the tables above pair each field with a reader of its type
    if wanted.since is not None and wanted.until is not None and wanted.since > wanted.until:
        raise BadQuery("`from` is after `to`")
    asked = {name: value for name, value in pairs if name != "cursor"}
    return Listing(filter=wanted, asked=asked, **paging)  # type: ignore[arg-type]  # as above


def _pairs(query: bytes, allowed: frozenset[str]) -> list[tuple[str, str]]:
    """The parameters in order, percent-decoded strictly: a byte that is no UTF-8 is refused, never replaced."""
    if not query:
        return []
    try:
        pairs = parse_qsl(
            query.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError as exc:  # UnicodeDecodeError among them
        raise BadQuery("the query string is malformed") from exc
    seen: set[str] = set()
    for name, _ in pairs:
        if name not in allowed:
            near = difflib.get_close_matches(name[:64], sorted(allowed), n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise BadQuery(f"unknown parameter `{name[:64]}`{hint}")
        if name in seen:
            raise BadQuery(f"`{name}` is given more than once")
        seen.add(name)
    return pairs
