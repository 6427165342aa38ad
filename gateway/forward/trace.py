"""The trace id of a request: the caller's, from W3C `traceparent`, or a new one."""

from roles.security_context.headers import new_trace_id, trace_id_of


def trace_id(values: list[bytes]) -> str:
    """The trace a request belongs to.

    Args:
        values: Every `traceparent` the client sent. One that is malformed, or several, are as good as none.

    Returns:
        32 lower-case hex digits, never all zero.
    """
    if len(values) != 1:
        return new_trace_id()
    return trace_id_of(values[0].decode("latin-1")) or new_trace_id()


def caller_span(values: list[bytes]) -> tuple[str, bool] | None:
    """The caller's span and whether it is sampled, from a `traceparent` that `trace_id` takes; None for any other.

    Args:
        values: Every `traceparent` the client sent.
    """
    if len(values) != 1:
        return None
    field = values[0].decode("latin-1")
    if trace_id_of(field) is None:
        return None
    return field[36:52], bool(int(field[53:55], 16) & 1)  # W3C Trace Context s3.2.2: version, trace, span, flags
