"""What a service refuses, and the one shape every refusal has.

    ServiceError             status, code, missing_role
    |- NotFound 404          not_found: nothing of that id in the caller's tenant, whoever else may have one
    |- Conflict 409          the word says what stands against it: out_of_stock, order_closed, ...
    |- Unprocessable 422     unprocessable: well-formed and still wrong
    |- Unrecorded 503        audit_unavailable: what cannot be recorded is not done
    |- Declined              a call to another service that was refused; its status, code and missing role go on
    `- Unreachable 502       upstream_unavailable
       `- TooSlow 504        upstream_timeout

Raised by endpoints, turned into answers by `services.answers`.
"""


class ServiceError(Exception):
    """A request that a service does not serve.

    Attributes:
        status: The HTTP status.
        code: A stable word for the caller.
        missing_role: The role that would have been enough, where the gateway has named one.
    """

    status: int = 500
    code: str = "internal"

    def __init__(self, *, code: str | None = None, missing_role: str | None = None) -> None:
        super().__init__(code or self.code)
        if code is not None:
            self.code = code
        self.missing_role = missing_role


class NotFound(ServiceError):
    """Nothing of that id in the caller's tenant. Which kind of thing was looked for is known to the log alone."""

    status = 404
    code = "not_found"

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind


class Conflict(ServiceError):
    """The request does not fit the state things are in; its code says why."""

    status = 409
    code = "conflict"

    def __init__(self, code: str) -> None:
        super().__init__(code=code)


class Unprocessable(ServiceError):
    """Well-formed, and wrong in a way no model can say."""

    status = 422
    code = "unprocessable"


class Unrecorded(ServiceError):
    """The record of a change could not be made durable, so the change was not made."""

    status = 503
    code = "audit_unavailable"


class Declined(ServiceError):
    """Another service, or the gateway before it, refused what we asked in the caller's name."""

    def __init__(self, status: int, code: str, missing_role: str | None) -> None:
        super().__init__(code=code, missing_role=missing_role)
        self.status = status


class Unreachable(ServiceError):
    """Another service or the gateway could not be asked."""

    status = 502
    code = "upstream_unavailable"


class TooSlow(Unreachable):
    """Another service or the gateway took too long."""

    status = 504
    code = "upstream_timeout"
