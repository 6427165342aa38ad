"""Typed classes from a registry: Python source, a class for each type that is emitted by name. Pure.

The source is as `ruff format` leaves it at 120 columns, so that a tree that formats its code need not leave it out.
"""

import keyword
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from audit.event import Kind, Severity
from audit.registry.errors import RegistryInvalid
from audit.registry.load import RESERVED
from audit.registry.model import EventType, Field, FieldType, Registry, class_name

_COLUMNS: Final = 120
_PLAIN: Final[Mapping[FieldType, str]] = {
    FieldType.STRING: "str",
    FieldType.INTEGER: "int",
    FieldType.NUMBER: "float",
    FieldType.BOOLEAN: "bool",
    FieldType.TIME: "str",
    FieldType.RANGE: "tuple[int, int]",
    FieldType.OBJECT: "dict[str, Any]",
}


_MODULES_OWN: Final = frozenset(
    {"Any", "ClassVar", "EventName", "Kind", "Literal", "Severity", "TypeAlias", "TypedEvent"}
)
"""Names that the text of a module uses, so that no class may have them."""
_ANNOTATIONS_OWN: Final = frozenset({"bool", "dict", "float", "int", "msgspec", "str", "tuple"})
"""The same within a class: a field of that name with a default would be what the fields below it are annotated with."""


def services(registry: Registry) -> dict[str, tuple[str, ...]]:
    """The names that have a class, by service. A decision has none: the gateway makes it, from bytes."""
    found: dict[str, list[str]] = {}
    for name, entry in registry.types.items():
        if entry.kind is not Kind.DECISION and entry.retired is None:
            found.setdefault(name.partition(".")[0], []).append(name)
    return {service: tuple(names) for service, names in found.items()}


def source(registry: Registry, names: Iterable[str], title: str) -> str:
    """A module.

    Args:
        registry: Where the types stand.
        names: Which types, in the order they are to stand.
        title: Whose events they are: `the order service`.

    Returns:
        Its text.

    Raises:
        RegistryInvalid: Two types would have a class of the same name, two fields an attribute, or a class a name that
            the module needs for something else.
    """
    taken: dict[str, str] = {}
    for name in names:
        called = class_name(name, registry.types[name])
        reason = None
        if called in taken:
            reason = f"`{name}` and `{taken[called]}` would both be the class {called}: give one a `class`"
        elif called in _MODULES_OWN or keyword.iskeyword(called):
            reason = f"`{name}` would be the class {called}, which has a meaning already: give it a `class`"
        elif (twice := _attribute_twice(registry.types[name])) is not None:
            reason = f"`{name}`: its fields `{twice}` and `{twice}_` would both be the attribute {twice}_"
        if reason is not None:
            file, line = registry.places.get(name, ("", 0))
            raise RegistryInvalid(file, reason, line)
        taken[called] = name
    bodies = [_class(called, name, registry.types[name]) for called, name in taken.items()]
    return "\n\n\n".join([_head(title, "\n".join(bodies)), *bodies, _names(taken.values())]) + "\n"


def _head(title: str, body: str) -> str:
    typing = ", ".join(word for word in ("Any", "ClassVar", "Literal", "TypeAlias") if word in body or word in _NEEDED)
    event = ", ".join(word for word in ("Kind", "Severity") if f"{word}." in body)
    lines = [f'"""Events of {title}. Generated from the registry of event types: change it there."""', ""]
    lines += [f"from typing import {typing}", ""]
    lines += ["import msgspec", ""] if "msgspec." in body else []
    lines += [f"from audit.event import {event}"] if event else []
    lines += ["from audit.registry.typed import TypedEvent"]
    return "\n".join(lines)


_NEEDED: Final = frozenset({"ClassVar", "Literal", "TypeAlias"})


def _class(called: str, name: str, entry: EventType) -> str:
    # A struct hands neither down to the type checker, nor `kw_only` to fields of its heirs.
    ways = "frozen=True, kw_only=True" if entry.details else "frozen=True"
    lines = [f"class {called}(TypedEvent, {ways}):", *_docstring(entry), ""]
    lines.append(f"    event_type: ClassVar[str] = {_text(name)}")
    if entry.kind is not Kind.DOMAIN:
        lines.append(f"    kind: ClassVar[Kind] = Kind.{entry.kind.name}")
    if entry.actions:
        lines.append(f"    action: ClassVar[str | None] = {_text(entry.actions[0])}")
    if entry.resource is not None:
        lines.append(f"    resource_type: ClassVar[str | None] = {_text(entry.resource)}")
    if entry.crud:
        lines.append(f"    crud: ClassVar[str | None] = {_text(entry.crud[0])}")
    severity = (*entry.severity, *entry.failure)[0]
    if severity is not Severity.INFO:
        lines.append(f"    severity: ClassVar[Severity] = Severity.{severity.name}")
    for field_name, field in entry.details.items():
        lines += _field(field_name, field)
    return "\n".join(lines)


def _docstring(entry: EventType) -> Iterator[str]:
    if not entry.details:
        says = _wrapped(entry.says, '    """', "    ", '"""')
        yield from says
        return
    yield from _wrapped(entry.says, '    """', "    ", "")
    yield ""
    yield "    Attributes:"
    for name, field in entry.details.items():
        yield from _wrapped(f"{attribute(name)}: {_says(field)}", " " * 8, " " * 12, "")
    yield '    """'


def _says(field: Field) -> str:
    """What a field means, with its bounds."""
    bounds = []
    if field.unit is not None:
        bounds.append(f"in {field.unit}")
    if field.max_items is not None:
        bounds.append(f"at most {field.max_items}")
    if field.max_length is not None:
        bounds.append(f"at most {field.max_length} characters")
    if field.minimum is not None:
        bounds.append(f"from {field.minimum}" + (f" to {field.maximum}" if field.maximum is not None else ""))
    elif field.maximum is not None:
        bounds.append(f"at most {field.maximum}")
    if field.data_class is not None:
        bounds.append(f"class `{field.data_class}`")
    return "; ".join([_one_line(field.says).removesuffix("."), *bounds]) + "." if bounds else _one_line(field.says)


def _field(name: str, field: Field) -> Iterator[str]:
    called = attribute(name)
    before, words, after = _annotation(field)
    after += "" if field.required else " | None"
    if called != name:
        default = "" if field.required else "default=None, "
        after += f" = msgspec.field({default}name={_text(name)})"
    elif not field.required:
        after += " = None"
    line = f"    {called}: {before}{', '.join(words)}{after}"
    if len(line) <= _COLUMNS or not words:
        yield line
        return
    # Only a list of words grows that long; the formatter puts each on a line of its own.
    yield f"    {called}: {before}"
    yield from (f"        {word}," for word in words)
    yield f"    {after}"


def attribute(name: str) -> str:
    """A field's name in the class: with `_` behind it where the name is taken."""
    taken = name in RESERVED or name in _ANNOTATIONS_OWN or keyword.iskeyword(name)
    return f"{name}_" if taken else name


def _attribute_twice(entry: EventType) -> str | None:
    """A field whose attribute is another's too."""
    return next((it for it in entry.details if attribute(it) != it and attribute(it) in entry.details), None)


def _annotation(field: Field) -> tuple[str, tuple[str, ...], str]:
    """A field's type: what stands before its words, the words, and what stands behind them."""
    # INVARIANT: a word is whatever a registry says, so it is never looked for in text that is put together already
    words = tuple(map(_text, field.enum))
    before, after = ("Literal[", "]") if words else ("", "")
    if field.type is FieldType.LIST and field.of is not None:
        return f"tuple[{before or _PLAIN[field.of]}", words, f"{after}, ...]"
    return before or _PLAIN[field.type], words, after


def _names(names: Iterable[str]) -> str:
    listed = [f"    {_text(name)}," for name in names]
    one = f"EventName: TypeAlias = Literal[{', '.join(line.strip(' ,') for line in listed)}]"
    said = '"""Every name of an event here, for who passes names along."""'
    if len(one) <= _COLUMNS:
        return f"{one}\n{said}"
    return "\n".join(["EventName: TypeAlias = Literal[", *listed, "]", said])


def _wrapped(text: str, first: str, others: str, end: str) -> list[str]:
    """A text in lines, the last with its end."""
    lines = textwrap.wrap(
        _one_line(text), _COLUMNS - len(end), initial_indent=first, subsequent_indent=others, break_on_hyphens=False
    )
    return [*lines[:-1], lines[-1] + end]


def _one_line(text: str) -> str:
    """A sentence that can stand in a docstring: whatever it says, it cannot end it."""
    return " ".join(text.replace("\\", "/").replace('"', "'").split())


def _text(word: str) -> str:
    """A literal. Registered names and words have no need of escapes, and whatever has gets them."""
    return '"' + word.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'
