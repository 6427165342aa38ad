"""A registry file to a `Registry`: read whole, held against its own rules, refused with the place. Reads files only."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from audit.event import Kind
from audit.redact.names import KeyNames
from audit.registry.errors import RegistryInvalid
from audit.registry.model import FIELD, NAME, VERSION, EventType, Field, FieldType, Registry, is_past

FILE: Final = "event_types.toml"
FORMAT: Final = 1
RESERVED: Final = frozenset({"event_type", "kind", "action", "resource_type", "crud", "severity", "details"})
"""Names a typed class has already; its field gets a `_` behind it, and stands in the event without."""
_NUMBERS: Final = frozenset({FieldType.INTEGER, FieldType.NUMBER})
_CRUD: Final = frozenset("crudx")
_NAMES: Final = KeyNames()
_ODD: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+")
_CLASS: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    types: dict[str, EventType]
    common: dict[Kind, dict[str, Field]] = {}


@cache
def packaged() -> Registry:
    """The registry of everything that Lychgate and its sample services emit."""
    return read(files("audit.registry").joinpath(FILE).read_text(encoding="utf-8"), f"audit/registry/{FILE}")


def read(text: str, file: str, common: Mapping[Kind, Mapping[str, Field]] | None = None) -> Registry:
    """Read a registry.

    Args:
        text: The file's.
        file: Its name, for what is said of it.
        common: What events of a kind may say besides, where the file does not say; what our own emitters add.

    Raises:
        RegistryInvalid: It is not one.
    """
    lines = text.splitlines()
    document: dict[str, Any] = {}
    try:
        document = tomllib.loads(text)
        found = msgspec.convert(document, _File)
    except tomllib.TOMLDecodeError as exc:
        line = re.search(r"at line (\d+)", str(exc))
        raise RegistryInvalid(file, f"not TOML: {exc}", int(line[1]) if line else 0) from exc
    except RecursionError:
        raise RegistryInvalid(file, "nested too deep") from None
    except msgspec.ValidationError as exc:
        raise RegistryInvalid(file, str(exc), _line_of(lines, _where(document, str(exc)))) from exc
    if found.format != FORMAT:
        raise RegistryInvalid(file, f"format {found.format} is not known here; this reads {FORMAT}")
    places = {name: (file, _line_of(lines, name)) for name in found.types}
    registry = Registry(types=found.types, common=found.common or dict(common or {}), places=places)
    for name, reason in _problems(registry):
        raise RegistryInvalid(file, reason, _line_of(lines, name))
    return registry


def joined(registries: Iterable[Registry]) -> Registry:
    """Several registries as one.

    Raises:
        RegistryInvalid: Two have the same type.
    """
    types: dict[str, EventType] = {}
    places: dict[str, tuple[str, int]] = {}
    common: dict[Kind, Mapping[str, Field]] = {}
    for registry in registries:
        for name in registry.types:
            if name in types:
                raise RegistryInvalid(*_at(registry, name), f"`{name}` is registered in {places[name][0]} already")
        types.update(registry.types)
        places.update(registry.places)
        for kind, fields in registry.common.items():
            common[kind] = {**common.get(kind, {}), **fields}
    return Registry(types=types, common=common, places=places)


def nearest(name: str, known: Iterable[str]) -> str:
    """`; the nearest is ...` where something is near."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"; the nearest is `{close[0]}`" if close else ""


def _problems(registry: Registry) -> Iterator[tuple[str, str]]:
    """Type's name and what is wrong with it, in the order of the file."""
    for kind, fields in registry.common.items():
        yield from ((f"common.{kind}", f"common {kind}: {reason}") for reason in _of_fields(fields))
    for name, entry in registry.types.items():
        for reason in _of_type(name, entry):
            yield name, f"`{name}`: {reason}"
        both = entry.details.keys() & registry.common.get(entry.kind, {}).keys()
        if both:
            yield name, f"`{name}`: `{min(both)}` is a field of every {entry.kind} event already"


def _of_type(name: str, entry: EventType) -> Iterator[str]:
    last = name.rpartition(".")[2]
    versions = (entry.since, entry.retired, *(field.since for field in entry.details.values()))
    rules = [
        (
            entry.odd_name is None and NAME.fullmatch(name) is None,
            "not of the form `service.subject.past_fact`",
        ),
        (
            entry.odd_name is None and NAME.fullmatch(name) is not None and not is_past(last),
            f"`{last}` is no past fact: say what has happened, as in `order.order.cancelled`",
        ),
        (
            _ODD.fullmatch(name) is None,
            "a name has small letters, digits, `_` and dots",
        ),
        (entry.odd_name is not None and not entry.odd_name.strip(), "odd_name needs the reason why"),
        (not entry.says.strip(), "says nothing: give `says` a sentence"),
        (not entry.severity and not entry.failure, "no severity of a success and none of a failure"),
        (not entry.phases, "phases is empty"),
        (not set(entry.crud) <= _CRUD, "crud is of c, r, u, d and x"),
        (
            any(version is not None and VERSION.fullmatch(version) is None for version in versions),
            "`since` and `retired` are releases, as 0.1.0 is one",
        ),
        (
            entry.class_name is not None and _CLASS.fullmatch(entry.class_name) is None,
            f"class `{entry.class_name}` is no name of a class",
        ),
        (
            any(map(_NAMES.denied, entry.changes)),
            "changes name a secret, which stands in no event",
        ),
    ]
    yield from (reason for wrong, reason in rules if wrong)
    yield from _of_fields(entry.details)


def _of_fields(fields: Mapping[str, Field]) -> Iterator[str]:
    for name, field in fields.items():
        rules = (*_of_field(name, field), *_of_bounds(field))
        yield from (f"field `{name}`: {reason}" for wrong, reason in rules if wrong)


def _of_field(name: str, field: Field) -> list[tuple[bool, str]]:
    """What may be wrong with a field, and whether it is."""
    texts = FieldType.STRING in {field.type, field.of}
    return [
        (FIELD.fullmatch(name) is None, "a name has small letters, digits and `_`, at most 64"),
        (_NAMES.denied(name), "it is the name of a secret, and would be taken out before the event is written"),
        (not field.says.strip(), "says nothing: give `says` a sentence"),
        (
            (field.type is FieldType.LIST) != (field.of is not None),
            "`of` says what a list's elements are, and belongs to a list",
        ),
        (field.of in {FieldType.LIST, FieldType.OBJECT}, "a list of lists or objects is not flat, and `details` is"),
        (field.type is FieldType.RANGE, "a range stands in a list only"),
        (
            texts and not field.enum and field.max_length is None,
            "how long may it be? give `max_length`, or an `enum`",
        ),
        (not texts and bool(field.enum or field.max_length is not None), "`enum` and `max_length` are of texts"),
        (field.open and not field.enum, "`open` is of an `enum`"),
        (len(set(field.enum)) < len(field.enum), "a word stands twice in its `enum`"),
        (
            field.max_length is not None and any(len(word) > field.max_length for word in field.enum),
            "a word of its `enum` is longer than `max_length`",
        ),
    ]


def _of_bounds(field: Field) -> list[tuple[bool, str]]:
    least, most = field.minimum, field.maximum
    return [
        (field.max_items is not None and field.type is not FieldType.LIST, "`max_items` is of a list"),
        (
            field.type not in _NUMBERS and not (least is most is None),
            "`minimum` and `maximum` are of a number",
        ),
        (
            any(bound is not None and bound < 1 for bound in (field.max_length, field.max_items)),
            "a bound below 1 lets nothing in",
        ),
        (least is not None and most is not None and least > most, "the minimum is above the maximum"),
    ]


def _at(registry: Registry, name: str) -> tuple[str]:
    return (registry.places[name][0],)


def _line_of(lines: list[str], name: str) -> int:
    """The line of an entry, from 1; 0 where it is written in a way we do not look for."""
    heads = (f'[types."{name}"]', f"[types.'{name}']", f"[{name}]")
    return next((number for number, line in enumerate(lines, 1) if line.strip().startswith(heads)), 0)


def _where(document: dict[str, Any], message: str) -> str:
    """The type that a validation error is about: msgspec says `$.types[...]` for a key, so look which one fails."""
    types = document.get("types") if "`$.types" in message else None
    for name, entry in types.items() if isinstance(types, dict) else ():
        try:
            msgspec.convert(entry, EventType)
        except msgspec.ValidationError:
            return str(name)
    return ""
