"""What a reader is shown of an event: masked or with fields removed, and every such field listed with its reason. Pure.

Which view a reader gets is Cedar's word (`query.access`); what a view hides is configuration: classes of field paths,
and for each view the classes it hides and how. If hiding fails, the event is shown without its body: never lost, never
leaked.
"""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Final

from audit.redact import SECRET, KeyNames, Struck, Variant, parse_paths, strike
from query.access import View
from query.history import Row, Shown, bare, shown

UNTOUCHED: Final = "none"
"""What the counter calls a reply in which nothing had to be hidden."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What a view does.

    Attributes:
        variant: How it hides.
        classes: Which classes of fields.
    """

    variant: Variant
    classes: tuple[str, ...]


FAILED: Final = "failed"
"""The reason that stands beside an event whose body could not be masked."""

NOTHING: Final = Treatment(Variant.MASK, ())

_PROBE: Final[Shown] = {
    "event_id": "0192f0c8-0000-7000-8000-000000000000",
    "event_type": "probe",
    "kind": "decision",
    "tenant_id": "acme",
    "occurred_at": "2026-11-23T15:00:00.000000Z",
    "actor": {"id": "probe"},
    "action": "probe",
    "resource": {"type": "probe", "id": "probe"},
    "request": {"service": "probe"},
    "decision": {"effect": "allow"},
    "outcome": "success",
    "severity": "info",
    "trace_id": "0" * 32,
}
"""An event with every field that readers page or filter by; what a view does to it shows which of them it hides."""

_NEEDED: Final = ("event_id", "event_type", "kind", "tenant_id", "occurred_at")

_FILTERED: Final[Mapping[str, tuple[str, ...]]] = {
    "actor": ("actor", "id"),
    "action": ("action",),
    "resource_type": ("resource", "type"),
    "resource_id": ("resource", "id"),
    "service": ("request", "service"),
    "decision": ("decision", "effect"),
    "outcome": ("outcome",),
    "severity": ("severity",),
    "severity_gte": ("severity",),
    "trace_id": ("trace_id",),
}
"""Filter to the field it compares."""


class HidesTooMuch(ValueError):
    """A class names a field that no view can do without."""


@dataclass(frozen=True, slots=True)
class Presented:
    """Events as a reader is shown them.

    Attributes:
        events: In the order of their rows.
        variant: What the view did, for the counter: its variant, or `none` where nothing had to be hidden.
        failures: How many are shown without their body.
    """

    events: tuple[Shown, ...]
    variant: str
    failures: int = 0


class Views:
    """The views as they are configured.

    Args:
        classes: Class name to dotted field paths, as `audit.redact` reads them.
        treatments: What each view does; one that is not named hides nothing.
        key_names: Names of keys that are secrets, besides the built-in ones. A view that hides class `secret` hides
            them too: what reached the store before somebody thought of a name is still not for everybody.

    Raises:
        HidesTooMuch: A view would hide what readers page by.
        ValueError: A path is malformed.
    """

    def __init__(
        self,
        classes: Mapping[str, Iterable[str]],
        treatments: Mapping[View, Treatment],
        *,
        key_names: Iterable[str] = (),
    ) -> None:
        self._paths = {name: parse_paths(paths) for name, paths in classes.items()}
        self._treatments = dict(treatments)
        self._keys = KeyNames(key_names)
        self._hidden_filters = {view: self._hidden(view) for view in View}

    def hidden_filters(self, view: View) -> frozenset[str]:
        """The filters a reader with this view may not use: asking by a hidden value would give it away."""
        return self._hidden_filters[view]

    def present(self, view: View, rows: Sequence[Row]) -> Presented:
        """Show rows in a view."""
        treatment = self._treatments.get(view, NOTHING)
        events: list[Shown] = []
        failures = 0
        touched = False
        for row in rows:
            try:
                event = shown(row)
                struck = self._strike(treatment, event)
            except Exception:  # noqa: BLE001 - whatever a body does to the masking, it must not be shown unmasked
                failures += 1
                event, struck = bare(row), [Struck("*", Variant.REMOVE, FAILED)]
            if struck:
                event["redacted"] = [{"path": s.path, "how": s.how.value, "reason": s.reason} for s in struck]
                touched = True
            events.append(event)
        return Presented(
            tuple(events), treatment.variant.value if touched and treatment.classes else UNTOUCHED, failures
        )

    def _strike(self, treatment: Treatment, event: Shown) -> list[Struck]:
        """Hide in place what the treatment says; what was hidden, each field once, with its class."""
        classes = {name: self._paths.get(name, ()) for name in treatment.classes}
        keys = self._keys if SECRET in classes else None
        return strike(event, classes, treatment.variant, keys=keys)

    def _hidden(self, view: View) -> frozenset[str]:
        event = deepcopy(_PROBE)
        self._strike(self._treatments.get(view, NOTHING), event)
        for field in _NEEDED:
            if event.get(field) != _PROBE[field]:
                raise HidesTooMuch(f"the `{view}` view hides `{field}`, which no reader can do without")
        return frozenset(name for name, path in _FILTERED.items() if _at(event, path) != _at(_PROBE, path))


def _at(event: Shown, path: tuple[str, ...]) -> object:
    value: object = event
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
