"""What of a request goes into Cedar's context and what names a tenant. Pure; everything wrong is 400 before Cedar."""

import re
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.errors import BadRequest, UnsupportedMedia
from gateway.model import Attribute, Route, Source
from gateway.strict_json import NotStrictJson, parse_value
from gateway.wire.head import Head
from policies.model import Json

_LONG_MIN: Final = -(2**63)
_LONG_MAX: Final = 2**63 - 1
_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_JSON_TYPE: Final = re.compile(rb'application/json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*"?utf-8"?[ \t]*)?', re.IGNORECASE)
_ABSENT: Final = object()
_POINTER: Final = re.compile(r"(?:/(?:[^/~]|~[01])*)*")
_BODY_FIELDS: Final = frozenset({b"content-type", b"content-encoding"})
_JSON_DEPTH: Final = 64
"""Containers inside each other in a body that is decided on: deeper than any honest one, far from any reader's end."""


def check_json_head(head: Head) -> None:
    """Refuse a body that a decision cannot be made on.

    Raises:
        UnsupportedMedia: Not plain UTF-8 `application/json`.
    """
    types = head.get_all(b"content-type")
    if len(types) != 1 or not _JSON_TYPE.fullmatch(types[0]):
        raise UnsupportedMedia("body: not application/json in UTF-8")
    if any(value.lower() != b"identity" for value in head.get_all(b"content-encoding")):
        raise UnsupportedMedia("body: content coding")
    if any(name.replace(b"_", b"-") in _BODY_FIELDS for name, _ in head.headers if b"_" in name):
        raise UnsupportedMedia("body: field with an underscore")


def parse_json(body: bytes) -> Json:
    """Strict JSON, any value: UTF-8, no name twice, no NaN, no lone surrogates, at most 64 containers deep.

    Raises:
        BadRequest: Anything else.
    """
    try:
        return parse_value(body, _JSON_DEPTH)
    except NotStrictJson as exc:
        raise BadRequest(f"body: {exc}") from None


def is_pointer(path: str) -> bool:
    """Whether `path` is a JSON pointer of RFC 6901."""
    return _POINTER.fullmatch(path) is not None


def pointer(document: Json, path: str) -> object:
    """What an RFC 6901 pointer leads to; a private marker that is no JSON value when it leads nowhere."""
    value: Json = document
    if path == "":
        return value
    for raw in path[1:].split("/"):
        token = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and token in value:
            value = value[token]
        elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return _ABSENT
    return value


def context_values(
    route: Route, head: Head, query: bytes | None, params: Mapping[str, str], body: Json
) -> dict[str, Json]:
    """The route's part of the context.

    Args:
        route: What was matched.
        head: The request's head.
        query: As it stands in the target.
        params: What the path's parameters stand for.
        body: The parsed body, where the route reads one.

    Raises:
        BadRequest: A required value is missing, is there twice, or is not of its type.
    """
    found: dict[str, Json] = {}
    for item in route.attributes:
        value = _raw_value(item, head, query, params, body)
        if value is _ABSENT:
            if item.required:
                raise BadRequest(f"context: `{item.name}` is missing")
            continue
        found[item.name] = _typed(item, value)
    return found


def named_tenants(route: Route, head: Head, params: Mapping[str, str], body: Json) -> list[str]:
    """Every tenant the request names: parameter, `X-Tenant-Id` as sent, body pointers.

    Raises:
        BadRequest: A body pointer leads nowhere or to something that is not text.
    """
    found: list[str] = []
    if route.tenant_param is not None:
        found.append(params[route.tenant_param])
    found += [value.decode("latin-1") for value in head.get_all(b"x-tenant-id")]
    for path in route.tenant_pointers:
        value = pointer(body, path)
        if not isinstance(value, str):
            raise BadRequest("tenant: the body does not name one")
        found.append(value)
    return found


def _raw_value(item: Attribute, head: Head, query: bytes | None, params: Mapping[str, str], body: Json) -> object:
    """The value as it came, or `_ABSENT`."""
    match item.source:
        case Source.BODY:
            return pointer(body, item.key)
        case Source.PATH:
            return params[item.key]
        case Source.HEADER:
            return _single(_header_values(head, item), item.name)
        case Source.QUERY:
            return _single(_query_values(query or b"", item.key), item.name)


def _single(values: Sequence[str], name: str) -> object:
    """The only value; two would let policy and service read different ones."""
    if len(values) > 1:
        raise BadRequest(f"context: `{name}` is there twice")
    return values[0] if values else _ABSENT


def _header_values(head: Head, item: Attribute) -> list[str]:
    """Every value of a field, if the service will see the same ones.

    It will not where `Connection` says the field ends here, and may see more where an underscore stands for a hyphen:
    CGI and WSGI make one of both.
    """
    key = item.key.encode()
    found: list[str] = []
    for name, value in head.headers:
        if name == key:
            found.append(value.decode("latin-1"))
        elif b"_" in name and name.replace(b"_", b"-") == key:
            raise BadRequest(f"context: `{item.name}` is spelled two ways")
        elif name == b"connection" and key in {option.strip() for option in value.lower().split(b",")}:
            raise BadRequest(f"context: `{item.name}` is for this hop only")
    return found


def _query_values(query: bytes, key: str) -> list[str]:
    """Every value of a query key, decoded once; `+` is a space, as forms send it."""
    found: list[str] = []
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        try:
            if unquote_to_bytes(name.replace(b"+", b" ")).decode("utf-8") == key:
                found.append(unquote_to_bytes(value.replace(b"+", b" ")).decode("utf-8"))
        except UnicodeDecodeError:
            raise BadRequest("query: not UTF-8") from None
    return found


def _typed(item: Attribute, value: object) -> Json:
    """The value in the type the schema gives it. JSON values must have it; text is read as it strictly."""
    textual = item.source is not Source.BODY
    if item.type == "String" and isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise BadRequest(f"context: `{item.name}` is not text") from None
        return value
    if item.type == "Boolean":
        if textual and value in {"true", "false"}:
            return value == "true"
        if isinstance(value, bool):
            return value
    if item.type == "Long":
        if textual and isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and _LONG_MIN <= value <= _LONG_MAX:
            return value
    raise BadRequest(f"context: `{item.name}` is not a {item.type}")
