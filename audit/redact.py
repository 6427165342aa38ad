"""What is taken out of an event, at write and at reading. Pure.

A field path is dotted, from the event's root: `client.ip`, `details.customer.email`; `*` stands for any key and any
element. A change is addressed by its own pointer: `changes.email` is the old and new value of the change whose `path`
is `/email`. Paths come in classes (`pii`, `payment`, `secret`). Class `secret` also holds every key, at any depth,
whose name is in the deny-list: nobody has to remember to configure `password`.

At write, secrets and whatever else `at_write` names are removed, before anything reaches a disk. The other classes are
stored whole and masked by `mask` when a reader's view asks for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

import msgspec

from audit.event import AuditEvent, Redaction

MASK = "***"
SECRET = "secret"  # noqa: S105  # the name of a class
_BODY = ("details", "input", "changes")

# Long words count wherever they stand in a key, short ones only alone: `pin` must not hide `shipping`.
_DENIED_PARTS = (
    "password", "passwd", "passphrase", "secret", "token", "authorization", "apikey", "privatekey", "cookie",
    "credential", "cardnumber", "securitycode", "accesskey", "signingkey", "sessionid",
)  # fmt: skip
_DENIED_WORDS = frozenset({"pwd", "pin", "pan", "cvv", "cvc", "cvv2", "cvc2", "otp", "jwt", "bearer", "iban"})
_KEY_MEMO_COUNT = 4096  # keys are field names of our own services: far fewer; a flood of odd ones is not remembered


class Mode(StrEnum):
    """What masking does: nothing (development only), count what would go, or take it out."""

    OFF = "off"
    LOG = "log"
    ENFORCE = "enforce"


class Variant(StrEnum):
    """How a field goes: its value replaced, or the field removed."""

    MASK = "mask"
    REMOVE = "remove"


class Struck(NamedTuple):
    """A field that was masked or removed: its path, how, and of which class it is."""

    path: str
    how: Variant
    reason: str


Paths = tuple[tuple[str, ...], ...]


def parse_paths(paths: Iterable[str]) -> Paths:
    """Dotted paths as tuples, each once.

    Raises:
        ValueError: a path is empty or has an empty part; the message names it.
    """
    parsed = {path: tuple(path.split(".")) for path in paths}
    for path, parts in parsed.items():
        if not all(parts):
            raise ValueError(f"field path `{path}` has an empty part")
    return tuple(parsed.values())


class KeyNames:
    """Knows which keys are secrets by their name; remembers what it has looked at."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._words = _DENIED_WORDS | {_plain(word) for word in extra}
        self._memo: dict[str, bool] = {}

    def denied(self, key: str) -> bool:
        """Whether a key of this name holds a secret."""
        known = self._memo.get(key)
        if known is None:
            plain = _plain(key)
            known = plain in self._words or any(part in plain for part in _DENIED_PARTS)
            if len(self._memo) < _KEY_MEMO_COUNT:
                self._memo[key] = known
        return known

    def found(self, node: Any) -> bool:
        """Whether a value has such a key anywhere inside."""
        if isinstance(node, dict):
            return any((value is not None and self.denied(key)) or self.found(value) for key, value in node.items())
        if isinstance(node, list | tuple):
            return any(self.found(value) for value in node)
        return False


def strike(
    event: dict[str, Any],
    classes: Mapping[str, Paths],
    variant: Variant,
    *,
    keys: KeyNames | None = None,
) -> list[Struck]:
    """Mask or remove fields in place.

    Args:
        event: Plain values, changed in place.
        classes: Paths by class.
        variant: How fields go.
        keys: If given, keys of secrets go as well, in the event's body.

    Returns:
        What went, each field once. Empty when nothing matched: the event is as it was.
    """
    struck: dict[str, Struck] = {}
    for reason, paths in classes.items():
        for path in paths:
            if path[0] == "changes" and len(path) > 1:
                _strike_changes(event, partial(_matches, wanted=path[1:]), variant, reason, struck)
            else:
                _strike(event, path, "", variant, reason, struck)
    if keys is not None:
        for root in ("details", "input"):
            _strike_keys(event.get(root), root, variant, keys.denied, struck)
        _strike_changes(event, lambda p: any(keys.denied(part) for part in p), variant, SECRET, struck)
        for index, change in enumerate(event.get("changes") or ()):
            for side in ("old", "new"):
                _strike_keys(change.get(side), f"changes.{index}.{side}", variant, keys.denied, struck)
    return list(struck.values())


def mask(
    event: Mapping[str, Any], classes: Mapping[str, Sequence[str]], variant: Variant | str = Variant.MASK
) -> tuple[dict[str, Any], list[Struck]]:
    """A reader's view of an event.

    Args:
        event: As stored; not changed.
        classes: Dotted field paths by class.
        variant: `mask` or `remove`.

    Returns:
        A copy without the classes' values, and what went.
    """
    copy: dict[str, Any] = _copied(event)
    parsed = {reason: parse_paths(paths) for reason, paths in classes.items()}
    return copy, strike(copy, parsed, Variant(variant))


def strike_path(document: Any, path: tuple[str, ...], variant: Variant) -> int:
    """Mask or remove the fields at one path of any document, in place.

    Args:
        document: Plain values; a list as well as a dict.
        path: At least one part; `*` is any key and any element.
        variant: How fields go.

    Returns:
        How many went.
    """
    struck: dict[str, Struck] = {}
    _strike(document, path, "", variant, "", struck)
    return len(struck)


def strike_names(document: Any, names: frozenset[str], variant: Variant) -> int:
    """Mask or remove every field with one of these names (lower case), at any depth, in place.

    Returns:
        How many went.
    """
    struck: dict[str, Struck] = {}
    _strike_keys(document, "", variant, lambda key: key.lower() in names, struck)
    return len(struck)


class WriteRedactor:
    """Takes out what must never reach a disk."""

    def __init__(
        self,
        classes: Mapping[str, Sequence[str]],
        *,
        mode: Mode = Mode.ENFORCE,
        at_write: Iterable[str] = (),
        keys: KeyNames | None = None,
        on_redacted: Callable[[Mode, int], None] | None = None,
        on_failure: Callable[[], None] | None = None,
    ) -> None:
        """Prepare.

        Args:
            classes: Dotted field paths by class.
            mode: `off` lets everything through.
            at_write: Classes that go at write besides `secret`.
            keys: The deny-list of key names.
            on_redacted: Told the mode and how many fields went.
            on_failure: Told when a body had to go because masking failed.
        """
        self._mode = mode
        self._classes = {
            name: parse_paths(paths) for name, paths in classes.items() if name == SECRET or name in set(at_write)
        }
        self._roots = {path[0] for paths in self._classes.values() for path in paths}
        self._keys = keys or KeyNames()
        self._on_redacted = on_redacted
        self._on_failure = on_failure

    def report_to(self, on_redacted: Callable[[Mode, int], None], on_failure: Callable[[], None]) -> None:
        """Say whom to tell, where nobody was named: the emitter counts what goes for everyone who uses it."""
        self._on_redacted = self._on_redacted or on_redacted
        self._on_failure = self._on_failure or on_failure

    def concerns(self, event: AuditEvent) -> bool:
        """Whether something may have to be taken out of an event. If not, then of none with the same keys either."""
        return self._mode is not Mode.OFF and self._concerned(event)

    def at_write(self, event: AuditEvent) -> AuditEvent:
        """The event as it may be written; the same object when nothing has to go. Never raises."""
        if self._mode is Mode.OFF:
            return event
        try:
            if not self._concerned(event):
                return event
            return self._without(event)
        except (ValueError, TypeError, AttributeError, RecursionError, msgspec.MsgspecError):
            # Neither lost nor leaked: what happened stays, the part that could not be looked through goes.
            if self._on_failure is not None:
                self._on_failure()
            marks = Redaction(self._mode, tuple(name for name in _BODY if getattr(event, name)), truncated=True)
            return msgspec.structs.replace(event, details=None, input=None, changes=(), redaction=marks)

    def _concerned(self, event: AuditEvent) -> bool:
        """Whether anything may have to go: the cheap look that nearly every event ends with."""
        if self._roots and any(getattr(event, root, None) for root in self._roots):
            return True
        found = self._keys.found
        if event.details is not None and found(event.details):
            return True
        given = event.input
        if given is not None and (found(given.context) or found(given.resource) or found(given.principal)):
            return True
        return any(
            any(self._keys.denied(part) for part in _pointer(change.path)) or found(change.old) or found(change.new)
            for change in event.changes
        )

    def _without(self, event: AuditEvent) -> AuditEvent:
        plain: dict[str, Any] = msgspec.to_builtins(event)
        struck = strike(plain, self._classes, Variant.REMOVE, keys=self._keys)
        if not struck:
            return event
        if self._on_redacted is not None:
            self._on_redacted(self._mode, len(struck))
        before = event.redaction.fields if event.redaction is not None else ()
        plain["redaction"] = {"mode": self._mode.value, "fields": [*before, *(item.path for item in struck)]}
        return msgspec.convert(plain, AuditEvent)


def _plain(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "").replace(" ", "").replace(".", "")


def _pointer(path: str) -> tuple[str, ...]:
    """RFC 6901 section 4, without the empty first part."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]) if path else ()


def _matches(parts: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """Whether a change lies at or below a path."""
    return len(parts) >= len(wanted) and all(want in ("*", part) for part, want in zip(parts, wanted, strict=False))


def _strike(
    node: Any, path: tuple[str, ...], at: str, variant: Variant, reason: str, struck: dict[str, Struck]
) -> None:
    key, rest = path[0], path[1:]
    if isinstance(node, dict):
        for name in list(node) if key == "*" else [key] if key in node else []:
            here = f"{at}.{name}" if at else name
            if rest:
                _strike(node[name], rest, here, variant, reason, struck)
            else:
                _take(node, name, here, variant, reason, struck)
    elif isinstance(node, list) and key == "*":
        for index in range(len(node) - 1, -1, -1):
            here = f"{at}.{index}"
            if rest:
                _strike(node[index], rest, here, variant, reason, struck)
            else:
                _take(node, index, here, variant, reason, struck)


def _strike_keys(
    node: Any, at: str, variant: Variant, denied: Callable[[str], bool], struck: dict[str, Struck]
) -> None:
    if isinstance(node, dict):
        for name in list(node):
            here = f"{at}.{name}"
            if denied(name):
                _take(node, name, here, variant, SECRET, struck)
            else:
                _strike_keys(node[name], here, variant, denied, struck)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            _strike_keys(value, f"{at}.{index}", variant, denied, struck)


def _strike_changes(
    event: dict[str, Any],
    concerns: Callable[[tuple[str, ...]], bool],
    variant: Variant,
    reason: str,
    struck: dict[str, Struck],
) -> None:
    for change in event.get("changes") or ():
        pointer = str(change.get("path", ""))
        parts = _pointer(pointer)
        if concerns(parts):
            for side in ("old", "new"):
                if side in change:
                    _take(change, side, ".".join(("changes", *parts, side)), variant, reason, struck)


def _take(node: Any, key: Any, at: str, variant: Variant, reason: str, struck: dict[str, Struck]) -> None:
    # A field that two paths name goes once. That its path is known is not enough: a key with a dot in it can spell the
    # path of another field, which has to go as well.
    if node[key] is None or (at in struck and node[key] == MASK):
        return
    if variant is Variant.REMOVE:
        del node[key]
    else:
        node[key] = MASK
    struck[at] = Struck(at, variant, reason)


def _copied(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {key: _copied(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [_copied(value) for value in node]
    return node
