"""docs/reference/errors.md, from `gateway.errors`."""

from collections.abc import Mapping
from types import MappingProxyType

from gateway.errors import Code
from lychgate.reference.markdown import page as markdown_page
from lychgate.reference.markdown import table

_MEANING: Mapping[Code, str] = MappingProxyType(
    {
        Code.BAD_REQUEST: "Malformed or ambiguous: request line, fields, framing, target or JSON body.",
        Code.UNAUTHENTICATED: "No credential came, and the route is not for everybody.",
        Code.TOKEN_EXPIRED: "The token was good once.",
        Code.TOKEN_INVALID: "Anything else about the token.",
        Code.FORBIDDEN: "The policies do not allow it.",
        Code.TENANT_MISMATCH: "The request names another tenant than the token.",
        Code.ROUTE_UNKNOWN: "No route has this path.",
        Code.METHOD_NOT_ALLOWED: "The path has routes for other methods, named in `Allow`.",
        Code.REQUEST_TIMEOUT: "The head or the body came too slowly.",
        Code.PAYLOAD_TOO_LARGE: "The body is over the route's or the gateway's limit.",
        Code.URI_TOO_LONG: "The request line is over the limit.",
        Code.UNSUPPORTED_MEDIA_TYPE: "The route decides on the body: only plain UTF-8 `application/json` will do.",
        Code.RATE_LIMITED: "Too many requests.",
        Code.HEADER_TOO_LARGE: "The fields are over the limit in size or number.",
        Code.INTERNAL: "Our own fault.",
        Code.UPSTREAM_UNAVAILABLE: "The service cannot be reached, or hung up.",
        Code.UPSTREAM_INVALID: "What the service answered is not HTTP.",
        Code.REDACTION_FAILED: "The answer could not be redacted, so it is not given.",
        Code.OVERLOADED: "The gateway takes no more now.",
        Code.POLICY_UNAVAILABLE: "The gateway cannot decide.",
        Code.AUDIT_UNAVAILABLE: "The gateway cannot record, and what cannot be recorded does not pass.",
        Code.UPSTREAM_TIMEOUT: "The service was too slow.",
    }
)
"""For readers of the page; a code without its line fails the generator."""


def page() -> str:
    """The page."""
    rows = [(code.status, f"`{code.word}`", _MEANING[code]) for code in Code]
    return markdown_page(
        "Errors",
        """
Whatever Lychgate itself answers with 4xx or 5xx has this body, from the gateway, its operations port, the query API
and the sample services alike:

```json
{"code": "forbidden", "missing_role": "ROLE", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
```

`missing_role` is the first role, from least to most, that would have been enough, found by asking the policies; `null`
if there is none, for other codes, and for unknown callers. The reason of a refused token stands in the audit record
only. Behind the gateway, services answer `not_found` (404) in the same form; the query API adds `detail` to its 400s.
""",
        table(("status", "code", "meaning"), rows),
    )
