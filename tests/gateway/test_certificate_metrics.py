"""How long certificates hold, as it is scraped."""

import msgspec
from prometheus_client import CollectorRegistry

from gateway.certificate_metrics import CertificateMetrics
from gateway.sources import FrontTls, ServiceSource, TlsSource
from gateway.supervisor.certificates import life_of, show_lives
from tests.builders import plane
from tests.builders.certificates import Authority

ROOT = Authority()
SERVICE = "lychgate_service_certificate_expires_timestamp_seconds"


def test_it_is_of_what_is_in_force() -> None:
    """The public port's and each service's; a service that is shown none, or is gone, has no number."""
    registry = CollectorRegistry()
    metrics = CertificateMetrics(registry)
    ours, theirs = ROOT.server(), ROOT.client()
    tls = TlsSource(cert=theirs.key_pem + theirs.pem)
    sources = msgspec.structs.replace(
        plane.sources(1),
        tls=FrontTls(certificate=ours.pem + ROOT.pem, private_key=ours.key_pem),
        services=(
            ServiceSource(name="order", addresses=("127.0.0.1:1",), tls=tls),
            ServiceSource(name="payment", addresses=("127.0.0.1:1",), tls=TlsSource()),
            ServiceSource(name="product", addresses=("127.0.0.1:1",)),
        ),
    )
    show_lives(sources, metrics)
    front, order = life_of(ours.pem), life_of(theirs.pem)
    assert 0 < front.begins < front.ends
    assert registry.get_sample_value("lychgate_certificate_begins_timestamp_seconds") == front.begins
    assert registry.get_sample_value("lychgate_certificate_expires_timestamp_seconds") == front.ends
    assert registry.get_sample_value(SERVICE, {"service": "order"}) == order.ends
    assert [registry.get_sample_value(SERVICE, {"service": name}) for name in ("payment", "product")] == [None, None]
    begins = SERVICE.replace("expires", "begins")
    assert registry.get_sample_value(begins, {"service": "order"}) == order.begins

    show_lives(plane.sources(1), metrics)
    assert registry.get_sample_value("lychgate_certificate_expires_timestamp_seconds") == 0
    assert registry.get_sample_value(SERVICE, {"service": "order"}) is None


def test_a_certificate_without_dates_stops_nothing() -> None:
    """It is shown as one that is not there."""
    assert life_of("nonsense") == life_of("") == (0, 0)
