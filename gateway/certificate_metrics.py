"""What is counted of certificates that the gateway shows: the supervisor's own, beside `gateway.metrics`."""

from collections.abc import Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from audit.metrics.closed import Gauge, Label


class Life(NamedTuple):
    """From when to when a certificate holds, seconds since the epoch; both 0 for one that is not there."""

    begins: float
    ends: float


class CertificateMetrics:
    """How long certificates hold: the public port's, and those that services are shown."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._service = Label("service", of="the services that are shown a certificate")
        self.begins = Gauge(
            "lychgate_certificate_begins_timestamp_seconds",
            "From when the public port's certificate holds, seconds since the epoch; 0 without TLS.",
            registry=registry,
        )
        self.ends = Gauge(
            "lychgate_certificate_expires_timestamp_seconds",
            "When the public port's certificate ends, seconds since the epoch; 0 without TLS.",
            registry=registry,
        )
        self.service_begins = Gauge(
            "lychgate_service_certificate_begins_timestamp_seconds",
            "From when the certificate holds that a service is shown, seconds since the epoch.",
            (self._service,),
            registry=registry,
        )
        self.service_ends = Gauge(
            "lychgate_service_certificate_expires_timestamp_seconds",
            "When the certificate ends that a service is shown, seconds since the epoch.",
            (self._service,),
            registry=registry,
        )

    def show(self, front: Life, services: Mapping[str, Life]) -> None:
        """Show what is in force.

        Args:
            front: Of the public port.
            services: Service name to the life of the certificate that it is shown; no other service has a series.
        """
        self.begins.set(front.begins)
        self.ends.set(front.ends)
        self._service.allow(services)
        for gauge in (self.service_begins, self.service_ends):
            gauge.clear()  # of a service that is gone it would stand for ever
        for name, life in services.items():
            self.service_begins.labels(name).set(life.begins)
            self.service_ends.labels(name).set(life.ends)
