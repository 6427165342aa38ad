"""Where the values come from that the policies of an action ask for. Pure.

That a name and a type fit says nothing of the unit and the meaning: a limit on `amount` is worth nothing where the body
counts in another currency. So what was found is written, and the route stays closed until a person has looked.
"""

from typing import Final

from lychgate.routes_import.bodies import JSON, cedar_type, media_type, members
from lychgate.routes_import.document import Document, shown
from lychgate.routes_import.model import About, Proposal, Taken
from lychgate.routes_import.operations import Operation
from lychgate.routes_import.templates import Template
from policies.bundle import Bundle

_OURS: Final = frozenset({"now", "cross_tenant"})
_BODILESS: Final = frozenset({"GET", "DELETE"})


def ask_about_context(
    proposal: Proposal, document: Document, operation: Operation, template: Template, bundle: Bundle
) -> None:
    """Look for each value of the action's context, and ask about it."""
    if proposal.action not in bundle.actions:
        return
    for name, wanted in bundle.context_type(proposal.action).items():
        if name in _OURS:
            continue
        found = _candidates(name, wanted.type, wanted.required, document, operation, template)
        needs = f"`{proposal.action}` {'needs' if wanted.required else 'may have'} `{name}` ({wanted.type})"
        if not found:
            text = f"{needs}, and the document has nothing of this name and type: where does it come from"
        elif len(found) > 1:
            places = " or ".join(f"{it.source} {shown(it.key)}" for it in found)
            text = f"{needs}: from {places}"
        else:
            proposal.context = {**proposal.context, name: found[0]}
            text = f"{needs}: written as {found[0].source} {shown(found[0].key)}; are unit and meaning the policy's"
        proposal.ask(About.CONTEXT, text, closed=True)


def _candidates(
    name: str, wanted: str, required: bool, document: Document, operation: Operation, template: Template
) -> list[Taken]:
    found = [
        Taken(it.where, template.params.get(it.name, it.name) if it.where == "path" else it.name, not required)
        for it in operation.parameters
        if it.name == name and it.where in {"path", "query", "header"} and cedar_type(document, it.schema) == wanted
    ]
    if operation.method in _BODILESS or any(media_type(media) != JSON for media in operation.bodies):
        return found
    for schema in operation.bodies.values():
        member = members(document, schema).get(name)
        if member is not None and cedar_type(document, member.schema) == wanted:
            found.append(Taken("body", f"/{name}", not required))
    return found
