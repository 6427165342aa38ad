"""What can go wrong while reading the audit, and the stable word the reader is told.

    QueryError               status, code, missing_role, detail
    |- BadQuery 400          bad_request, with `detail`
    |- Refused 403           forbidden, tenant_mismatch
    |- NotFound 404          not_found
    |- StoreUnavailable 503  audit_unavailable
    `- Overloaded 503        overloaded
    NotFit                   the process may not start: its login can do more than it should, or the store is not ours

The answer is `{code, missing_role, trace_id}`, and `detail` beside them on a 400 alone: only there does the text speak
of nothing but what the reader sent.
"""


class QueryError(Exception):
    """A read that ends here.

    Attributes:
        status: The HTTP status.
        code: What the reader is told.
        detail: What is wrong with the query; only ever sent with a 400.
        missing_role: The least role that would have been enough, where one was looked for.
    """

    status = 500
    code = "internal"

    def __init__(self, detail: str = "", *, code: str | None = None, missing_role: str | None = None) -> None:
        super().__init__(detail)
        if code is not None:
            self.code = code
        self.detail = detail
        self.missing_role = missing_role


class BadQuery(QueryError):
    """The query cannot be understood, or its cursor was not made here for it."""

    status = 400
    code = "bad_request"


class Refused(QueryError):
    """Known, and not allowed to see this."""

    status = 403
    code = "forbidden"


class NotFound(QueryError):
    """No such event among those the reader may see; whether it exists elsewhere is not said."""

    status = 404
    code = "not_found"


class StoreUnavailable(QueryError):
    """The store cannot be read, or the read cannot be recorded."""

    status = 503
    code = "audit_unavailable"


class Overloaded(QueryError):
    """The query took longer than its time, or no connection came free in time."""

    status = 503
    code = "overloaded"


class NotFit(Exception):
    """The process may not start as it is configured; the message says what to change."""
