"""What is asked about a request's body, and about where a request names a tenant. Pure."""

from typing import Final

from lychgate.routes_import.bodies import FORM, JSON, media_type, members, names_within
from lychgate.routes_import.document import Document, shown
from lychgate.routes_import.model import About, Proposal
from lychgate.routes_import.operations import Operation
from lychgate.routes_import.templates import Template, is_tenant_name, may_be_tenant_name

_BODILESS: Final = frozenset({"GET", "DELETE"})
_TENANT_HEADER: Final = "x-tenant-id"


def ask_about_body(proposal: Proposal, operation: Operation) -> None:
    """Whether the gateway's bounds suit the body."""
    if operation.bodies and operation.method in _BODILESS:
        proposal.ask(About.BODY, f"{operation.method} with a body, which proxies may drop", closed=False)
    odd = [media for media in operation.bodies if media_type(media) not in {JSON, FORM}]
    if odd:
        names = ", ".join(shown(media) for media in odd)
        text = f"it takes {names}: is the gateway's limit of a body enough, or `max_body_bytes`"
        proposal.ask(About.BODY, text, closed=False)


def ask_about_tenants(proposal: Proposal, document: Document, operation: Operation, template: Template) -> None:
    """Every place where the request may name a tenant that is not the caller's."""
    for name in template.params.values():
        if name != template.tenant and _names_tenant(name):
            proposal.ask(About.TENANT, f"does `{name}` name a tenant? then `tenant = {{ path = ... }}`", closed=True)
    for parameter in operation.parameters:
        if parameter.where == "path" or not _names_tenant(parameter.name):
            continue
        if parameter.where == "header" and parameter.name.lower() == _TENANT_HEADER:
            continue  # held against the token on every route, and sent by the gateway itself
        text = f"{parameter.where} {shown(parameter.name)} may name a tenant, and no route holds it against the token"
        proposal.ask(About.TENANT, text, closed=True)
    _ask_about_tenants_in_bodies(proposal, document, operation)


def _ask_about_tenants_in_bodies(proposal: Proposal, document: Document, operation: Operation) -> None:
    for media, schema in operation.bodies.items():
        for name, member in members(document, schema).items():
            if not _names_tenant(name):
                continue
            pointer = "/" + name.replace("~", "~0").replace("/", "~1")
            if (
                media_type(media) == JSON
                and member.required
                and is_tenant_name(name)
                and operation.method not in _BODILESS
            ):
                proposal.tenant_pointers = (*proposal.tenant_pointers, pointer)
            else:
                text = (
                    f"{shown(media_type(media))}: does {shown(pointer)} name a tenant? the service must not believe it"
                )
                proposal.ask(About.TENANT, text, closed=True)
        for name in dict.fromkeys(names_within(document, schema)):
            if _names_tenant(name):
                text = f"{shown(media_type(media))}: does {shown(name)}, deeper in it, name a tenant? no route reads it"
                proposal.ask(About.TENANT, text, closed=True)
    if proposal.tenant_pointers and len(operation.bodies) > 1:
        text = "only application/json passes where the body names a tenant; the document has other forms of it"
        proposal.ask(About.BODY, text, closed=True)


def _names_tenant(name: str) -> bool:
    bare = name[2:] if name[:2].lower() == "x-" else name  # the capitals in it part its words
    return is_tenant_name(bare) or may_be_tenant_name(bare)
