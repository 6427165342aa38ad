"""What can go wrong on a request's way, and the stable word a caller is told.

    GatewayError            status, code, reason (for the record only)
    |- BadRequest 400       bad_request
    |- NotIdentified 401    unauthenticated, token_expired, token_invalid
    |- Forbidden 403        forbidden, tenant_mismatch
    |- NoRoute 404          route_unknown
    |- MethodNotAllowed 405 method_not_allowed
    |- RequestTimeout 408   request_timeout
    |- TooLarge 413/414/431 payload_too_large, uri_too_long, header_too_large
    |- UnsupportedMedia 415 unsupported_media_type
    |- Internal 500         internal
    |- UpstreamError 502    upstream_unavailable, upstream_invalid
    |- Unready 503          overloaded, policy_unavailable, audit_unavailable
    `- UpstreamTimeout 504  upstream_timeout

`Code` is the one list of codes; `docs/reference/errors.md` is generated from it.
"""

from enum import Enum


class Code(Enum):
    """A code and its HTTP status, in the order of the reference page."""

    BAD_REQUEST = ("bad_request", 400)
    UNAUTHENTICATED = ("unauthenticated", 401)
    TOKEN_EXPIRED = ("token_expired", 401)
    TOKEN_INVALID = ("token_invalid", 401)
    FORBIDDEN = ("forbidden", 403)
    TENANT_MISMATCH = ("tenant_mismatch", 403)
    ROUTE_UNKNOWN = ("route_unknown", 404)
    METHOD_NOT_ALLOWED = ("method_not_allowed", 405)
    REQUEST_TIMEOUT = ("request_timeout", 408)
    PAYLOAD_TOO_LARGE = ("payload_too_large", 413)
    URI_TOO_LONG = ("uri_too_long", 414)
    UNSUPPORTED_MEDIA_TYPE = ("unsupported_media_type", 415)
    RATE_LIMITED = ("rate_limited", 429)
    HEADER_TOO_LARGE = ("header_too_large", 431)
    INTERNAL = ("internal", 500)
    UPSTREAM_UNAVAILABLE = ("upstream_unavailable", 502)
    UPSTREAM_INVALID = ("upstream_invalid", 502)
    REDACTION_FAILED = ("redaction_failed", 502)
    OVERLOADED = ("overloaded", 503)
    POLICY_UNAVAILABLE = ("policy_unavailable", 503)
    AUDIT_UNAVAILABLE = ("audit_unavailable", 503)
    UPSTREAM_TIMEOUT = ("upstream_timeout", 504)

    def __init__(self, word: str, status: int) -> None:
        self.word = word
        self.status = status


class GatewayError(Exception):
    """A request that ends here.

    Attributes:
        code: What the caller is told.
        reason: What the record says; a fixed word or sentence without values the caller must not learn.
        missing_role: The least role that would have been enough, where one was looked for.
        close: Whether the connection can no longer be trusted.
        headers: Fields the answer carries besides the body's own, for example `Allow`.
    """

    code: Code = Code.INTERNAL

    def __init__(
        self,
        reason: str,
        *,
        code: Code | None = None,
        missing_role: str | None = None,
        close: bool = False,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(reason)
        if code is not None:
            self.code = code
        self.reason = reason
        self.missing_role = missing_role
        self.close = close
        self.headers = headers


class BadRequest(GatewayError):
    """The request is malformed or ambiguous."""

    code = Code.BAD_REQUEST


class NotIdentified(GatewayError):
    """Nobody we know, or no longer."""

    code = Code.TOKEN_INVALID


class Forbidden(GatewayError):
    """Known, and not allowed."""

    code = Code.FORBIDDEN


class NoRoute(GatewayError):
    """No route matches the path."""

    code = Code.ROUTE_UNKNOWN


class MethodNotAllowed(GatewayError):
    """The path is known, with other methods."""

    code = Code.METHOD_NOT_ALLOWED


class RequestTimeout(GatewayError):
    """The client was too slow."""

    code = Code.REQUEST_TIMEOUT


class TooLarge(GatewayError):
    """The body, target or header exceeds a limit; `code` says which."""

    code = Code.PAYLOAD_TOO_LARGE


class UnsupportedMedia(GatewayError):
    """A route that decides on the body needs plain UTF-8 JSON."""

    code = Code.UNSUPPORTED_MEDIA_TYPE


class Internal(GatewayError):
    """Our own fault."""

    code = Code.INTERNAL


class UpstreamError(GatewayError):
    """The service cannot be reached, or what it answers is not HTTP.

    Attributes:
        kind: What happened, a word of `gateway.metrics.UPSTREAM_KINDS`. After `stale`, `closed` and `tls` no byte of an
            answer came; after `connect` and `open` none of the request was sent.
    """

    code = Code.UPSTREAM_UNAVAILABLE

    def __init__(
        self,
        reason: str,
        *,
        code: Code | None = None,
        missing_role: str | None = None,
        close: bool = False,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        kind: str = "",
    ) -> None:
        super().__init__(reason, code=code, missing_role=missing_role, close=close, headers=headers)
        self.kind = kind or ("invalid" if code is Code.UPSTREAM_INVALID else "closed")


class UpstreamTimeout(GatewayError):
    """The service was too slow."""

    code = Code.UPSTREAM_TIMEOUT


class Unready(GatewayError):
    """The gateway itself cannot decide, record or take more; `code` says which."""

    code = Code.POLICY_UNAVAILABLE
