"""Secrets that stand in the configuration file itself: then the file is one that holds a secret, and judged as such."""

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path as File
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr

from audit.private_file import not_private
from lychgate.complaints import dotted
from lychgate.yaml_file import Parsed, Path

_SAME: Final = (Annotated, Union, UnionType)
"""Kinds whose values are of the kinds within; in any other (a list, a table) they are below."""


def open_secrets(parsed: Parsed, found: os.stat_result, model: type[BaseModel]) -> list[str]:
    """A complaint about each that others may read or write; none of it is in them.

    Args:
        parsed: What the file says.
        found: Of the file, as it was opened.
        model: What it is a configuration of.
    """
    problem = not_private(found, File(parsed.name))
    written = _written(parsed.values, model, ()) if problem else ()
    return [f"{parsed.place(path)}: {dotted(path)}: a secret stands in this file, and {problem}" for path in written]


def _written(value: Any, kind: Any, path: Path) -> Iterator[Path]:
    """Where there is something for a type that is a secret's."""
    origin = get_origin(kind)
    if kind is SecretStr and value is not None:
        yield path
    elif origin is None and isinstance(kind, type) and issubclass(kind, BaseModel):
        if isinstance(value, Mapping):
            for name, info in kind.model_fields.items():
                yield from _written(value.get(name), info.annotation, (*path, name))
    elif origin in _SAME:
        for inner in get_args(kind):
            yield from _written(value, inner, path)
    else:
        for key, part in _parts(value):
            for inner in get_args(kind):
                yield from _written(part, inner, (*path, key))


def _parts(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        return [(str(key), part) for key, part in value.items()]
    return enumerate(value) if isinstance(value, list | tuple) else ()
