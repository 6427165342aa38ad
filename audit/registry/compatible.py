"""What a registry may no longer say of an event that was released. Pure.

Two promises are kept (ADR 0203). An event of any release is valid under the schema of every later one, because the
store keeps events for as long as retention says, and a hold for longer. And a reader made for one release is not
misled by an event of a later one: it may meet types and fields it does not know, and passes over them, but what it
knows means what it meant.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import NamedTuple

from audit.registry.model import EventType, Field, Registry


class Rule(StrEnum):
    """What can be broken."""

    TYPE_REMOVED = "type-removed"
    KIND_CHANGED = "kind-changed"
    SEVERITY_CHANGED = "severity-changed"
    ACTION_CHANGED = "action-changed"
    RESOURCE_CHANGED = "resource-changed"
    CRUD_CHANGED = "crud-changed"
    PHASE_CHANGED = "phase-changed"
    SINCE_CHANGED = "since-changed"
    FIELD_REMOVED = "field-removed"
    FIELD_ADDED_REQUIRED = "field-added-required"
    FIELD_NOW_REQUIRED = "field-now-required"
    FIELD_NOW_OPTIONAL = "field-now-optional"
    FIELD_RETYPED = "field-retyped"
    FIELD_UNIT_CHANGED = "field-unit-changed"
    FIELD_NARROWED = "field-narrowed"
    ENUM_NARROWED = "enum-narrowed"
    ENUM_WIDENED = "enum-widened"
    CLASS_LOOSENED = "class-loosened"


class Break(NamedTuple):
    """A promise that is broken.

    Attributes:
        rule: Which.
        event_type: Of what.
        reason: In what way.
    """

    rule: Rule
    event_type: str
    reason: str


def breaks(released: Registry, now: Registry) -> Iterator[Break]:
    """What the registry as it is breaks of one that was released; in the order of the released one.

    Args:
        released: As its readers know it.
        now: As it is to be.
    """
    for name, before in released.types.items():
        after = now.types.get(name)
        if after is None:
            yield Break(Rule.TYPE_REMOVED, name, "is gone; readers meet its events until the last is purged")
            continue
        for rule, reason in _of_type(before, after):
            yield Break(rule, name, reason)
        old, new = released.fields(name), now.fields(name)
        for rule, reason in _of_fields(old, new):
            yield Break(rule, name, reason)
        for step, data_class in before.changes.items():
            if after.changes.get(step) != data_class:
                yield Break(Rule.CLASS_LOOSENED, name, f"changes: `{step}` was of class `{data_class}`")


def _of_type(before: EventType, after: EventType) -> Iterator[tuple[Rule, str]]:
    if before.kind is not after.kind:
        yield Rule.KIND_CHANGED, f"was `{before.kind}`, is `{after.kind}`"
    for said, old, new in (
        ("a success", before.severity, after.severity),
        ("a failure", before.failure, after.failure),
    ):
        if old[:1] != new[:1] or not set(old) <= set(new):
            yield Rule.SEVERITY_CHANGED, f"{said} was {_listed(old)}, is {_listed(new)}"
    if before.actions and (before.actions[:1] != after.actions[:1] or not set(before.actions) <= set(after.actions)):
        yield Rule.ACTION_CHANGED, f"was {_listed(before.actions)}, is {_listed(after.actions)}"
    if not before.actions and after.actions:
        yield Rule.ACTION_CHANGED, f"was any, is {_listed(after.actions)}"
    if before.resource != after.resource:
        yield Rule.RESOURCE_CHANGED, f"was `{before.resource or 'any'}`, is `{after.resource or 'any'}`"
    if set(before.crud) != set(after.crud):
        yield Rule.CRUD_CHANGED, f"was {_listed(before.crud)}, is {_listed(after.crud)}"
    if set(before.phases) != set(after.phases):
        yield Rule.PHASE_CHANGED, f"was {_listed(before.phases)}, is {_listed(after.phases)}"
    if before.since != after.since:
        yield Rule.SINCE_CHANGED, f"was first in {before.since}, which no later release can change"


def _of_fields(before: Mapping[str, Field], after: Mapping[str, Field]) -> Iterator[tuple[Rule, str]]:
    for name, old in before.items():
        new = after.get(name)
        if new is None:
            added = sorted(after.keys() - before.keys())
            hint = f"; renaming it to `{added[0]}` is no way out: keep both" if len(added) == 1 else ""
            yield Rule.FIELD_REMOVED, f"`{name}` is gone{hint}"
            continue
        for rule, reason in _of_field(old, new):
            yield rule, f"`{name}` {reason}"
    for name in after.keys() - before.keys():
        if after[name].required:
            yield Rule.FIELD_ADDED_REQUIRED, f"`{name}` is required, and events that were released do not have it"


def _of_field(old: Field, new: Field) -> Iterator[tuple[Rule, str]]:
    if (old.type, old.of) != (new.type, new.of):
        yield Rule.FIELD_RETYPED, f"was {_typed(old)}, is {_typed(new)}"
        return
    if new.required and not old.required:
        yield Rule.FIELD_NOW_REQUIRED, "was optional, and events that were released may not have it"
    if old.required and not new.required:
        yield Rule.FIELD_NOW_OPTIONAL, "was required, and readers count on it"
    if old.unit != new.unit:
        yield Rule.FIELD_UNIT_CHANGED, f"was in {old.unit or 'no unit'}, is in {new.unit or 'no unit'}"
    yield from _of_words(old, new)
    for word, was, is_ in _bounds(old, new):
        yield Rule.FIELD_NARROWED, f"{word} was {'none' if was is None else was}, is {is_}"
    if old.data_class is not None and new.data_class != old.data_class:
        yield Rule.CLASS_LOOSENED, f"was of class `{old.data_class}`, is of {_class(new)}"


def _of_words(old: Field, new: Field) -> Iterator[tuple[Rule, str]]:
    gone = set(old.enum) - set(new.enum)
    if (gone and new.enum) or (new.enum and not old.enum):
        yield Rule.ENUM_NARROWED, f"may no longer be {_listed(sorted(gone)) if gone else 'any text'}"
    elif old.enum and old.open and new.enum and not new.open:
        yield Rule.ENUM_NARROWED, "was `open`, and events that were released may have other words"
    come = set(new.enum) - set(old.enum)
    if old.enum and not old.open and (come or not new.enum or new.open):
        what = _listed(sorted(come)) if come else "any text"
        yield Rule.ENUM_WIDENED, f"may be {what} now, and its readers were told of no other words: it is not `open`"


def _bounds(old: Field, new: Field) -> Iterator[tuple[str, int | None, int]]:
    """Bounds that let less in than before."""
    uppers = (
        ("max_length", _longest(old), new.max_length),
        ("max_items", old.max_items, new.max_items),
        ("maximum", old.maximum, new.maximum),
    )
    for word, was, is_ in uppers:
        if is_ is not None and (was is None or is_ < was):
            yield word, was, is_
    if new.minimum is not None and (old.minimum is None or new.minimum > old.minimum):
        yield "minimum", old.minimum, new.minimum


def _longest(field: Field) -> int | None:
    """How long a text may be; None for any length. A closed list's words say so themselves."""
    return max(map(len, field.enum)) if field.enum and not field.open else field.max_length


def _typed(field: Field) -> str:
    return f"{field.type} of {field.of}" if field.of is not None else field.type.value


def _class(field: Field) -> str:
    return "none" if field.data_class is None else f"`{field.data_class}`"


def _listed(words: "tuple[str, ...] | list[str]") -> str:
    return ", ".join(f"`{word}`" for word in words) or "none"
