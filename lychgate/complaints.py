"""A wrong key or value -> one line that says where it stands and what would be right. Pure."""

import difflib
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from lychgate.environment import PREFIX, SEPARATOR, path_of, variables_of
from lychgate.yaml_file import Parsed

_CLOSE = 0.5
"""difflib's ratio: `prot` and `port` score 0.75, `timeout` and `total_s` 0.57."""


def complaint(error: ErrorDetails, parsed: Parsed, variables: Mapping[str, str], root: type[BaseModel]) -> str:
    """Word one of pydantic's errors.

    Args:
        error: What pydantic found.
        parsed: The file, for the line.
        variables: The environment's variables that set keys, for the name.
        root: The whole configuration's model, for the nearest valid key.

    Returns:
        `lychgate.yaml:3: gateway.prot: there is no such key; the nearest is gateway.port`.
    """
    path = tuple(error["loc"])
    name = dotted(path)
    if error["type"] == "extra_forbidden":
        what = f"there is no such key{_nearest_key(path, root)}"
    elif error["type"] == "missing":
        what = "this key is required"
    else:
        what = error["msg"].removeprefix("Value error, ")
        what = what[:1].lower() + what[1:]
    return f"{_place(path, parsed, variables)}: {name}: {what}"


def unknown_variables(variables: Mapping[str, str], root: type[BaseModel]) -> list[str]:
    """A line for each variable that would set nothing: pydantic would pass over it in silence."""
    return [
        f"environment: {name}: there is no such key{_nearest_variable(name, root)}"
        for name in variables
        if not _leads_somewhere(path_of(name), root)
    ]


def keys(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key of a model and of the models in it, sections before their keys."""
    for name, info in model.model_fields.items():
        path = (*prefix, name)
        yield path
        if (inner := section(info.annotation)) is not None:
            yield from keys(inner, path)


def section(annotation: Any) -> type[BaseModel] | None:
    """The model a field holds, if it holds one or none (not a list or table of them)."""
    if get_origin(annotation) is UnionType:
        annotation = next((argument for argument in get_args(annotation) if section(argument)), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def element(annotation: Any) -> type[BaseModel] | None:
    """The model a field holds many of, in a list or table."""
    if get_origin(annotation) not in {tuple, list, dict}:
        return None
    for argument in get_args(annotation):
        # `Annotated[Model, ...]` hides the model in its first argument.
        found = section(argument) or next((section(a) for a in get_args(argument)[:1]), None)
        if found is not None:
            return found
    return None


def dotted(path: tuple[str | int, ...]) -> str:
    """`issuers[0].iss`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _place(path: tuple[str | int, ...], parsed: Parsed, variables: Mapping[str, str]) -> str:
    """Where a value came from; the environment wins over the file, as its values do."""
    named = tuple(part for part in path if isinstance(part, str))
    for variable in variables_of(named, variables):
        return f"environment: {variable}"
    return parsed.place(path) or parsed.name


def _nearest_key(path: tuple[str | int, ...], root: type[BaseModel]) -> str:
    """The most similar key beside the unknown one, else the most similar anywhere."""
    *above, wrong = path
    siblings = _fields_at(tuple(above), root)
    everywhere = {".".join(key): key for key in keys(root)}
    if misplaced := [name for name, key in everywhere.items() if key[-1] == wrong]:
        return f"; the nearest is {misplaced[0]}"
    if close := difflib.get_close_matches(str(wrong), siblings, n=1, cutoff=_CLOSE):
        return f"; the nearest is {dotted((*above, close[0]))}"
    close = difflib.get_close_matches(dotted(path), everywhere, n=1, cutoff=_CLOSE)
    return f"; the nearest is {close[0]}" if close else f"; there are {', '.join(siblings)}"


def _fields_at(path: tuple[str | int, ...], root: type[BaseModel]) -> list[str]:
    """The keys a table may hold."""
    model: type[BaseModel] | None = root
    for part in path:
        if model is None:
            break
        if isinstance(part, str) and part in model.model_fields:
            annotation = model.model_fields[part].annotation
            model = section(annotation) or element(annotation)
        # An index or a name in a list or table of models stays at that model.
    return list(model.model_fields) if model is not None else []


def _leads_somewhere(path: tuple[str, ...], root: type[BaseModel]) -> bool:
    """Whether a variable's path ends at a key, or goes on inside a table whose keys are free."""
    model = root
    for part in path:
        if part not in model.model_fields:
            return False
        annotation = model.model_fields[part].annotation
        inner = section(annotation)
        if inner is None:
            return part == path[-1] or get_origin(annotation) is dict
        model = inner
    return True


def _nearest_variable(name: str, root: type[BaseModel]) -> str:
    """The most similar variable."""
    known = [PREFIX + SEPARATOR.join(path).upper() for path in keys(root)]
    close = difflib.get_close_matches(name, known, n=1, cutoff=_CLOSE)
    return f"; the nearest is {close[0]}" if close else ""
