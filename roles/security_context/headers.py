"""The fields that carry a security context, and trace ids. Every name has its one home here.

The gateway writes these fields and strips them from what clients send; the extractor reads them.
"""

import re
from random import Random
from typing import Final

from roles.security_context.claims import SecurityContext

CONTEXT: Final = "X-Security-Context"
TENANT_ID: Final = "X-Tenant-Id"
USER_ID: Final = "X-User-Id"
USER_ROLES: Final = "X-User-Roles"
TRACE_ID: Final = "X-Trace-Id"
DECISION_ID: Final = "X-Decision-Id"
TRACEPARENT: Final = "traceparent"

NAMES: Final = (CONTEXT, TENANT_ID, USER_ID, USER_ROLES, TRACE_ID, DECISION_ID, TRACEPARENT)
"""What only the gateway may say. A client's own copies go, in every spelling."""

_NAMES: Final = Random()  # noqa: S311 - names of requests and spans, not secrets; 5 us less than the system's each
"""Seeded by the system once a process."""
_NO_TRACE: Final = "0" * 32
_AT_ONCE: Final = 64
_TRACES: Final[list[str]] = []
"""Trace ids made ahead: 64 at once cost a third of one by one."""

_DECISION_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_TRACE_ID: Final = re.compile(r"(?!0{32})[0-9a-f]{32}")
# W3C Trace Context s3.2.2: version 00 has exactly these four parts; a higher version may go on after the third dash.
_TRACEPARENT: Final = re.compile(
    r"(?:00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
    r"|(?!00|ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?)"
)


def fields(context: SecurityContext, signed: str, decision_id: str, *, span_id: str | None = None) -> dict[str, str]:
    """The fields to send to a service, by name.

    Args:
        context: The claims.
        signed: The same, signed.
        decision_id: Of this request, also where the signed part is reused.
        span_id: 16 hex digits; made when not given.
    """
    return {
        CONTEXT: signed,
        TENANT_ID: context.tenant_id,
        USER_ID: context.sub,
        USER_ROLES: ",".join(context.roles),
        TRACE_ID: context.trace_id,
        DECISION_ID: decision_id,
        TRACEPARENT: traceparent(context.trace_id, span_id),
    }


def traceparent(trace_id: str, span_id: str | None = None) -> str:
    """The field for the next hop: the same trace, a span of our own (16 hex digits, made when not given), sampled."""
    return f"00-{trace_id}-{span_id or _NAMES.randbytes(8).hex()}-01"


def usable_trace_id(text: str | None) -> str | None:
    """A trace id if this is one: 32 lower-case hex digits, not all zero."""
    return text if text is not None and _TRACE_ID.fullmatch(text) else None


def usable_decision_id(text: str) -> str:
    """A decision's id if this may be one; empty if not. Beside a context that is not bound nothing vouches for it."""
    return text if _DECISION_ID.fullmatch(text) else ""


def trace_id_of(field: str | None) -> str | None:
    """The trace id of a W3C `traceparent`, or None where it is malformed."""
    found = _TRACEPARENT.fullmatch(field) if field is not None else None
    return (found[1] or found[2]) if found else None


def new_trace_id() -> str:
    """A new trace id. Random: it names a request, it proves nothing."""
    while True:
        try:
            return _TRACES.pop()
        except IndexError:  # none left, or other threads were faster
            digits = _NAMES.randbytes(16 * _AT_ONCE).hex()
            found = [digits[at : at + 32] for at in range(0, len(digits), 32)]
            _TRACES.extend([trace for trace in found if trace != _NO_TRACE])
