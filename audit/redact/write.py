"""What must never reach a disk is taken out of an event before it is written. Pure.

Nearly every event has nothing of the kind, and a look at its keys and values ends the matter: that look is on the way
of a request. Only an event of which something may have to go is taken apart.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from audit.codec import encode
from audit.event import AuditEvent, Redaction
from audit.redact.model import SECRET, Mode, Rules, Struck, Variant
from audit.redact.names import KEY_MEMO_COUNT, KeyNames, is_labelled, is_short
from audit.redact.paths import parse_paths
from audit.redact.strike import holds, pointer, strike
from audit.redact.values import LEAST, Values

_DECODER: Final = msgspec.json.Decoder(dict[str, Any])
BODY: Final = ("details", "input", "changes")
_NEEDED: Final = tuple(field.name for field in msgspec.structs.fields(AuditEvent) if field.required)
_DEFAULTS: Final[Mapping[str, Any]] = {
    field.name: field.default for field in msgspec.structs.fields(AuditEvent) if not field.required
}
_PLAIN, _DENIED, _VALUE, _ODD = "plain", "denied", "value", "odd"
"""What a key says: nothing; its value is a secret; its value is, if its neighbour names one; it may be one itself, or
is none of JSON's."""
_LISTED_COUNT: Final = 100
_LISTED_CHARS: Final = 200
_FAULTS: Final = (
    ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError, msgspec.MsgspecError,
)  # fmt: skip


class Report(NamedTuple):
    """What was done to one event.

    Attributes:
        mode: Under which mode.
        taken: Class to how many fields went.
        would: In mode `log`, class to how many fields a view that hides the class would hide.
    """

    mode: Mode
    taken: Mapping[str, int]
    would: Mapping[str, int]


Told: TypeAlias = Callable[[Report], None]


class WriteRedactor:
    """Takes out what must never reach a disk."""

    def __init__(
        self,
        classes: Mapping[str, Sequence[str]],
        *,
        mode: Mode = Mode.ENFORCE,
        at_write: Iterable[str] = (),
        variants: Mapping[str, Variant] | None = None,
        keys: KeyNames | None = None,
        values: Values | None = None,
        on_redacted: Told | None = None,
        on_failure: Callable[[], None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            classes: Field paths by class.
            mode: `off` lets everything through.
            at_write: Classes that go at write besides `secret`.
            variants: Class to how its fields go; `remove` where it is not named.
            keys: The deny-list of key names.
            values: What secrets look like.
            on_redacted: Told what went, and what would.
            on_failure: Told when a body had to go because redacting failed.

        Raises:
            ValueError: a path is none, or names what no event can do without.
        """
        self.mode = mode
        self.classes = tuple(dict.fromkeys((SECRET, *classes)))
        written = {SECRET, *at_write}
        parsed = {name: parse_paths(paths) for name, paths in classes.items()}
        self._classes = {name: paths for name, paths in parsed.items() if name in written}
        self._reading = {name: paths for name, paths in parsed.items() if name not in written}
        self._roots = frozenset(path[0] for paths in self._classes.values() for path in paths)
        if self._roots & {*_NEEDED, "*"}:
            path = min(
                ".".join(path) for paths in self._classes.values() for path in paths if path[0] in {*_NEEDED, "*"}
            )
            raise ValueError(f"field path `{path}`: no event can be written without it")
        self._variants = dict(variants or {})
        self._keys = keys or KeyNames()
        self._known: dict[Any, str] = {}
        self._values = values or Values()
        self._on_redacted = on_redacted
        self._on_failure = on_failure

    @classmethod
    def of(cls, rules: Rules) -> "WriteRedactor":
        """As the rules say.

        Raises:
            ValueError: as the constructor.
        """
        return cls(
            rules.classes,
            mode=rules.mode,
            at_write=rules.at_write,
            variants=rules.variants,
            keys=KeyNames(rules.key_names),
            values=Values(rules.values),
        )

    def report_to(self, on_redacted: Told, on_failure: Callable[[], None]) -> None:
        """Say whom to tell, where nobody was named: the emitter counts what goes for everyone who uses it."""
        self._on_redacted = self._on_redacted or on_redacted
        self._on_failure = self._on_failure or on_failure

    def concerns(self, event: AuditEvent) -> bool:
        """Whether something may have to be taken out of an event, or counted. Never raises.

        If not, then of no other with the same keys and values, whatever its ids of events, times and addresses.
        """
        if self.mode is Mode.OFF:
            return False
        if self.mode is Mode.LOG and self._reading:
            return True
        try:
            return self._concerned(event)
        except _FAULTS:
            return True

    def at_write(self, event: AuditEvent) -> AuditEvent:
        """The event as it may be written; the same object when nothing has to go. Never raises, never changes it."""
        if self.mode is Mode.OFF:
            return event
        try:
            if self.mode is Mode.LOG and self._reading:
                return self._without(event)
            return self._without(event) if self._concerned(event) else event
        except _FAULTS:
            # Neither lost nor leaked: what happened stays, the parts that could not be looked through go.
            if self._on_failure is not None:
                self._on_failure()
            return self._bare(event)

    def _bare(self, event: AuditEvent) -> AuditEvent:
        """The event without its body and without every part that a class names which goes at write."""
        gone = [name for name in _DEFAULTS if (name in BODY or name in self._roots) and getattr(event, name)]
        before = event.redaction.fields if event.redaction is not None else ()
        marks = Redaction(self.mode, tuple(dict.fromkeys((*before, *gone))), truncated=True)
        return msgspec.structs.replace(event, **{name: _DEFAULTS[name] for name in gone}, redaction=marks)

    def _concerned(self, event: AuditEvent) -> bool:
        """Whether anything may have to go: the cheap look that nearly every event ends with."""
        for root in self._roots:
            if getattr(event, root, None):
                return True
        if event.details is not None and self._in_dict(event.details, free=True):
            return True
        given = event.input
        if given is not None and (
            self._in_dict(given.context, free=False)
            or self._in_dict(given.resource, free=False)
            or self._in_dict(given.principal, free=False)
        ):
            return True
        for change in event.changes:
            if any(map(self._keys.denied, pointer(change.path))) or any(
                self._in_value(value, free=True) for value in (change.path, change.old, change.new)
            ):
                return True
        return self._shown(event.resource.id if event.resource is not None else None) or self._shown(
            event.client.user_agent if event.client is not None else None
        )

    def _shown(self, text: str | None) -> bool:
        """Whether what a client chose itself is a secret; of these texts the gateway makes formats, see `concerns`."""
        return text is not None and len(text) >= LEAST and self._values.secret(text, free=False)

    def _in_dict(self, node: dict[Any, Any], *, free: bool) -> bool:
        known = self._known  # a look-up where a call would cost as much as all the rest
        for key, value in node.items():
            sort = known.get(key)
            if sort is None:
                sort = self._sort(key)
            if sort is not _PLAIN and self._telling(sort, value, node):
                return True
            kind = type(value)
            if kind is str:
                if len(value) >= LEAST and self._values.secret(value, free=free):
                    return True
            elif kind is not bool and value is not None and self._in_value(value, free=free):
                return True
        return False

    def _telling(self, sort: str, value: Any, node: dict[Any, Any]) -> bool:
        """Whether what a key says makes its value, or itself, one that may have to go."""
        if sort is _VALUE:
            return self._keys.labelled(node)
        return sort is _ODD or holds(value)

    def _sort(self, key: Any) -> str:
        """What a key says of its value."""
        if type(key) is not str or self._values.secret(key, free=True):
            sort = _ODD
        elif self._keys.denied(key):
            sort = _DENIED
        elif is_labelled(key):
            sort = _VALUE
        else:
            sort = _PLAIN
        if len(self._known) < KEY_MEMO_COUNT and is_short(key):
            self._known[key] = sort
        return sort

    def _in_value(self, value: Any, *, free: bool) -> bool:
        """Whether a value may hold a secret."""
        kind = type(value)
        if kind is str:
            return len(value) >= LEAST and self._values.secret(value, free=free)
        if kind is int or kind is float:
            return free and self._values.is_card(value)
        if kind is dict:
            return self._in_dict(value, free=free)
        if kind is list or kind is tuple:
            return self._in_list(value, free=free)
        # What only the encoder knows how to spell is taken apart first.
        return not (value is None or kind is bool)

    def _in_list(self, node: Sequence[Any], *, free: bool) -> bool:
        for value in node:
            kind = type(value)
            if kind is dict:
                if self._in_dict(value, free=free):
                    return True
            elif ((kind is list or kind is tuple) and self._keys.paired(value)) or self._in_value(value, free=free):
                return True
        return False

    def _without(self, event: AuditEvent) -> AuditEvent:
        # By way of its bytes: what is looked through is what would be written, a tuple as a list, a date as its text.
        plain: dict[str, Any] = _DECODER.decode(encode(event))
        struck = strike(plain, self._classes, self._variants, keys=self._keys, values=self._values)
        would: Counter[str] = Counter()
        if self.mode is Mode.LOG and self._reading:
            # It is only looked at: on a copy, where what is left is still to be written.
            rest = _DECODER.decode(msgspec.json.encode(plain)) if struck else plain
            would.update(item.reason for item in strike(rest, self._reading, Variant.MASK))
        written = self._marked(event, plain, struck) if struck else event
        if self._on_redacted is not None and (struck or would):
            self._on_redacted(Report(self.mode, Counter(item.reason for item in struck), would))
        return written

    def _marked(self, event: AuditEvent, plain: dict[str, Any], struck: Sequence[Struck]) -> AuditEvent:
        """The event again, saying what was taken out of it."""
        before = event.redaction
        fields = _listed([*(before.fields if before is not None else ()), *(item.path for item in struck)])
        marks = Redaction(self.mode.value, fields, truncated=before is not None and before.truncated)
        plain["redaction"] = msgspec.to_builtins(marks)
        return msgspec.convert(plain, AuditEvent)


def _listed(paths: Sequence[str]) -> tuple[str, ...]:
    """Paths as a record lists them: bounded, for a hostile body may have any number of secrets under any names."""
    kept = tuple(path[:_LISTED_CHARS] for path in paths[:_LISTED_COUNT])
    more = len(paths) - len(kept)
    return (*kept, f"and {more} more") if more > 0 else kept
