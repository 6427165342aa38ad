"""Services as a snapshot names them."""

from typing import Any

from gateway.sources import BreakerSource, ServiceLimits, ServiceSource, TlsSource


def service(
    *addresses: str,
    name: str = "order",
    tls: TlsSource | None = None,
    limits: ServiceLimits | None = None,
    **breaker: Any,
) -> dict[str, ServiceSource]:
    """The one service of a configuration; what is not named is about its breaker."""
    source = ServiceSource(
        name=name,
        addresses=addresses,
        tls=tls,
        breaker=BreakerSource(**breaker),
        limits=limits or ServiceLimits(),
    )
    return {name: source}
