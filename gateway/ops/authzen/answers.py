"""How the decision API answers: AuthZEN's forms, and the caller's own name for the request."""

import re
from collections.abc import Iterable
from typing import Any, Final

from fastapi import Response

from gateway.errors import Code, GatewayError
from gateway.ops.answers import answer
from gateway.ops.authzen.asking import Asked

_REQUEST_ID: Final = re.compile(rb"[!-~]{1,128}")
"""Visible ASCII: it goes into an answer's head and into records."""

_AS_BAD_REQUEST: Final = 400
_OTHERWISE: Final = {Code.UNSUPPORTED_MEDIA_TYPE: _AS_BAD_REQUEST}
"""Where AuthZEN wants another status than the gateway answers."""


def request_id(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The one `X-Request-ID` a caller sent; None without one, with several, or with one that nobody should repeat."""
    sent = [value for name, value in headers if name == b"x-request-id"]
    return sent[0].decode("ascii") if len(sent) == 1 and _REQUEST_ID.fullmatch(sent[0]) else None


def refusal(error: GatewayError) -> Response:
    """A refusal: its body is a string, as AuthZEN has it. What is wrong with a body is told, anything else is a code.

    A 400 speaks only of what the caller sent.
    """
    status = _OTHERWISE.get(error.code, error.code.status)
    refused = answer(error.reason if status == _AS_BAD_REQUEST else error.code.word, status)
    for name, value in error.headers:
        refused.headers[name.decode("ascii")] = value.decode("latin-1")
    return refused


def decision(asked: Asked, decision_id: str, *, reasons: bool) -> dict[str, Any]:
    """A decision as AuthZEN has it.

    Args:
        asked: What became of the question.
        decision_id: Of its record.
        reasons: Whether the caller is told why.
    """
    context: dict[str, Any] = {}
    if asked.problem is not None:
        context["error"] = {"status": _AS_BAD_REQUEST, "message": asked.problem}
    if reasons:
        context["decision_id"] = decision_id
        if asked.answer is not None:
            context["reasons"] = list(asked.answer.reasons)
    found: dict[str, Any] = {"decision": asked.allows}
    return {**found, "context": context} if context else found
