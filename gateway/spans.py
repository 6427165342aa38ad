"""What a worker tells of a request whose trace is sampled: plain values, made into spans by the supervisor.

Nothing of it names a tenant, a user, a token or a path as it was sent: only what stands in the configuration and the
route table, statuses, times and ids of spans.
"""

import msgspec

WAITING_MAX = 2000
"""Requests that a worker keeps between two frames; what comes beyond is counted, not kept."""


class Sampling(msgspec.Struct, frozen=True):
    """Which requests are told of.

    Attributes:
        ratio: Of traces, by their id, so that every service that samples by the same ratio tells of the same ones.
        follow_caller: Whether the caller's `traceparent` says instead, where it has one.
    """

    ratio: float
    follow_caller: bool = False


class Attempt(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The request as one address of a service was sent it.

    Attributes:
        span_id: As the service was told, 16 hex digits.
        began: Seconds since the epoch.
        ended: The same.
        address: `host:port`.
        status: Of its answer; 0 without one.
        error: Why there is none, a fixed word; empty where there is.
    """

    span_id: str
    began: float
    ended: float
    address: str
    status: int
    error: str


class Traced(msgspec.Struct, frozen=True, array_like=True):
    """One request.

    Attributes:
        trace_id: 32 hex digits.
        span_id: Ours, 16.
        parent_id: The caller's; empty where it named none.
        began: Seconds since the epoch.
        ended: The same.
        method: As sent; `_OTHER` for one nobody knows.
        scheme: `http` or `https`.
        version: `1.0` or `1.1`.
        route: The path's template; empty where no route was found.
        service: Whom it was for.
        status: What was answered; 0 where nobody waited for it.
        error: The code of the refusal, or why it was cut; empty otherwise.
        action: The Cedar action.
        effect: `allow` or `deny`; empty where Cedar was not asked.
        remembered: Whether that was known before.
        decided_at: When it was asked.
        decision_us: How long that took.
        attempts: What was sent to the service.
    """

    trace_id: str
    span_id: str
    parent_id: str
    began: float
    ended: float
    method: str
    scheme: str
    version: str
    route: str
    service: str
    status: int
    error: str
    action: str
    effect: str
    remembered: bool
    decided_at: float
    decision_us: int
    attempts: tuple[Attempt, ...]
