"""Endpoints to proposals: each route as it would be written, and what a person has to decide about it. Pure.

Where the document and the schema leave a choice, the narrower one is written, and where there is no narrower one the
route is written closed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from lychgate.routes_import.ask_body import ask_about_body, ask_about_tenants
from lychgate.routes_import.ask_context import ask_about_context
from lychgate.routes_import.bodies import media_type
from lychgate.routes_import.document import Document, shown
from lychgate.routes_import.model import About, Proposal, Question
from lychgate.routes_import.naming import Namer, Segments, snake
from lychgate.routes_import.operations import METHODS, Operation, operations
from lychgate.routes_import.personal import Seen
from lychgate.routes_import.templates import Template, template_of
from policies.bundle import Bundle

_READING: Final = frozenset(
    {"search", "lookup", "query", "find", "filter", "preview", "validate", "check", "calculate"}
)
_CHANGING: Final = frozenset(
    {"logout", "delete", "remove", "cancel", "confirm", "reset", "activate", "approve", "send", "run", "trigger",
     "sync", "refresh", "retry", "unsubscribe", "verify"}
)  # fmt: skip
_OWN_FIRST: Final = frozenset({"internal", "debug", "actuator", ".well-known"})
_OWN_ALONE: Final = frozenset(
    {"health", "healthz", "healthcheck", "live", "livez", "ready", "readyz", "ping", "metrics", "docs", "redoc",
     "openapi.json", "openapi.yaml", "status", "version"}
)  # fmt: skip
_JSON_ENDINGS: Final = ("/json", "+json")
_MANY: Final = 2
_POINTER_CHARS: Final = 2048
"""As `gateway.route.sensitive` allows a route."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What the import was asked for.

    Attributes:
        service: The service's name.
        prefix: What its actions begin with.
        base: What stands before every path, where the command says so; None where the document's servers do.
    """

    service: str
    prefix: str
    base: str | None = None


class Import(msgspec.Struct, frozen=True):
    """What was made of a document.

    Attributes:
        proposals: Routes to write, sorted by path and method.
        unwritten: Questions about endpoints that no route is written for.
        general: Questions about all of them.
    """

    proposals: list[Proposal]
    unwritten: list[Question]
    general: list[Question]


def propose(document: Document, wish: Wish, bundle: Bundle) -> Import:
    """Propose a route for each endpoint.

    Raises:
        DocumentRefused: A part of the document cannot be used.
    """
    unwritten: list[Question] = []
    taken: list[tuple[Operation, Template]] = []
    found = operations(document)
    for operation in found:
        template = _template(operation, wish, unwritten)
        if template is not None:
            taken.append((operation, template))
    taken = _one_each(taken, unwritten)
    paths = [template.about for _, template in taken]
    namer, beside = Namer(wish.service, paths), Counter(template.segments for _, template in taken)
    proposals = [
        _proposal(document, wish, bundle, namer, operation, template, beside[template.segments])
        for operation, template in taken
    ]
    proposals.sort(key=_order)
    _name(proposals, wish)
    _ask_about_sharing(proposals)
    return Import(proposals, unwritten, _ask_about_bases(document, found, wish))


def _template(operation: Operation, wish: Wish, unwritten: list[Question]) -> Template | None:
    """The path of a route for an endpoint; None where there is none, which is asked about unless it goes by itself."""
    base = wish.base if wish.base is not None else (operation.bases[0] if len(operation.bases) == 1 else "") or ""
    where = f"{operation.method} {shown(base + operation.path).strip('`')}"
    if operation.method.lower() not in METHODS:
        if operation.method == "HEAD" and not operation.alone:
            return None  # decided as GET
        text = {
            "HEAD": "not written: there is no GET beside it, and HEAD is decided as GET",
            "OPTIONS": "not written: the gateway answers preflights itself (`services.NAME.cors`), and no other",
        }.get(operation.method, f"not written: the gateway does not forward {operation.method}")
        unwritten.append(Question(where, About.METHOD, text, closed=True))
        return None
    literals = [it for it in operation.path.strip("/").split("/") if it]
    if literals and (literals[0] in _OWN_FIRST or (len(literals) == 1 and literals[0] in _OWN_ALONE)):
        text = "not written: it looks like the service's own operations, which are not for callers"
        unwritten.append(Question(where, About.OPERATIONS, text, closed=True))
        return None
    try:
        return template_of(operation.path, base)
    except ValueError as exc:
        unwritten.append(Question(where, About.PATH, f"not written: {exc}", closed=True))
        return None


def _one_each(
    taken: Sequence[tuple[Operation, Template]], unwritten: list[Question]
) -> list[tuple[Operation, Template]]:
    """Without endpoints that differ in parameter names only: two such routes would refuse the whole file."""
    first: dict[tuple[str, tuple[str | None, ...]], str] = {}
    kept = []
    for operation, template in taken:
        key = (operation.method, template.segments)
        if key in first:
            text = f"not written: it matches the same requests as `{first[key]}`"
            unwritten.append(Question(f"{operation.method} {template.text}", About.OVERLAP, text, closed=True))
        else:
            first[key] = template.text
            kept.append((operation, template))
    return kept


def _proposal(
    document: Document,
    wish: Wish,
    bundle: Bundle,
    namer: Namer,
    operation: Operation,
    template: Template,
    siblings: int,
) -> Proposal:
    about = template.about
    ids = [name for name in template.params.values() if name != template.tenant]
    proposal = Proposal(
        id="",
        method=operation.method,
        template=template.text,
        segments=template.segments,
        service=wish.service,
        action=f"{wish.prefix}:{namer.verb(operation.method, about, siblings)}",
        resource_type=namer.resource_type(about),
        resource_id=f"{{{ids[0]}}}" if ids else "*",
        place=operation.place,
        tenant_param=template.tenant,
        questions=[],
    )
    _ask_about_action(proposal, bundle, namer, about)
    if len(ids) >= _MANY:
        names = ", ".join(f"`{name}`" for name in ids)
        proposal.ask(About.RESOURCE, f"which of {names} is the resource's id", closed=True)
    _ask_about_reach(proposal, operation, wish)
    _ask_about_changes(proposal, operation)
    ask_about_tenants(proposal, document, operation, template)
    ask_about_body(proposal, operation)
    ask_about_context(proposal, document, operation, template, bundle)
    _ask_about_answers(proposal, document, operation, bundle)
    return proposal


def _ask_about_action(proposal: Proposal, bundle: Bundle, namer: Namer, about: Segments) -> None:
    """Whether the action that a path's words make is the one it is meant to be: who may do it may come here."""
    prefix = proposal.action.partition(":")[0] + ":"
    if proposal.action not in bundle.actions:
        kinds = {kind for name in bundle.actions if name.startswith(prefix) for kind in bundle.resource_types(name)}
        if len(kinds) == 1:  # what all of the service's other actions are about
            proposal.resource_type = kinds.pop()
        text = f"`{proposal.action}` is not in the schema: declare it and permit it to somebody, or name another"
        proposal.ask(About.ACTION, text, closed=True)
        return
    types = bundle.resource_types(proposal.action)
    if unsaid := namer.unsaid(about):
        words = ", ".join(shown(word) for word in unsaid)
        text = f"{words} in the path is not in the name `{proposal.action}`: is it that action, or one of its own"
        proposal.ask(About.RESOURCE, text, closed=True)
    if proposal.resource_type not in types:
        if len(types) == 1 and not namer.says(about, types[0]):
            text = (
                f"`{proposal.action}` applies to `{types[0]}`, and the path says `{proposal.resource_type}`: is it one"
            )
            proposal.ask(About.RESOURCE, text, closed=True)
        proposal.resource_type = types[0]
    if len(types) > 1:
        names = ", ".join(f"`{name}`" for name in types)
        proposal.ask(About.RESOURCE, f"`{proposal.action}` applies to {names}: which is it here", closed=True)


def _ask_about_reach(proposal: Proposal, operation: Operation, wish: Wish) -> None:
    """Who may come here at all, and on which path."""
    if operation.open:
        text = "the document asks for no credential: `anonymous = true`, with a permit for such callers, or as written"
        proposal.ask(About.ANONYMOUS, text, closed=False)
    if operation.deprecated:
        proposal.ask(About.DEPRECATED, "deprecated: is it still to be reached", closed=True)
    if "101" in operation.statuses:
        text = "it answers 101: `websocket = true`, with the origins of its pages at the service, or as written"
        proposal.ask(About.WEBSOCKET, text, closed=False)
    if wish.base is None and (len(operation.bases) != 1 or operation.bases[0] is None):
        text = "the document's servers do not agree on what stands before the path: --base-path says it"
        proposal.ask(About.SERVER, text, closed=True)


def _ask_about_bases(document: Document, found: Sequence[Operation], wish: Wish) -> list[Question]:
    bases = dict.fromkeys(base for operation in found for base in operation.bases if base)
    if wish.base is not None or not bases:
        return []
    names = ", ".join(shown(base) for base in bases)
    text = f"its servers put {names} before the paths, and so the gateway's callers must: is that meant, or --base-path"
    return [Question(document.name, About.SERVER, text, closed=False)]


def _ask_about_changes(proposal: Proposal, operation: Operation) -> None:
    words = {part for segment in operation.path.split("/") if "{" not in segment for part in snake(segment).split("_")}
    if operation.method == "POST" and words & _READING:
        proposal.ask(About.READS, "does it only read? then `changes = false`; written as a change", closed=False)
    elif operation.method == "GET" and words & _CHANGING:
        proposal.changes = True
        proposal.ask(About.READS, "does this GET change something? written as a change, and recorded so", closed=False)


def _ask_about_answers(proposal: Proposal, document: Document, operation: Operation, bundle: Bundle) -> None:
    seen = Seen(document)
    for media, schema in operation.answers:
        if media_type(media).endswith(_JSON_ENDINGS):
            seen.look(schema)
        else:
            seen.partly = True
    fields = seen.fields
    for data_class, pointers in fields.items():
        said = ", ".join(shown(pointer) for pointer in pointers)
        action = f"data:see_{data_class}"
        if action not in bundle.actions or proposal.resource_type not in bundle.resource_types(action):
            text = f"{said}: `{action}` does not apply to `{proposal.resource_type}`; add it in the schema"
            proposal.ask(About.REDACT, text, closed=True)
        else:
            proposal.ask(About.REDACT, f"{said}: written as `{data_class}`; is it, and is that all", closed=False)
    if sum(len(pointer) for pointers in fields.values() for pointer in pointers) > _POINTER_CHARS:
        proposal.ask(About.REDACT, "more fields than one route may name; none is written", closed=True)
        fields = {}
    for pointer in seen.unsayable:
        proposal.ask(About.REDACT, f"{shown(pointer)} looks sensitive, and no pointer can name it", closed=True)
    proposal.redact = fields
    if seen.partly:
        text = "the document does not show all of its answer: is there anything that not every caller may see"
        proposal.ask(About.ANSWER, text, closed=False)


def _order(proposal: Proposal) -> tuple[list[tuple[bool, str]], int]:
    """By path, text before parameters, then by method."""
    path = [(segment is None, segment or "") for segment in proposal.segments]
    return path, METHODS.index(proposal.method.lower())


def _name(proposals: Sequence[Proposal], wish: Wish) -> None:
    """Give each route an id of its own."""
    used: set[str] = set()
    for proposal in proposals:
        proposal.id = _free(f"{wish.service}.{proposal.action.partition(':')[2]}", proposal.method, used)
        used.add(proposal.id)


def _free(wanted: str, method: str, used: set[str]) -> str:
    return next(name for name in _ids(wanted, method) if name not in used)


def _ids(wanted: str, method: str) -> Iterator[str]:
    yield wanted
    yield f"{wanted}_{method.lower()}"
    number = 2
    while True:
        yield f"{wanted}_{number}"
        number += 1


def rename(proposals: Sequence[Proposal], used: Mapping[str, object]) -> None:
    """Take other ids where some are used already."""
    taken = set(used)
    for proposal in proposals:
        proposal.id = _free(proposal.id, proposal.method, taken)
        taken.add(proposal.id)


def _ask_about_sharing(proposals: Sequence[Proposal]) -> None:
    """One action for reading and for changing gives whoever may read the right to change."""
    by_action: defaultdict[str, list[Proposal]] = defaultdict(list)
    for proposal in proposals:
        by_action[proposal.action].append(proposal)
    for group in by_action.values():
        reading = [it for it in group if it.method == "GET" and not it.changes]
        if reading and len(reading) < len(group):
            for proposal in group:
                if proposal not in reading:
                    text = f"`{proposal.action}` is also the action of `{reading[0].where}`, which reads"
                    proposal.ask(About.READS, text, closed=True)
