"""What the linter of events can find: code, severity, meaning and remedy of each kind. The table is the list."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

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
