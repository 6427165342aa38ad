"""What is counted: by door and answer, from closed sets."""

from prometheus_client import CollectorRegistry

from gateway.doors.asked import DOORS
from gateway.doors.metrics import RESULTS, DoorMetrics
from gateway.errors import Code


def test_questions_are_counted_by_door_and_answer() -> None:
    """An allow, a code, and how long it took; a door nobody knows is `other`."""
    registry = CollectorRegistry()
    metrics = DoorMetrics(registry)
    metrics.checked("forward", None, 0.0002)
    metrics.checked("forward", Code.FORBIDDEN, 0.3)
    metrics.checked("/a/path", None, 0.1)
    found = {
        (sample.labels["door"], sample.labels["result"]): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "lychgate_door_checks_total"
    }
    assert found == {("forward", "allowed"): 1, ("forward", "forbidden"): 1, ("other", "allowed"): 1}
    labels = {"door": "forward"}
    assert registry.get_sample_value("lychgate_door_check_duration_seconds_count", labels) == 2
    within = {**labels, "le": "0.2"}
    assert registry.get_sample_value("lychgate_door_check_duration_seconds_bucket", within) == 1


def test_the_sets_are_closed() -> None:
    """Three doors; one result a code, and `allowed`."""
    assert len(DOORS) == 3
    assert set(RESULTS) == {"allowed"} | {code.word for code in Code}
