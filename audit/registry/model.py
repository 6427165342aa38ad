"""The registry as values: each type of event, each field of its `details`, and the words for them. Pure."""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from audit.event import Kind, Phase, Severity

NAME: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*){2}")
"""`service.subject.past_fact`."""
FIELD: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
VERSION: Final = re.compile(r"\d{1,4}\.\d{1,4}\.\d{1,4}")
_IRREGULAR: Final = frozenset(
    [
        "beaten",
        "become",
        "begun",
        "bent",
        "bitten",
        "blown",
        "born",
        "bought",
        "bound",
        "bred",
        "broken",
        "brought",
        "built",
        "burnt",
        "cast",
        "caught",
        "chosen",
        "come",
        "cut",
        "dealt",
        "done",
        "drawn",
        "driven",
        "drunk",
        "dug",
        "eaten",
        "fallen",
        "felt",
        "flown",
        "forbidden",
        "forgiven",
        "forgotten",
        "fought",
        "found",
        "frozen",
        "given",
        "gone",
        "grown",
        "heard",
        "held",
        "hidden",
        "hit",
        "hung",
        "kept",
        "known",
        "laid",
        "lapsed",
        "led",
        "left",
        "lent",
        "lit",
        "lost",
        "made",
        "meant",
        "met",
        "mistaken",
        "offset",
        "outrun",
        "overdrawn",
        "overrun",
        "overwritten",
        "paid",
        "proven",
        "put",
        "quit",
        "read",
        "rebuilt",
        "redone",
        "repaid",
        "rerun",
        "resent",
        "reset",
        "retaken",
        "rewritten",
        "ridden",
        "risen",
        "rung",
        "run",
        "said",
        "seen",
        "sent",
        "set",
        "sewn",
        "shaken",
        "shed",
        "shot",
        "shown",
        "shrunk",
        "shut",
        "slid",
        "sold",
        "sought",
        "spent",
        "split",
        "spread",
        "stolen",
        "struck",
        "stuck",
        "sung",
        "sunk",
        "swept",
        "sworn",
        "taken",
        "taught",
        "thrown",
        "told",
        "torn",
        "understood",
        "undertaken",
        "undone",
        "unpaid",
        "unsent",
        "upheld",
        "withdrawn",
        "withheld",
        "woken",
        "won",
        "worn",
        "wound",
        "written",
    ]
)
_NOT_PAST: Final = frozenset({"bed", "embed", "exceed", "feed", "indeed", "need", "proceed", "red", "seed", "speed",
                              "succeed", "weed"})  # fmt: skip


class FieldType(StrEnum):
    """What a field holds."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    TIME = "time"
    """RFC 3339, UTC, microseconds, `Z`."""
    RANGE = "range"
    """A pair of integers, first and last; inside a list only."""
    LIST = "list"
    OBJECT = "object"
    """Any object: what is in it nobody checks, so it is for what has its shape elsewhere."""


class Field(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One field of an event's `details`.

    Attributes:
        type: What it holds.
        says: What it means, in a sentence.
        of: Of a list, what its elements are.
        required: Whether every success says it; a failure may have ended before there was anything to say.
        enum: The words it may be; empty for any. Readers may count on there being no others, unless it is `open`.
        open: Whether words may be added later, so that readers must be ready for one they do not know.
        max_length: Characters of a text, or of each text of a list.
        max_items: Elements of a list.
        minimum: The least number.
        maximum: The greatest number.
        unit: What is counted; no unit where the field's name says it.
        data_class: The redaction class of personal data; written `class`.
        since: The release that has it first, where that is not its type's.
    """

    type: FieldType
    says: str
    of: FieldType | None = None
    required: bool = False
    enum: tuple[str, ...] = ()
    open: bool = False
    max_length: int | None = None
    max_items: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    unit: str | None = None
    data_class: str | None = msgspec.field(default=None, name="class")
    since: str | None = None


class EventType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One type of event.

    Attributes:
        since: The release that has it first.
        says: What happened, in a sentence.
        kind: What sort of thing happened.
        actions: The Cedar actions it happens under; the first is the typed class's. Empty: any, or none.
        resource: The Cedar type of what it happens to; None: any, or none.
        crud: Of a success; empty where it is not said. `x`, neither, may always be said: producers guess it from the
            action's verb, and that is what they say where they cannot.
        severity: Of a success; the first is the typed class's. Empty where there is no success to tell of.
        failure: Of a failure. Domain events have `notice` (refused) and `error` (failed) unless said.
        phases: Which records there are of it.
        odd_name: Why its name is not `service.subject.past_fact`, where it is not.
        retired: The release that emits it no longer; it stays registered, because readers meet old events.
        class_name: Of the typed class, where the name's own would be taken; written `class`.
        details: Its fields, without the common ones of its kind.
        changes: Values that change and are personal: the first step of the path, and its redaction class.
    """

    since: str
    says: str
    kind: Kind = Kind.DOMAIN
    actions: tuple[str, ...] = ()
    resource: str | None = None
    crud: tuple[str, ...] = ()
    severity: tuple[Severity, ...] = (Severity.INFO,)
    failure: tuple[Severity, ...] = (Severity.NOTICE, Severity.ERROR)
    phases: tuple[Phase, ...] = (Phase.SINGLE,)
    odd_name: str | None = None
    retired: str | None = None
    class_name: str | None = msgspec.field(default=None, name="class")
    details: dict[str, Field] = {}
    changes: dict[str, str] = {}

    @property
    def severities(self) -> tuple[Severity, ...]:
        """Every severity it may have, least grave first."""
        return tuple(severity for severity in Severity if severity in {*self.severity, *self.failure})

    @property
    def required(self) -> frozenset[str]:
        """The fields that every success has."""
        return frozenset(name for name, field in self.details.items() if field.required)


class Registry(msgspec.Struct, frozen=True, kw_only=True):
    """Every type there is, in the order of its file.

    Attributes:
        types: By name.
        common: What every event of a kind may say besides, by kind.
        places: File and line of each type's entry, by name.
    """

    types: Mapping[str, EventType]
    common: Mapping[Kind, Mapping[str, Field]] = {}
    places: Mapping[str, tuple[str, int]] = {}

    def fields(self, name: str) -> dict[str, Field]:
        """All that events of a type may have in `details`, the common fields of its kind among them."""
        found = self.types[name]
        return {**found.details, **self.common.get(found.kind, {})}


def is_past(word: str) -> bool:
    """Whether the last part of a name reads as something that has happened: one of its words is a participle."""
    parts = word.split("_")
    return any((part.endswith("ed") and part not in _NOT_PAST) or part in _IRREGULAR for part in parts)


def class_name(name: str, entry: EventType) -> str:
    """The name of a type's class: `order.order.cancelled` is `OrderCancelled`, of the module of its service."""
    if entry.class_name is not None:
        return entry.class_name
    _, _, rest = name.partition(".")
    return "".join(part.capitalize() for part in re.split(r"[._]", rest))
