"""What the gateway itself answers: `{code, missing_role, trace_id}`, and nothing else in the body. Pure."""

import http
from typing import Final

import msgspec

from gateway.errors import GatewayError
from gateway.forward.headers import DECISION, TRACE
from gateway.route.cors import Fields

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_REASONS: Final = {status.value: status.phrase.encode("ascii") for status in http.HTTPStatus}


class _Body(msgspec.Struct, frozen=True):
    code: str
    missing_role: str | None
    trace_id: str


def body(error: GatewayError, trace_id: str) -> bytes:
    """The refusal body, JSON."""
    return msgspec.json.encode(_Body(error.code.word, error.missing_role, trace_id))


def response(
    error: GatewayError, trace_id: str, event_id: str, *, close: bool, head_only: bool, fields: Fields = ()
) -> bytes:
    """A whole refusal.

    Args:
        error: Why.
        trace_id: Of the request.
        event_id: The decision id, so that a person can be told which record to look at.
        close: Whether the connection ends here.
        head_only: For HEAD: the fields of the answer to GET, without its body.
        fields: What lets the page that asked read it.
    """
    content = body(error, trace_id)
    status = error.code.status
    lines = [
        b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, b"")),
        b"content-type: application/json",
        b"content-length: %d" % len(content),
        b"cache-control: no-store",
        b"%b: %b" % (TRACE, trace_id.encode("ascii")),
        b"%b: %b" % (DECISION, event_id.encode("ascii")),
    ]
    lines += [b"%b: %b" % pair for pair in (*error.headers, *fields)]
    if close:
        lines.append(b"connection: close")
    lines.append(b"\r\n")
    return b"\r\n".join(lines) + (b"" if head_only else content)
