"""docs/reference/routes.md: the form of `routes.toml`, and the routes of this repository."""

from pathlib import Path

from gateway.model import Route
from gateway.route.load import load_routes
from gateway.service_settings import default_services
from lychgate.reference.markdown import attributes, table
from lychgate.reference.markdown import page as markdown_page
from policies.load import load_bundle

_ROOT = Path(__file__).parents[2]

_REDACT = """
`{ pii = [...], payment = [...], secret = [...] }`: fields of the JSON answer by class, as pointers of RFC 6901 in which
`*` is any member and any element. Cedar decides with `data:see_pii` and its like, on the route's resource, whether the
caller sees a class; else its fields are masked or removed (`gateway.redacted_fields`) and named in `X-Redacted-Fields`.
An answer that cannot be read for it is 502 `redaction_failed`.
""".replace("\n", " ").strip()


def page() -> str:
    """The page."""
    file = _ROOT / "routes.toml"
    routes = load_routes(file.name, file.read_text("utf-8"), load_bundle(_ROOT / "policies"), default_services()).routes
    meaning = attributes(Route)
    keys = (
        ("`id`", meaning["id"]),
        ("`method`", "One of GET POST PUT PATCH DELETE. HEAD is decided as GET."),
        ("`path`", "Literal segments and `{parameters}`, one a segment; a literal wins over a parameter."),
        ("`service`", meaning["service"]),
        ("`action`", "An action of the schema, which also types the context."),
        (
            "`resource`",
            '`{ type, id }`; the id is literal text with `{parameters}` in it, or `"*"` for the collection.',
        ),
        ("`context`", "Attribute to `{ from, name or pointer, optional }`; `from` is path, query, header or body."),
        ("`tenant`", "`{ path }`: the parameter that names a tenant."),
        ("`tenant_pointers`", meaning["tenant_pointers"]),
        ("`changes`", f"{meaning['changes']} Default: not a GET."),
        ("`guarantee`", "`durable` or `buffered`. Default: durable when it changes something."),
        ("`anonymous`", meaning["anonymous"]),
        ("`pass_authorization`", meaning["pass_authorization"]),
        ("`max_body_bytes`", meaning["body_bytes"]),
        ("`websocket`", meaning["websocket"]),
        ("`redact`", _REDACT),
        ("`trailers`", f"{meaning['trailers']} A client gets them that says `TE: trailers`."),
    )
    rows = [
        (route.method, f"`{route.template}`", route.service, f"`{route.action}`", _notes(route)) for route in routes
    ]
    return markdown_page(
        "Routes",
        "`routes.toml`: one `[[route]]` an endpoint. What is not there is refused with 404.",
        table(("key", "meaning"), keys),
        "## The routes of this repository",
        table(("method", "path", "service", "action", ""), rows),
    )


def _notes(route: Route) -> str:
    """What is out of the ordinary about a route."""
    notes = ["durable" if route.durable else "", "anonymous" if route.anonymous else ""]
    notes.append("WebSocket" if route.websocket else "")
    notes += [f"redacts {', '.join(item.data_class for item in route.redact)}" if route.redact else ""]
    notes += [f"context {', '.join(f'`{item.name}`' for item in route.attributes)}" if route.attributes else ""]
    return "; ".join(note for note in notes if note)
