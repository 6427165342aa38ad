"""What a scan leaves for Prometheus, as a textfile that node_exporter picks up: the one home of these names."""

from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile

from audit.metrics.closed import Gauge, Label
from lychgate.coverage.model import Report, State, tally
from lychgate.errors import ConfigurationError


class CoverageMetrics:
    """The last scan."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._service = Label("service", of="the services that are scanned")
        self.ratio = Gauge(
            "audit_coverage_ratio",
            "Handlers that emit an event on every path, of all that change something, 0 to 1.",
            (self._service,),
            registry=registry,
        )
        self.handlers = Gauge(
            "audit_coverage_handlers",
            "Handlers, by what is known of them.",
            (self._service, Label("state", (state.value for state in State))),
            registry=registry,
        )
        self.finished = Gauge(
            "audit_coverage_timestamp_seconds", "When the scan ended, seconds since the epoch.", registry=registry
        )

    def show(self, report: Report, at: float) -> None:
        """Take a scan's figures; every series is there, also at 0."""
        self._service.allow(service.name for service in report.services)
        for service in report.services:
            found = tally(service)
            self.ratio.labels(service.name).set(found.ratio)
            for state in State:
                self.handlers.labels(service.name, state.value).set(getattr(found, state.value))
        self.finished.set(at)


def write_textfile(file: Path, report: Report, at: float) -> None:
    """Write the figures whole: under another name, then renamed.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    registry = CollectorRegistry()
    CoverageMetrics(registry).show(report, at)
    try:
        write_to_textfile(str(file), registry)
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be written: {exc.strerror}") from exc
