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
