"""What is asked of the policies: by the routes, and by the code of the gateway and the query API itself.

No list of actions stands here: what code asks is taken from where it is asked.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from gateway.identify.bearer import anonymous
from gateway.model import Route
from gateway.ops import actions
from gateway.route.crossing import crossings
from gateway.route.load import RoutesError, load_routes
from gateway.route.places import entry_lines
from policies.bundle import Bundle
from policies.check import Asked
from policies.check import Catalogue as Roles
from policies.errors import Finding
from policies.lint.occasions import Occasion
from policies.lint.suppress import Block
from query.access import READ, RESOURCE_TYPE, View
from roles.catalogue import Catalogue
from roles.entities import principal_entities

_OURS: Final = frozenset({"now", "cross_tenant"})
"""What every context has; `gateway.decide.question` puts it there."""


def roles_of(catalogue: Catalogue, file: str, text: str) -> Roles:
    """The catalogue as the check takes it, with the line of each role's name."""
    held = {name: frozenset(catalogue.with_included([name])) for name in catalogue.names}
    lines = {name: line for name in catalogue.names if (line := _line_of(name, text))}
    return Roles(held, file, lines, frozenset({catalogue.anonymous}))


def asked_of(file: str, text: str, bundle: Bundle, services: Mapping[str, object], catalogue: Catalogue) -> Asked:
    """Every question, and what is wrong with the routes by themselves.

    Args:
        file: The routes file, for messages.
        text: Of it.
        bundle: The policies.
        services: The configured services, by name.
        catalogue: The roles.
    """
    try:
        routes = load_routes(file, text, bundle, services).routes
    except RoutesError as exc:
        lines = [0, *entry_lines(text, exc.entries)]
        faults = [
            Finding(file, lines[fault.entry], min(lines[fault.entry], 1), fault.reason, fault.code)
            for fault in exc.faults
        ]
        # Without a table nobody knows what is asked: then anything may be, and only the file is found fault with.
        return Asked(list(_anything(bundle)), faults)
    lines = entry_lines(text, len(routes))
    at = {route.id: line for route, line in zip(routes, lines, strict=True)}
    findings = [
        _finding(file, at[route.id], f"route `{route.id}`: {route.problem}", "route")
        for route in routes
        if route.problem
    ]
    for crossing in crossings(routes):
        what = f"{crossing.loser.method} {crossing.common}"
        reason = f"`{crossing.loser.id}` does not get {what}: `{crossing.winner.id}` does, by a literal further left"
        findings.append(_finding(file, at[crossing.loser.id], reason, "crossing-routes"))
    occasions = [
        *(occasion for route in routes for occasion in _of_route(route, file, at[route.id], catalogue)),
        *(_ask(route, catalogue) for route in vars(actions).values() if isinstance(route, Route)),
        *_of_readers(catalogue),
    ]
    if any(route.problem for route in routes):
        occasions += _anything(bundle)  # what such a route would ask, nobody knows
    ends = [line - 1 for line in lines[1:]] + [text.count("\n") + 1]
    blocks = [Block(file, first, last) for first, last in zip(lines, ends, strict=True)]
    return Asked(occasions, findings, [(file, text)], blocks)


def _finding(file: str, line: int, reason: str, code: str) -> Finding:
    """About an entry, or about the whole file where its line is not known."""
    return Finding(file, line, min(line, 1), reason, code)


def _of_route(route: Route, file: str, line: int, catalogue: Catalogue) -> Iterator[Occasion]:
    """What a route asks: by callers with a credential, by those without, about each class of its answer's fields."""
    if route.problem:
        return
    callers = [_ask(route, catalogue)]
    if route.anonymous:
        callers.append(_by_nobody(callers[0], catalogue))
    context = _OURS | {attribute.name for attribute in route.attributes}
    for caller in callers:
        yield msgspec.structs.replace(caller, context=context, route=True, file=file, line=line)
        for item in route.redact:
            yield msgspec.structs.replace(caller, action=item.data_class.action)


def _ask(route: Route, catalogue: Catalogue) -> Occasion:
    """What whoever has a credential asks there."""
    return Occasion(
        name=route.id,
        action=route.action,
        resource_type=route.resource_type,
        resource_id=None if "{" in route.resource_id else route.resource_id,
        context=_OURS,
        roles=_of_tokens(catalogue),
    )


def _by_nobody(occasion: Occasion, catalogue: Catalogue) -> Occasion:
    """The same by a caller without a credential."""
    (entity,) = principal_entities(anonymous(catalogue).principal, catalogue)
    roles = frozenset(parent.id for parent in entity.parents)
    return msgspec.structs.replace(occasion, roles=roles, attributes=entity.attrs, anonymous=True)


def _of_readers(catalogue: Catalogue) -> Iterator[Occasion]:
    """What the query API asks of whoever reads the audit."""
    for action in (READ, *(view.action for view in View)):
        yield Occasion(
            name=action, action=action, resource_type=RESOURCE_TYPE, context=_OURS, roles=_of_tokens(catalogue)
        )


def _of_tokens(catalogue: Catalogue) -> frozenset[str]:
    """The roles a token can give, with all that come with them."""
    names = [role.name for role in catalogue.roles if not role.anonymous]
    return frozenset(catalogue.with_included(names))


def _anything(bundle: Bundle) -> Iterator[Occasion]:
    """Every question that the schema allows."""
    for action in bundle.actions:
        for kind in bundle.resource_types(action):
            yield Occasion(name=action, action=action, resource_type=kind)


def _line_of(name: str, text: str) -> int:
    """Where a role is named in the catalogue; 0 where it is spelled oddly."""
    found = re.search(rf"""^[ \t]*name[ \t]*=[ \t]*["']{re.escape(name)}["']""", text, re.MULTILINE)
    return text.count("\n", 0, found.start()) + 1 if found else 0
