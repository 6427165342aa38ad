"""A routes file with what an import adds to it; what stands in it already stays as it is, byte for byte. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias

import msgspec

from gateway.model import Route
from gateway.route.load import RoutesError, load_routes
from lychgate.errors import ConfigurationError
from lychgate.routes_import.model import About, Proposal, Question
from lychgate.routes_import.overlaps import ask_about_overlaps
from lychgate.routes_import.propose import Import, Wish, rename
from lychgate.routes_import.written import MARK, comment, header, toml
from policies.bundle import Bundle

_SAID: Final = re.compile(
    r"^[ \t]*#[ \t]*no (?P<what>route|endpoint):[ \t]+(?P<service>\S+)[ \t]+(?P<method>[A-Z]+)[ \t]+(?P<path>/\S*)"
    r"[ \t]+\S.*$",
    re.MULTILINE,
)
_PARAMETER: Final = re.compile(r"\{[^{}/]*\}")
_Key: TypeAlias = tuple[str, str]
"""Method and path, parameters without their names."""


class Existing(msgspec.Struct, frozen=True):
    """A routes file as it is.

    Attributes:
        name: For messages.
        text: Of it.
        routes: In it.
        closed: Endpoints of the service that somebody has said are to have no route.
        kept: Routes of the service that somebody has said are to stay without an endpoint.
    """

    name: str
    text: str = ""
    routes: tuple[Route, ...] = ()
    closed: frozenset[_Key] = frozenset()
    kept: frozenset[_Key] = frozenset()


class Merged(msgspec.Struct, frozen=True):
    """What came of it.

    Attributes:
        text: The whole file.
        added: The routes that are new in it.
        questions: Everything that a person has to decide, new and left over.
    """

    text: str
    added: list[Proposal]
    questions: list[Question]


def existing(name: str, text: str, service: str, bundle: Bundle, services: Mapping[str, object]) -> Existing:
    """Read a routes file.

    Raises:
        ConfigurationError: The gateway could not use it.
    """
    try:
        routes = load_routes(name, text, bundle, services).routes
    except RoutesError as exc:
        raise ConfigurationError(str(exc)) from None
    said = [found for found in _SAID.finditer(text) if found["service"] == service]
    marked = {
        what: frozenset(_key(it["method"], it["path"]) for it in said if it["what"] == what)
        for what in ("route", "endpoint")
    }
    return Existing(name, text, routes, marked["route"], marked["endpoint"])


def merge(old: Existing, made: Import, wish: Wish, bundle: Bundle) -> Merged:
    """Add to a routes file what it lacks.

    Args:
        old: The file; one without text where there is none.
        made: Of the document.
        wish: What the import was asked for.
        bundle: The policies, for what is still open in the file.
    """
    taken = {_key(route.method, route.template): route for route in old.routes}
    added: list[Proposal] = []
    unwritten = [it for it in made.unwritten if _key(*it.where.split(" ", 1)) not in old.closed]
    for proposal in made.proposals:
        key = _key(proposal.method, proposal.template)
        if key in old.closed:
            continue
        if key not in taken:
            added.append(proposal)
        elif taken[key].service != wish.service:
            text = f"not written: `{taken[key].id}` sends these requests to another service"
            unwritten.append(Question(proposal.where, About.OVERLAP, text, closed=True))
    rename(added, {route.id: route for route in old.routes})
    ask_about_overlaps(added, old.routes)
    lines = set(old.text.splitlines())
    unwritten = [it for it in unwritten if comment(it, it.where) not in lines]
    new = toml(added, unwritten)
    known = any(route.service == wish.service for route in old.routes)
    above = "" if known or not new else header(wish.service) + "\n"
    gap = "" if not old.text or not new else "\n" if old.text.endswith("\n") else "\n\n"
    questions = [
        *(made.general if added else ()),
        *(question for proposal in added for question in proposal.questions),
        *unwritten,
        *_left(old),
        *_undeclared(old, wish, bundle),
        *_gone(old, made, wish),
    ]
    return Merged(old.text + gap + above + new, added, questions)


def _left(old: Existing) -> Iterator[Question]:
    """The lines of an earlier import that nobody has taken away yet."""
    for number, line in enumerate(old.text.splitlines(), 1):
        if line.startswith(MARK):
            yield Question(f"{old.name}:{number}", About.LEFT, line.removeprefix(MARK).strip(), "(closed)" in line)


def _undeclared(old: Existing, wish: Wish, bundle: Bundle) -> Iterator[Question]:
    """Routes of the service whose action is not there yet."""
    for route in old.routes:
        if route.service == wish.service and route.action not in bundle.actions:
            text = f"`{route.id}`: the schema has no action `{route.action}`"
            yield Question(f"{route.method} {route.template}", About.ACTION, text, closed=True)


def _gone(old: Existing, made: Import, wish: Wish) -> Iterator[Question]:
    """Routes of the service that the document has no endpoint for; no document has those of WebSockets."""
    there = {_key(it.method, it.template) for it in made.proposals}
    there |= {_key(*it.where.split(" ", 1)) for it in made.unwritten}
    for route in old.routes:
        key = _key(route.method, route.template)
        if route.service == wish.service and not route.websocket and key not in there | old.kept:
            text = f"`{route.id}` has no endpoint in the document; take it away, or `# no endpoint: ...` says why not"
            yield Question(f"{route.method} {route.template}", About.NO_ENDPOINT, text, closed=False)


def _key(method: str, path: str) -> _Key:
    return method, _PARAMETER.sub("{}", path)
