"""Proposals as TOML, with each question in a comment above its route; and as actions for the Cedar schema. Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from lychgate.routes_import.model import About, Proposal, Question, Taken
from policies.bundle import Bundle

MARK: Final = "# decide:"
"""How a line begins that waits for a person; an import that finds one lists it again."""
_CONTEXT: Final = "{ now: datetime, cross_tenant: Bool }"
"""What every action's context has."""
_WIDTH: Final = 120
_ESCAPED: Final = frozenset('"\\')


def toml(proposals: Sequence[Proposal], unwritten: Sequence[Question]) -> str:
    """The routes, and the endpoints that none is written for."""
    parts = ["\n".join(_entry(proposal)) + "\n" for proposal in proposals]
    if unwritten:
        parts.append("\n".join(comment(it, it.where) for it in unwritten) + "\n")
    return "\n".join(parts)


def header(service: str) -> str:
    """What stands above the routes of a service."""
    rule = "# " + "-" * (_WIDTH - 3)
    return (
        f"{rule}\n# {service}\n#\n"
        f"# Each `{MARK}` line waits for a person. Take it away once decided. A route whose action is `undecided` is\n"
        "# closed until then. `# no route: SERVICE METHOD PATH why` says that an endpoint is to have none.\n"
        f"{rule}\n"
    )


def quoted(text: str) -> str:
    """A basic string of TOML."""
    return '"' + "".join(_escape(char) for char in text) + '"'


def declarations(proposals: Iterable[Proposal], bundle: Bundle) -> str:
    """The actions and entity types that the schema lacks, as a suggestion for it."""
    missing: dict[str, set[str]] = {}
    for proposal in proposals:
        if proposal.action not in bundle.actions:
            missing.setdefault(proposal.resource_type, set()).add(proposal.action)
    known = bundle.schema.entities
    parts = [f"entity {kind} = {{ tenant: String }};\n" for kind in sorted(missing) if kind not in known]
    for kind in sorted(missing):
        names = ",\n       ".join(f'"{name}"' for name in sorted(missing[kind]))
        parts.append(f"action {names}\n  appliesTo {{ principal: [User], resource: [{kind}], context: {_CONTEXT} }};\n")
    return "\n".join(parts)


def _entry(proposal: Proposal) -> Iterable[str]:
    yield from (comment(it) for it in proposal.questions)
    yield "[[route]]"
    yield f"id = {quoted(proposal.id)}"
    yield f"method = {quoted(proposal.method)}"
    yield f"path = {quoted(proposal.template)}"
    yield f"service = {quoted(proposal.service)}"
    suggested = f"  # suggested: {quoted(proposal.action)}" if proposal.closed else ""
    yield f"action = {quoted(proposal.written_action)}{suggested}"
    yield f"resource = {{ type = {quoted(proposal.resource_type)}, id = {quoted(proposal.resource_id)} }}"
    if proposal.tenant_param is not None:
        yield f"tenant = {{ path = {quoted(proposal.tenant_param)} }}"
    if proposal.tenant_pointers:
        yield f"tenant_pointers = {_list(proposal.tenant_pointers)}"
    if proposal.context:
        inner = ", ".join(f"{quoted_key(name)} = {_taken(it)}" for name, it in proposal.context.items())
        yield f"context = {{ {inner} }}"
    if proposal.changes is not None:
        yield f"changes = {str(proposal.changes).lower()}"
    if proposal.redact:
        inner = ", ".join(f"{name} = {_list(pointers)}" for name, pointers in proposal.redact.items())
        yield f"redact = {{ {inner} }}"


def quoted_key(name: str) -> str:
    """A key of TOML, bare where it can be."""
    return name if name.isascii() and name.replace("_", "a").isalnum() else quoted(name)


def _taken(it: Taken) -> str:
    where = "pointer" if it.source == "body" else "name"
    return f"{{ from = {quoted(it.source)}, {where} = {quoted(it.key)}{', optional = true' if it.optional else ''} }}"


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(quoted(text) for text in texts)}]"


def comment(question: Question, where: str = "") -> str:
    """One line, whatever the document holds: a line break in it would be the end of the comment.

    Args:
        question: What is open.
        where: The endpoint, where no route stands below that says it.
    """
    place = f"{where}: " if where else ""
    closed = " (closed)" if question.closed and question.about is not About.ACTION else ""
    text = f"{MARK} {place}{question.about}{closed}: {question.text}"
    return "".join(char if char.isprintable() else "?" for char in text)


def _escape(char: str) -> str:
    if char in _ESCAPED:
        return f"\\{char}"
    return char if char.isprintable() and char.isascii() else f"\\U{ord(char):08X}"
