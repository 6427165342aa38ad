"""A document to its endpoints, each with what the rest asks about. Nothing is decided here."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from lychgate.routes_import.document import Document, shown
from lychgate.routes_import.errors import DocumentRefused

METHODS: Final = ("get", "post", "put", "patch", "delete")
"""What a route can serve, in the order it is written in."""
OTHER_METHODS: Final = ("head", "options", "trace", "query")
_MAX_ENDPOINTS: Final = 5_000


class Parameter(msgspec.Struct, frozen=True):
    """One parameter.

    Attributes:
        name: As the document spells it.
        where: `path`, `query`, `header` or `cookie`.
        schema: Its schema.
        required: Whether it must be there.
    """

    name: str
    where: str
    schema: Mapping[str, Any]
    required: bool


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint.

    Attributes:
        method: In capitals.
        path: As written.
        place: Its number in the document, from 0.
        bases: The paths of the servers it is at; more than one where they differ, None in it where one cannot be told.
        parameters: Of the path item and of the operation.
        bodies: Schema by media type.
        body_required: Whether there must be one.
        answers: Of successes: media type and schema; the media type is empty where there is none.
        statuses: Every status it names.
        open: Whether the document says that no credential is needed.
        deprecated: Whether it says that it will go.
        alone: Whether no other route method stands beside it, so that HEAD and the like mean something by themselves.
    """

    method: str
    path: str
    place: int
    bases: tuple[str | None, ...]
    parameters: tuple[Parameter, ...]
    bodies: Mapping[str, Any]
    body_required: bool
    answers: tuple[tuple[str, Any], ...]
    statuses: frozenset[str]
    open: bool
    deprecated: bool
    alone: bool


def operations(document: Document) -> list[Operation]:
    """Every endpoint, in the order of the document.

    Raises:
        DocumentRefused: There are none, there are more than anybody could decide on, or a part has a wrong form.
    """
    found: list[Operation] = []
    paths = document.table(document.values.get("paths"))
    for path, written in paths.items():
        if path.startswith("x-"):
            continue
        item = document.resolve(written)
        if not path.startswith("/") or not isinstance(item, dict):
            raise DocumentRefused(f"{document.name}: paths: {shown(path)} is no path with an object")
        for operation in _of_path(document, path, item, len(found)):
            found.append(operation)
            if len(found) > _MAX_ENDPOINTS:
                raise DocumentRefused(f"{document.name}: more than {_MAX_ENDPOINTS} endpoints")
    if not found:
        raise DocumentRefused(f"{document.name}: paths: there is no endpoint")
    return found


def _of_path(document: Document, path: str, item: dict[str, Any], first: int) -> Iterator[Operation]:
    methods = [name for name in item if name in METHODS or name in OTHER_METHODS]
    for number, method in enumerate(methods):
        written = document.resolve(item[method])
        if not isinstance(written, dict):
            raise DocumentRefused(f"{document.name}: paths: {shown(path)}: {method} is not an object")
        responses = document.table(written.get("responses"))
        body = document.table(written.get("requestBody"))
        yield Operation(
            method=method.upper(),
            path=path,
            place=first + number,
            bases=_bases(document, written.get("servers", item.get("servers", document.values.get("servers")))),
            parameters=_parameters(document, path, item, written),
            bodies={
                media: document.table(content).get("schema") for media, content in _table(body.get("content")).items()
            },
            body_required=body.get("required") is True,
            answers=tuple(_answers(document, responses)),
            statuses=frozenset(responses),
            open=_is_open(written.get("security", document.values.get("security"))),
            deprecated=written.get("deprecated") is True,
            alone=method not in METHODS and not any(name in METHODS for name in methods),
        )


def _parameters(
    document: Document, path: str, item: Mapping[str, Any], written: Mapping[str, Any]
) -> tuple[Parameter, ...]:
    found: dict[tuple[str, str], Parameter] = {}
    for holder in (item, written):
        listed = document.resolve(holder.get("parameters", []))
        if not isinstance(listed, list):
            raise DocumentRefused(f"{document.name}: paths: {shown(path)}: parameters are not a list")
        for raw in listed:
            it = document.table(raw)
            name, where = it.get("name"), it.get("in")
            if not isinstance(name, str) or not isinstance(where, str):
                raise DocumentRefused(f"{document.name}: paths: {shown(path)}: a parameter without name or place")
            schema = document.table(it.get("schema"))
            found[where, name] = Parameter(name, where, schema, it.get("required") is True)
    return tuple(found.values())


def _answers(document: Document, responses: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for status, raw in responses.items():
        if not (status.startswith("2") or status == "default"):
            continue
        for media, content in _table(document.table(raw).get("content")).items():
            yield media, document.table(content).get("schema")


def _is_open(security: Any) -> bool:
    """`[]`, or one alternative that asks for nothing. A document that says nothing at all says nothing of this."""
    return isinstance(security, list) and (not security or {} in security)


def _bases(document: Document, servers: Any) -> tuple[str | None, ...]:
    """What the servers' addresses put in front of every path."""
    listed = document.resolve(servers)
    if not isinstance(listed, list) or not listed:
        return ("",)
    found: dict[str | None, None] = {}
    for server in listed:
        url = document.table(server).get("url")
        found[_base(url) if isinstance(url, str) else None] = None
    return tuple(found)


def _base(url: str) -> str | None:
    try:
        path = urlsplit(url).path
    except ValueError:
        return None
    path = path.rstrip("/")
    return None if "{" in path or "}" in path or (path and not path.startswith("/")) else path


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
