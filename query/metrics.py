"""Every metric of this package; `docs/reference/metrics.md` is generated from it.

Labels come from closed sets: never a tenant, a user, a path.
"""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Counter, Gauge, Histogram, Label
from audit.redact import Variant
from query.access import View
from query.views import UNTOUCHED

OK: Final = "ok"
ENDPOINTS: Final = ("events", "event", "trace")
CODES: Final = (
    "bad_request",
    "forbidden",
    "tenant_mismatch",
    "not_found",
    "audit_unavailable",
    "overloaded",
    "internal",
)
RELOADS: Final = ("installed", "refused")
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
_ROWS = (0, 1, 5, 10, 25, 50, 100, 200)


class QueryMetrics:
    """Of the query process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        endpoint = Label("endpoint", ENDPOINTS)
        self.redacted_view = Counter(
            "audit_redacted_view",
            "Replies by the view they were given in (full, masked, own) and what it did to them (mask, remove, or "
            "none where nothing had to go).",
            [Label("view", View), Label("variant", (*Variant, UNTOUCHED))],
            registry=registry,
        )
        self.masking_failures = Counter(
            "audit_view_failures", "Events shown without their body because masking failed.", registry=registry
        )
        self.requests = Counter(
            "audit_query_requests", "Reads answered, by endpoint and code (`ok` for a page).",
            [endpoint, Label("code", (OK, *CODES))],
            registry=registry,
        )  # fmt: skip
        self.seconds = Histogram(
            "audit_query_duration_seconds", "One read of the store, by endpoint.", [endpoint], buckets=_SECONDS,
            registry=registry,
        )  # fmt: skip
        self.reloads = Counter(
            "audit_query_reloads", "Policies and roles read anew, by what became of them (installed, refused).",
            [Label("result", RELOADS)], registry=registry,
        )  # fmt: skip
        self.rows = Histogram("audit_query_rows", "Events in one reply.", buckets=_ROWS, registry=registry)
        self.complete_through = Gauge(
            "audit_complete_through_timestamp_seconds",
            "Until when every event is known to be in the store, as last read.",
            registry=registry,
        )
