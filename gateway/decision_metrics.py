"""What the decision API counts, in the supervisor; its other figures are in `gateway.metrics`."""

from typing import Final

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Counter, Label

ANSWERS: Final = ("allow", "deny", "error")
"""An error is a question that could not be put to Cedar; it is answered as a deny."""
KINDS: Final = ("evaluation", "search")


class DecisionMetrics:
    """What callers of the decision API asked, and what they were told."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.questions = Counter(
            "lychgate_decision_api_questions",
            "Questions of the decision API, each candidate of a search for itself, by what they were answered.",
            (Label("kind", KINDS), Label("answer", ANSWERS)),
            registry=registry,
        )
        self.unrecorded = Counter(
            "lychgate_decision_api_unrecorded",
            "Answers whose buffered record the spool did not take.",
            registry=registry,
        )

    def answered(self, kind: str, answer: str) -> None:
        """Count a question; `kind` is one of `KINDS`, `answer` one of `ANSWERS`."""
        self.questions.labels(kind, answer).inc()

    def searched(self, asked: int, unfit: int, allowed: int) -> None:
        """Count the candidates of a search: all of them, those that could not be asked about, those that may."""
        for answer, count in zip(ANSWERS, (allowed, asked - unfit - allowed, unfit), strict=True):
            self.questions.labels("search", answer).inc(count)
