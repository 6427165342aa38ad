"""A document's path to a route's template, or why it cannot be one. Pure."""

import re
from typing import Final

import msgspec

from gateway.route.load import segments_of
from lychgate.routes_import.document import shown
from lychgate.routes_import.naming import Segments, snake

_PARAMETER: Final = re.compile(r"\{([^{}]*)\}")
_TENANTS: Final = frozenset({"tenant", "tenant_id", "tenantid"})
_PERHAPS_TENANTS: Final = re.compile(
    r"(?:.*_)?tenants?(?:_.*|ids?|uuid)?"  # whatever stands around the word: `target_tenant`, `tenant_slug`
    r"|(?:org|organisation|organization|workspace|company|merchant|realm|site|shop)s?(?:_?(?:ids?|slug|name|code|uuid|key))?"
)


class Template(msgspec.Struct, frozen=True):
    """A path as a route has it.

    Attributes:
        text: `/orders/{order_id}`.
        segments: Literal text, or None.
        params: The route's parameter names, by the document's.
        base: How many segments stand before the document's own.
        tenant: The parameter that names a tenant, if one does.
    """

    text: str
    segments: Segments
    params: dict[str, str]
    tenant: str | None
    base: int = 0

    @property
    def about(self) -> Segments:
        """The segments that say what it is about: without the server's base, and without the tenant."""
        names = iter(self.params.values())
        own = self.segments[self.base :]
        return tuple(it for it in own if it is not None or next(names) != self.tenant)


def template_of(path: str, base: str = "") -> Template:
    """Make a template.

    Args:
        path: As the document has it.
        base: What the server has before it; without parameters.

    Raises:
        ValueError: No route can have this path; the message says why.
    """
    parts: list[str] = []
    params: dict[str, str] = {}
    whole = base + path if path != "/" or not base else base
    for segment in whole[1:].split("/") if whole != "/" else ():
        if match := _PARAMETER.fullmatch(segment):
            if match[1] in params:
                raise ValueError(f"parameter {shown(match[1])} is there twice")
            name = snake(match[1]) or "p"
            if name in params.values():
                name = f"{name}_{len(params) + 1}"
            params[match[1]] = name
            parts.append(f"{{{name}}}")
        else:
            if not segment:
                raise ValueError("an empty segment, or a slash at the end")
            if not segment.isascii() or "{" in segment or "}" in segment or "%" in segment:
                raise ValueError(f"segment {shown(segment)} is neither plain text nor one parameter")
            parts.append(segment)
    text = "/" + "/".join(parts)
    try:
        segments, _ = segments_of(text)
    except ValueError as exc:
        raise ValueError(shown(str(exc)).strip("`")) from None
    tenant = next((name for name in params.values() if is_tenant_name(name)), None)
    return Template(text, segments, params, tenant, base.count("/"))


def is_tenant_name(name: str) -> bool:
    """Whether a name is one of a tenant, to everybody."""
    return snake(name) in _TENANTS


def may_be_tenant_name(name: str) -> bool:
    """Whether a name may be one of a tenant, by another word."""
    return _PERHAPS_TENANTS.fullmatch(snake(name)) is not None
