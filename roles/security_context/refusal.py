"""What is said to a request without a context to believe: the one body of DESIGN section 4, whatever serves. Pure."""

from typing import Final, NamedTuple

import msgspec
import structlog

from roles.errors import ContextRejected

_LOG: Final = structlog.get_logger("roles.security_context")
_ENCODER: Final = msgspec.json.Encoder()
_TOO_LARGE: Final = "payload_too_large"


class Refusal(NamedTuple):
    """An answer.

    Attributes:
        status: 401, or 413 for a body that is too large to be compared.
        fields: Names and values, in the spelling of HTTP/1.1.
        body: JSON.
    """

    status: int
    fields: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def line(self) -> str:
        """The status as WSGI has it."""
        return f"{self.status} {'Content Too Large' if self.status == 413 else 'Unauthorized'}"  # noqa: PLR2004 - ours


def refusal(rejected: ContextRejected, trace_id: str) -> Refusal:
    """The answer. Why it was refused stands in the log alone."""
    body = _ENCODER.encode({"code": rejected.code, "missing_role": None, "trace_id": trace_id})
    fields = (("Content-Type", "application/json"), ("Content-Length", str(len(body))))
    if rejected.code == _TOO_LARGE:
        # The rest of the body is not read: nobody must take it for the next request.
        return Refusal(413, (*fields, ("Connection", "close")), body)
    return Refusal(401, (*fields, ("WWW-Authenticate", "Lychgate")), body)


def too_large() -> str:
    """The code for a body that is not read to its end."""
    return _TOO_LARGE


def log(rejected: ContextRejected, trace_id: str) -> None:
    """Say for operators why: a fixed word, and no value of the request's."""
    _LOG.warning("context_rejected", reason=rejected.reason, trace_id=trace_id)
