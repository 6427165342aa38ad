"""What the linter of events can find: code, severity, meaning and remedy of each kind. The table is the list."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from audit.registry.compatible import Rule
from policies.lint.codes import Kind, Severity


def _error(meaning: str, remedy: str) -> Kind:
    return Kind(Severity.ERROR, meaning, remedy)


def _warning(meaning: str, remedy: str) -> Kind:
    return Kind(Severity.WARNING, meaning, remedy)


RULES: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "unreadable-source": _error(
            "A file cannot be read, is not UTF-8, or is larger than anybody writes by hand.",
            "Save it as UTF-8, or name the folders that are to be looked at.",
        ),
        "source-syntax": _error(
            "A file is not Python of this version, or nests too deep to be read.",
            "Correct it at the place named: what it emits cannot be told.",
        ),
        "registry": _error(
            "The registry of event types is not one.",
            "Correct the entry; what may stand in it is in `docs/guides/event-types.md`.",
        ),
        "event-name": _error(
            "The name of an event is not `service.subject.past_fact`.",
            "Name what has happened: `order.order.cancelled`.",
        ),
        "unknown-event": _error(
            "An event of a type that is not registered.",
            "Correct the name, or register the type with its fields.",
        ),
        "retired-event": _error(
            "An event of a type that is retired.",
            "Emit the type that has taken its place.",
        ),
        "event-untold": _error(
            "Of which type an event is cannot be told without running the code.",
            "Name it by a constant or a typed class.",
        ),
        "unknown-field": _error(
            "A field of `details` that the type does not have.",
            "Correct the name, or register the field.",
        ),
        "missing-field": _error(
            "A field of `details` that every success of the type has is not given.",
            "Give it; if it may be absent, it should not be registered as required.",
        ),
        "field-type": _error(
            "A value of `details` is not what the field holds: another type, an unknown word, out of its bounds.",
            "Give what is registered.",
        ),
        "details-untold": _error(
            "What `details` holds cannot be told without running the code.",
            "Write the fields out, or emit a typed class.",
        ),
        "stale-class": _error(
            "A typed class is not what the registry says.",
            "Generate it again: `lychgate audit types`.",
        ),
        "wrong-severity": _error(
            "A severity that is none of ours, or none of the type's.",
            "Take one of the type's, or register it.",
        ),
        "wrong-envelope": _error(
            "Kind, phase, action, resource type or crud is not the type's.",
            "Say what is registered, or correct the entry.",
        ),
        "secret-field": _error(
            "A field of `details` has the name of a secret; it would be taken out before the event is written.",
            "Leave it out; tell an id or a fingerprint where one is needed.",
        ),
        "secret-value": _error(
            "A value comes from what is named like a secret, and nothing would recognise it where it goes.",
            "Leave it out; tell an id, a length or a fingerprint.",
        ),
        "secret-change": _error(
            "A change tells the values of a secret.",
            "Tell that it changed in a field of `details`, without its values.",
        ),
        "whole-object": _error(
            "A whole body, head, form, environment or object goes into an event, whatever it holds.",
            "Name the fields one by one.",
        ),
        "exception-text": _error(
            "The text of an exception goes into an event; messages carry values.",
            "Tell its class or its code: `type(exc).__name__`.",
        ),
        "never-emitted": _error(
            "A registered type that nothing here emits.",
            "Emit it, mark it `retired`, or take it out before it is released.",
        ),
        "bad-ignore": _error(
            "A comment that should silence a finding cannot: no reason, or a rule that is not there.",
            "Write `# audit:lint-ignore RULE why it is right`.",
        ),
        "idle-ignore": _warning(
            "A comment silences a finding that is not there.",
            "Remove the comment.",
        ),
    }
)
"""In the order of the way from file to event."""

_KEEP: Final = "Leave it as it was released; where that is wrong, register another type and retire this one."
BREAKS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        Rule.TYPE_REMOVED.value: _error("A released type is gone.", "Leave it in, and mark it `retired`."),
        Rule.KIND_CHANGED.value: _error("The kind of a released type is another.", _KEEP),
        Rule.SEVERITY_CHANGED.value: _error(
            "A released type's first severity is another, or one of them is gone: alerts rest on it.",
            "Add severities behind those there are, or register another type.",
        ),
        Rule.ACTION_CHANGED.value: _error(
            "A released type happens under other actions.", "Add actions behind those there are."
        ),
        Rule.RESOURCE_CHANGED.value: _error("A released type happens to something else.", _KEEP),
        Rule.CRUD_CHANGED.value: _error("A released type does something else to its resource.", _KEEP),
        Rule.PHASE_CHANGED.value: _error("A released type has other records.", _KEEP),
        Rule.SINCE_CHANGED.value: _error("The release that had it first is rewritten.", "Leave `since` as it was."),
        Rule.FIELD_REMOVED.value: _error(
            "A released field is gone, or has another name.", "Leave it in; a new name is a new optional field."
        ),
        Rule.FIELD_ADDED_REQUIRED.value: _error(
            "A field that released events do not have is required.", "Make it optional: `required = false`."
        ),
        Rule.FIELD_NOW_REQUIRED.value: _error(
            "An optional field is required, and released events may not have it.", "Leave it optional."
        ),
        Rule.FIELD_NOW_OPTIONAL.value: _error(
            "A required field is optional, and readers count on it.", "Go on giving it."
        ),
        Rule.FIELD_RETYPED.value: _error("A field holds something else.", "Give the new form a field of its own."),
        Rule.FIELD_UNIT_CHANGED.value: _error(
            "A field counts something else.", "Give the new unit a field of its own."
        ),
        Rule.FIELD_NARROWED.value: _error(
            "A bound lets less in, and released events may be beyond it.", "Leave the bound, or widen it."
        ),
        Rule.ENUM_NARROWED.value: _error(
            "A word that released events may have is gone.", "Leave it in, and emit it no longer."
        ),
        Rule.ENUM_WIDENED.value: _error(
            "A closed list of words has more of them, and readers were told of no others.",
            "Give the new words a field of their own; or say `open = true` of a list before its first release.",
        ),
        Rule.CLASS_LOOSENED.value: _error(
            "Personal data lost its redaction class, or has another: views would show it.", "Leave the class."
        ),
    }
)
"""What a change of a released type can break; `audit.registry.compatible.Rule` in words."""

KINDS: Final[Mapping[str, Kind]] = MappingProxyType({**RULES, **BREAKS})
"""Every kind of finding."""
