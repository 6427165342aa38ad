"""docs/reference/settings.md, from the pydantic models."""

import enum
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.limits import Limits
from gateway.settings import LimitsSettings
from lychgate.complaints import element, section
from lychgate.environment import ALIASES, CONFIG_VARIABLE, PREFIX, SEPARATOR
from lychgate.reference.markdown import attributes, first_sentence, table
from lychgate.reference.markdown import page as markdown_page
from lychgate.settings import Settings

_WORDS: dict[Any, str] = {
    int: "integer",
    float: "number",
    bool: "true or false",
    str: "text",
    Path: "path",
    SecretStr: "secret",
    type(None): "null",
}

_DESCRIBED_BY: dict[type[BaseModel], type] = {LimitsSettings: Limits}
"""Sections that mirror a value whose docstring says what each field means."""


def page() -> str:
    """The page."""
    parts = [_section(name, info) for name, info in Settings.model_fields.items()]
    aliases = table(("variable", "same as"), ((f"`{alias}`", f"`{full}`") for alias, full in ALIASES.items()))
    return markdown_page(
        "Settings",
        f"""
One file, `lychgate.yaml` (`--config` or `{CONFIG_VARIABLE}` names another), checked whole at start. Every key can be
set by a variable: `gateway.port` is `{PREFIX}GATEWAY{SEPARATOR}PORT`; lists and tables are written as JSON. The
environment wins over the file. An unknown key or variable is an error that names its place and the nearest valid one.
Relative paths start at the folder the command runs in. Units stand in names.

Names that older deployments use; the `{PREFIX}` form wins:

{aliases}
""",
        *parts,
    )


class Key(NamedTuple):
    """A key of the configuration, in the words of its page."""

    key: str
    type: str
    default: str
    meaning: str


def keys() -> Iterator[Key]:
    """Every key that a configuration may have; `NAME` and `[N]` stand where there may be many."""
    for name, info in Settings.model_fields.items():
        yield from _keys(name, info)


def _keys(name: str, info: FieldInfo) -> Iterator[Key]:
    model = section(info.annotation)
    many = element(info.annotation)
    if model is not None:
        yield from _rows(name, model)
    if many is not None:
        yield from _rows(f"{name}.NAME" if get_origin(info.annotation) is dict else f"{name}[N]", many)


def _section(name: str, info: FieldInfo) -> str:
    listed = table(Key._fields, ((f"`{each.key}`", *each[1:]) for each in _keys(name, info)))
    return f"## {name}\n\n{info.description}\n\n{listed}"


def _rows(prefix: str, model: type[BaseModel]) -> Iterator[Key]:
    described = attributes(_DESCRIBED_BY.get(model, model))
    for name, info in model.model_fields.items():
        inner = section(info.annotation)
        if inner is not None:
            yield from _rows(f"{prefix}.{name}", inner)
            continue
        meaning = info.description or described.get(name) or first_sentence(model)
        yield Key(f"{prefix}.{name}", _type(info.annotation), _default(info), meaning)


def _type(annotation: Any) -> str:
    """A type in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin in {Union, types.UnionType}:
        return " or ".join(_type(argument) for argument in arguments if argument is not type(None))
    if origin in {tuple, list, dict}:
        return f"table of {_type(arguments[1])}" if origin is dict else f"list of {_type(arguments[0])}"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        origin, arguments = Literal, tuple(member.value for member in annotation)
    if origin is Literal:
        return "one of " + ", ".join(f"`{value}`" for value in arguments)
    return _WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _default(info: FieldInfo) -> str:
    """The default as it would stand in the file."""
    value = info.default
    if value is PydanticUndefined:
        return "required"
    return "none" if value is None else f"`{_yaml(value)}`"


def _yaml(value: object) -> str:
    """A value as YAML's flow form, near enough to be copied."""
    match value:
        case enum.Enum():
            return str(value.value)
        case bool():
            return str(value).lower()
        case tuple() | list():
            return f"[{', '.join(map(_yaml, value))}]"
        case dict():
            return "{" + ", ".join(f"{key}: {_yaml(item)}" for key, item in value.items()) + "}"
        case float():
            return f"{value:g}"
        case _:
            return str(value)
