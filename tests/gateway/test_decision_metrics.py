"""What the decision API counts."""

from prometheus_client import CollectorRegistry

from gateway.decision_metrics import DecisionMetrics


def test_labels_are_closed() -> None:
    """A word nobody listed makes no series of its own."""
    registry = CollectorRegistry()
    metrics = DecisionMetrics(registry)
    metrics.answered("evaluation", "allow")
    metrics.answered("made up", "made up")
    metrics.searched(10, 2, 5)

    def value(kind: str, answer: str) -> float | None:
        return registry.get_sample_value("lychgate_decision_api_questions_total", {"kind": kind, "answer": answer})

    assert value("evaluation", "allow") == value("other", "other") == 1
    assert [value("search", answer) for answer in ("allow", "deny", "error")] == [5, 3, 2]
