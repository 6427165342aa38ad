"""Tests of `audit.metrics.emit`: what is shown of a queue."""

from prometheus_client import CollectorRegistry

from audit.metrics import EmitMetrics


def test_saturation_is_of_what_runs_out_first() -> None:
    """Bytes or, where their number is bounded, records; nothing bounded is nothing full."""
    registry = CollectorRegistry()
    metrics = EmitMetrics(registry)
    queue = {"depth": 30, "bytes": 40, "spooled": 90}
    metrics.watch_queue(lambda: queue["depth"], lambda: queue["bytes"], lambda: queue["spooled"])

    def shown() -> tuple[float | None, ...]:
        names = (
            "audit_queue_saturation_ratio",
            "audit_spool_saturation_ratio",
            "audit_queue_depth",
            "audit_spool_bytes",
        )
        return tuple(registry.get_sample_value(name) for name in names)

    assert shown() == (0, 0, 30, 90)
    metrics.bound(queue_bytes=100, spool_bytes=100)
    assert shown() == (0.4, 0.9, 30, 90)
    metrics.bound(queue_bytes=100, spool_bytes=100, queue_records=40)
    queue["spooled"] = 10
    assert shown() == (0.75, 0.1, 30, 10)
