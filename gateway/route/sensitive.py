"""The fields that a route names in its answers, by class: from the file to `gateway.model.Sensitive`. Pure.

A path that would silently match nothing is refused with its route: a field that nobody masks looks like one that
needs no masking.
"""

from collections.abc import Mapping
from typing import Final

from gateway.model import DataClass, Sensitive
from gateway.route.extract import is_pointer
from policies.bundle import Bundle

ANY: Final = "*"
_HEADER_CHARS: Final = 2048
"""Of all pointers of a route: an answer names those that were masked in one header field."""


def sensitive_fields(
    written: Mapping[str, tuple[str, ...]], resource_type: str, bundle: Bundle
) -> tuple[tuple[Sensitive, ...], list[str]]:
    """What a route's `redact` says.

    Args:
        written: Pointers by class, as in the file.
        resource_type: Of the route: whom the class's action must apply to.
        bundle: Whose schema has the actions.

    Returns:
        The fields in the order of the classes, and what is wrong with them.
    """
    found: list[Sensitive] = []
    problems = [
        f"redact: `{name}` is not one of {', '.join(DataClass)}" for name in written if name not in list(DataClass)
    ]
    for data_class in DataClass:
        if data_class.value not in written:
            continue
        pointers = written[data_class.value]
        if data_class.action not in bundle.actions:
            problems.append(f"redact: action `{data_class.action}` is not in the schema")
        elif resource_type not in bundle.resource_types(data_class.action):
            problems.append(f"redact: action `{data_class.action}` does not apply to `{resource_type}`")
        if not pointers:
            problems.append(f"redact: `{data_class}` names no field")
        wrong = [f"redact: `{pointer}` {reason}" for pointer in pointers if (reason := _wrong(pointer))]
        problems += wrong
        if not wrong:
            paths = tuple(dict.fromkeys(_path(pointer) for pointer in pointers))
            names = frozenset(_name(path) for path in paths)
            found.append(Sensitive(data_class, tuple(dict.fromkeys(pointers)), paths, names))
    if sum(len(pointer) for item in found for pointer in item.pointers) > _HEADER_CHARS:
        problems.append(f"redact: more than {_HEADER_CHARS} characters of pointers")
    return tuple(found), problems


def _path(pointer: str) -> tuple[str, ...]:
    """RFC 6901 section 4."""
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def _name(path: tuple[str, ...]) -> str:
    """The last part that is a name, in lower case."""
    return next(part for part in reversed(path) if part != ANY).lower()


def _wrong(pointer: str) -> str:
    """Why a pointer cannot be used; empty when it can."""
    if not pointer or not is_pointer(pointer):
        return "is not a pointer of RFC 6901 to a field"
    path = _path(pointer)
    if not all(path):
        return "has an empty part"
    if any(part.isdecimal() for part in path):
        return "names one element of a list by its number; `*` names them all"
    if all(part == ANY for part in path):
        return "names nothing"
    return ""
