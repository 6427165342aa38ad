"""What a replay leaves for Prometheus, as a textfile that node_exporter picks up: the one home of these names."""

from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile

from audit.metrics.closed import Gauge, Label
from lychgate.errors import ConfigurationError
from policies.replay.decide import UNDECIDABLE
from policies.replay.tally import FLIPS, Flip, Undecided


class ReplayMetrics:
    """The last replay."""

    def __init__(self, registry: CollectorRegistry) -> None:
        kind = Label("kind", (flip.value for flip in FLIPS))
        self.incidents = Gauge(
            "auth_regression_incidents",
            "Recorded decisions that a candidate set of policies answers otherwise, and that nobody expects to.",
            (kind,),
            registry=registry,
        )
        self.expected = Gauge(
            "auth_replay_expected_flips",
            "Those that somebody expects.",
            (kind,),
            registry=registry,
        )
        self.undecidable = Gauge(
            "auth_replay_undecidable",
            "Recorded decisions that cannot be made again, by reason.",
            (Label("why", UNDECIDABLE),),
            registry=registry,
        )
        self.decisions = Gauge("auth_replay_decisions", "Recorded decisions that were looked at.", registry=registry)
        self.finished = Gauge(
            "auth_replay_timestamp_seconds", "When the replay ended, seconds since the epoch.", registry=registry
        )

    def show(self, decisions: int, flips: list[Flip], undecided: list[Undecided], at: float) -> None:
        """Take a replay's figures; every series is there, also at 0."""
        for kind in FLIPS:
            of_kind = [flip for flip in flips if flip.verdict is kind]
            self.incidents.labels(kind.value).set(sum(flip.count for flip in of_kind if not flip.expected))
            self.expected.labels(kind.value).set(sum(flip.count for flip in of_kind if flip.expected))
        for why in UNDECIDABLE:
            self.undecidable.labels(why).set(sum(group.count for group in undecided if group.why == why))
        self.decisions.set(decisions)
        self.finished.set(at)


def write_textfile(file: Path, decisions: int, flips: list[Flip], undecided: list[Undecided], at: float) -> None:
    """Write the figures whole: under another name, then renamed.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    registry = CollectorRegistry()
    ReplayMetrics(registry).show(decisions, flips, undecided, at)
    try:
        write_to_textfile(str(file), registry)
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be written: {exc.strerror}") from exc
