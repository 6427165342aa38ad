"""`routes.toml` to a `Table`.

A file that cannot be read as routes at all, or two routes that match the same request, refuse the whole. A route that
is wrong in itself (an action the schema lacks, a service nobody configured) stays in the table with its problem and
refuses its path: dropping it would let a wider route have its requests.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from gateway.model import Attribute, Route, Source
from gateway.route.extract import is_pointer
from gateway.route.sensitive import sensitive_fields
from gateway.route.table import AmbiguousRoutesError, Table
from policies.bundle import Bundle

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_PARAM: Final = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_SEGMENT: Final = re.compile(r"[A-Za-z0-9._~-]+")
_TYPES: Final = frozenset({"String", "Long", "Boolean"})


class RouteFault(msgspec.Struct, frozen=True):
    """Why a routes file cannot be used.

    Attributes:
        entry: The number of the entry, from 1; 0 where it is about the whole file.
        reason: With the entry's number and id.
        code: `routes` or `same-routes`.
    """

    entry: int
    reason: str
    code: str = "routes"


class RoutesError(ValueError):
    """The routes file cannot be used; the text names file, route and reason, one finding a line.

    Attributes:
        faults: At least one.
        entries: How many entries the file has.
    """

    def __init__(self, name: str, faults: Iterable[RouteFault], entries: int = 0) -> None:
        self.faults = tuple(faults)
        self.entries = entries
        super().__init__("\n".join(f"{name}: {fault.reason}" for fault in self.faults))


class _Resource(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    id: str = "*"


class _Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    source: str = msgspec.field(name="from")
    name: str | None = None
    pointer: str | None = None
    optional: bool = False


class _Tenant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One `[[route]]` as written."""

    id: str
    method: str
    path: str
    service: str
    action: str
    resource: _Resource
    context: dict[str, _Context] = {}
    tenant: _Tenant | None = None
    tenant_pointers: tuple[str, ...] = ()
    changes: bool | None = None
    guarantee: str | None = None
    anonymous: bool = False
    pass_authorization: bool = False
    max_body_bytes: int | None = None
    websocket: bool = False
    redact: dict[str, tuple[str, ...]] = {}
    trailers: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    route: list[dict[str, Any]] = []


def load_routes(name: str, text: str, bundle: Bundle, services: Mapping[str, object]) -> Table:
    """Build the table.

    Args:
        name: The file's name, for messages.
        text: TOML, as DESIGN section 4 and `docs/reference/routes.md` describe it.
        bundle: Whose schema gives actions, resource types and context types.
        services: The configured services, by name.

    Raises:
        RoutesError: The file is not TOML, an entry has an unknown or missing key, a path is not a template, an id is
            there twice, or two routes match the same request.
    """
    try:
        entries = msgspec.convert(tomllib.loads(text), _File).route
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as exc:
        raise RoutesError(name, [RouteFault(0, str(exc))]) from None
    faults: list[RouteFault] = []
    routes: list[Route] = []
    seen: set[str] = set()
    taken: dict[tuple[str, tuple[str | None, ...]], Route] = {}
    for number, raw in enumerate(entries, 1):
        label = f"route {number} `{raw.get('id', '?')}`"
        try:
            route = _route(msgspec.convert(raw, _Entry), bundle, services)
        except (msgspec.ValidationError, ValueError) as exc:
            faults.append(RouteFault(number, f"{label}: {exc}"))
            continue
        if route.id in seen:
            faults.append(RouteFault(number, f"{label}: id is there twice"))
        seen.add(route.id)
        first = taken.setdefault((route.method, route.segments), route)
        if first is not route:
            faults.append(RouteFault(number, str(AmbiguousRoutesError(first, route)), "same-routes"))
        routes.append(route)
    if faults:
        raise RoutesError(name, faults, len(entries))
    return Table(routes)


def _route(entry: _Entry, bundle: Bundle, services: Mapping[str, object]) -> Route:
    """One entry; raises ValueError where no path could be refused for it."""
    if entry.method not in _METHODS:
        raise ValueError(f"method `{entry.method}` is not one of {', '.join(sorted(_METHODS))}")
    segments, params = segments_of(entry.path)
    # Opening a tunnel counts as a change (DESIGN section 4): what follows in it is not decided again.
    changes = entry.changes if entry.changes is not None else entry.method != "GET" or entry.websocket
    attributes, problems = _attributes(entry, params, bundle)
    problems += _problems(entry, params, bundle, services)
    redact, wrong = sensitive_fields(entry.redact, entry.resource.type, bundle)
    problems += wrong
    if entry.guarantee not in {None, "durable", "buffered"}:
        problems.append(f"guarantee `{entry.guarantee}` is neither durable nor buffered")
    return Route(
        id=entry.id,
        method=entry.method,
        template=entry.path,
        segments=segments,
        params=params,
        service=entry.service,
        action=entry.action,
        resource_type=entry.resource.type,
        resource_id=entry.resource.id,
        attributes=attributes,
        tenant_param=entry.tenant.path if entry.tenant else None,
        tenant_pointers=entry.tenant_pointers,
        changes=changes,
        durable=entry.guarantee != "buffered" if changes else entry.guarantee == "durable",
        anonymous=entry.anonymous,
        pass_authorization=entry.pass_authorization,
        body_bytes=entry.max_body_bytes,
        websocket=entry.websocket,
        redact=redact,
        trailers=entry.trailers,
        problem="; ".join(problems),
    )


def segments_of(path: str) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    """A template's segments and parameter names."""
    if not path.startswith("/"):
        raise ValueError(f"path `{path}` does not begin with a slash")
    if path == "/":
        return (), ()
    segments: list[str | None] = []
    params: list[str] = []
    for segment in path[1:].split("/"):
        if match := _PARAM.fullmatch(segment):
            segments.append(None)
            params.append(match[1])
        elif _SEGMENT.fullmatch(segment) and segment.strip("."):
            segments.append(segment)
        else:
            raise ValueError(f"path `{path}`: segment `{segment}` is neither plain text nor one parameter")
    if len(set(params)) != len(params):
        raise ValueError(f"path `{path}`: a parameter is there twice")
    return tuple(segments), tuple(params)


def _attributes(entry: _Entry, params: tuple[str, ...], bundle: Bundle) -> tuple[tuple[Attribute, ...], list[str]]:
    """The context a route extracts, typed by the action's schema, and what is wrong with it."""
    problems: list[str] = []
    found: list[Attribute] = []
    if entry.action not in bundle.actions:
        return (), problems
    types = bundle.context_type(entry.action)
    for name, item in entry.context.items():
        declared = types.get(name)
        if declared is None:
            problems.append(f"context `{name}` is not in the context type of `{entry.action}`")
            continue
        if declared.type not in _TYPES:
            problems.append(f"context `{name}` has type {declared.type}, which a route cannot read")
            continue
        if item.source not in {source.value for source in Source}:
            problems.append(f"context `{name}`: from `{item.source}` is not one of path, query, header, body")
            continue
        source = Source(item.source)
        key = item.pointer if source is Source.BODY else item.name
        if key is None or (source is Source.BODY and not is_pointer(key)):
            problems.append(f"context `{name}`: a body needs a `pointer` of RFC 6901, all else a `name`")
            continue
        if source is Source.PATH and key not in params:
            problems.append(f"context `{name}`: the path has no parameter `{key}`")
            continue
        if item.optional and declared.required:
            problems.append(f"context `{name}` is optional here and required by `{entry.action}`")
            continue
        key = key.lower() if source is Source.HEADER else key
        found.append(Attribute(name, source, key, declared.type, not item.optional))
    return tuple(found), problems


def _problems(entry: _Entry, params: tuple[str, ...], bundle: Bundle, services: Mapping[str, object]) -> list[str]:
    """What keeps an entry from being used, beside its context."""
    problems: list[str] = []
    if entry.service not in services:
        problems.append(f"service `{entry.service}` is not configured")
    if entry.action not in bundle.actions:
        problems.append(f"action `{entry.action}` is not in the schema")
    else:
        if entry.resource.type not in bundle.resource_types(entry.action):
            problems.append(f"action `{entry.action}` does not apply to `{entry.resource.type}`")
        given = {"now", "cross_tenant", *entry.context}
        missing = [name for name, item in bundle.context_type(entry.action).items() if item.required]
        problems += [f"context `{name}` is required by `{entry.action}`" for name in missing if name not in given]
    problems += [
        f"resource id: the path has no parameter `{name}`"
        for name in _PARAM.findall(entry.resource.id)
        if name not in params
    ]
    if any(brace in _PARAM.sub("", entry.resource.id) for brace in "{}"):
        problems.append(f"resource id `{entry.resource.id}`: a brace that belongs to no parameter")
    problems += [f"tenant pointer `{path}` is not a pointer" for path in entry.tenant_pointers if not is_pointer(path)]
    if entry.tenant is not None and entry.tenant.path not in params:
        problems.append(f"tenant: the path has no parameter `{entry.tenant.path}`")
    if entry.method in {"GET", "DELETE"} and (
        entry.tenant_pointers or any(item.source == Source.BODY.value for item in entry.context.values())
    ):
        problems.append(f"{entry.method} has no body to decide on")
    if entry.websocket:
        problems += _tunnel_problems(entry)
    if entry.websocket and (entry.redact or entry.trailers):
        problems.append("a WebSocket has neither fields to redact nor trailers")
    if entry.max_body_bytes is not None and entry.max_body_bytes < 1:
        problems.append("max_body_bytes is less than 1")
    return problems


def _tunnel_problems(entry: _Entry) -> list[str]:
    """What keeps an entry from opening WebSockets."""
    problems: list[str] = []
    if entry.method != "GET":
        problems.append("websocket is opened by GET")
    if entry.changes is False or entry.guarantee == "buffered":
        problems.append("websocket: opening a tunnel changes something, and is durable")
    return problems
