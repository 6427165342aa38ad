"""The `services` section of `lychgate.yaml`: where each service is, how it is spoken to, and what pages may ask of it.

Pydantic, like `gateway.settings`, so the supervisor alone may import this module.
"""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, NonNegativeInt, PositiveFloat, model_validator

from audit.private_file import PrivatePath
from gateway.settings import Name, Section
from gateway.sources import BreakerSource, CorsSource, ServiceLimits, ServiceSource, TlsSource

_URL = re.compile(r"^(?P<scheme>https?)://(?P<address>[^/?#@\s]+:[0-9]{1,5})/?$")


def _parts(url: str) -> tuple[str, str]:
    """Return scheme and `host:port` of `http://host:port` or `https://host:port`."""
    found = _URL.match(url)
    if found is None:
        raise ValueError("a service's url is http://host:port or https://host:port, without a path")
    return found["scheme"], found["address"]


class ServiceTlsSettings(Section):
    """`services.NAME.tls`: for urls that are `https`; at least TLS 1.2.

    Attributes:
        ca_file: Certificates that may sign the service's, PEM; the system's when not given.
        cert_file: Our certificate with its chain, PEM, for a service that asks for one.
        key_file: Its private key, PEM, without a passphrase; when not given, it stands in `cert_file` too.
        server_name: The name that the service's certificate must have; the host of the url when not given.
        verify: Whether the service's certificate is checked. Off, whoever is on the way can be the service.
    """

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: PrivatePath | None = None
    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$")] | None = None
    verify: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file")
        if not self.verify and (self.ca_file is not None or self.server_name is not None):
            raise ValueError("verify is off, so ca_file and server_name would check nothing")
        return self


class BreakerSettings(Section):
    """`services.NAME.breaker`: when an address is left alone; see `docs/adr/0080`.

    Attributes:
        failures: In a row that open an address's circuit: connections that cannot be made, answers that do not come in
            time, are broken off before they began, are not HTTP, or have one of `fault_statuses`; 0 for never.
        open_s: How long it is left alone before one request tries it; twice as long after each one that fails.
        open_max_s: At most.
        fault_statuses: Answers that count as failures.
    """

    failures: NonNegativeInt = BreakerSource().failures
    open_s: PositiveFloat = BreakerSource().open_s
    open_max_s: PositiveFloat = BreakerSource().open_max_s
    fault_statuses: tuple[Annotated[int, Field(ge=500, le=599)], ...] = BreakerSource().fault_statuses

    def source(self) -> BreakerSource:
        """As a snapshot is built from."""
        return BreakerSource(**self.model_dump())


class ServiceLimitsSettings(Section):
    """`services.NAME.limits`: bounds of this service alone; what is not given is `gateway.limits`.

    Attributes:
        connect_s: To one of its addresses, TLS included; then another is tried once, then 502.
        first_byte_s: From the request's last byte to the end of the answer's head; then 504.
        stall_s: Without a byte of an unfinished answer; then the answer is cut.
        total_s: A whole exchange; 0 for no limit.
        upstream_idle_s: An unused connection is kept; keep it below what the service itself waits.
        upstream_idle_connections: Unused connections kept for each address.
    """

    connect_s: PositiveFloat | None = None
    first_byte_s: PositiveFloat | None = None
    stall_s: PositiveFloat | None = None
    total_s: Annotated[float, Field(ge=0)] | None = None
    upstream_idle_s: PositiveFloat | None = None
    upstream_idle_connections: NonNegativeInt | None = None

    def source(self) -> ServiceLimits:
        """As a snapshot is built from."""
        return ServiceLimits(**self.model_dump())


_Origin = Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://(?:[a-z0-9._-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$")]


class WebSocketSettings(Section):
    """`services.NAME.websocket`: who may open the tunnels of the service's routes; nobody unless it is said here.

    Attributes:
        origins: Pages that may, as browsers write `Origin`: scheme and host in lower case, the port where it is not
            the scheme's own, no path.
        without_origin: Whether a program that sends no `Origin` may. Every browser sends one, so this lets no page in.
    """

    origins: tuple[_Origin, ...] = ()
    without_origin: bool = False


_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ANY_ORIGIN = "*"
_FieldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]


class CorsSettings(Section):
    """`services.NAME.cors`: what pages of other origins may ask of a service. Its own CORS fields are dropped then.

    Attributes:
        allow_origins: Exact origins as browsers send them, `https://shop.example`; or `*` alone, without credentials.
        allow_headers: Request fields that a page may set.
        expose_headers: Answer fields that a page may read, besides the gateway's own.
        allow_credentials: Whether the browser may send cookies along.
        max_age_s: How long a browser may remember the answer to a preflight.
    """

    allow_origins: Annotated[tuple[str, ...], Field(min_length=1)]
    allow_headers: tuple[_FieldName, ...] = ("Authorization", "Content-Type", "Traceparent")
    expose_headers: tuple[_FieldName, ...] = ()
    allow_credentials: bool = False
    max_age_s: Annotated[int, Field(ge=0, le=86_400)] = 600

    @model_validator(mode="after")
    def _origins_are_exact(self) -> Self:
        if _ANY_ORIGIN in self.allow_origins:
            if len(self.allow_origins) > 1 or self.allow_credentials:
                raise ValueError("allow_origins: `*` stands alone, and not beside allow_credentials")
            return self
        for origin in self.allow_origins:
            found = _ORIGIN.fullmatch(origin)
            if found is None or found["port"] == _DEFAULT_PORTS.get(found["scheme"], ""):
                raise ValueError(
                    f"allow_origins: `{origin}` is no origin as a browser sends it: scheme://host in lower case, with "
                    "a port only where it is not the scheme's own, without a path"
                )
        return self

    def source(self) -> CorsSource:
        """As a snapshot is built from."""
        return CorsSource(
            origins=self.allow_origins,
            headers=self.allow_headers,
            expose=self.expose_headers,
            credentials=self.allow_credentials,
            max_age_s=self.max_age_s,
        )


class ServiceSettings(Section):
    """One entry of `services`, under the service's name.

    Attributes:
        urls: `http://host:port` or `https://host:port` of each instance; one scheme for all.
        tls: See `ServiceTlsSettings`.
        breaker: See `BreakerSettings`.
        limits: See `ServiceLimitsSettings`.
        websocket: See `WebSocketSettings`.
        cors: See `CorsSettings`.
    """

    urls: Annotated[tuple[str, ...], Field(min_length=1)]
    tls: ServiceTlsSettings = ServiceTlsSettings()
    breaker: BreakerSettings = BreakerSettings()
    limits: ServiceLimitsSettings = ServiceLimitsSettings()
    websocket: WebSocketSettings = WebSocketSettings()
    cors: CorsSettings | None = None

    @model_validator(mode="after")
    def _urls_are_addresses(self) -> Self:
        schemes = {_parts(url)[0] for url in self.urls}
        if len(schemes) > 1:
            raise ValueError("urls are all http or all https: a service that is asked for in the clear has no secrets")
        if len(set(self.addresses)) < len(self.urls):
            raise ValueError("urls names an address twice")
        if "http" in schemes and self.tls != ServiceTlsSettings():
            raise ValueError("tls is set, and urls are http")
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """`host:port` of each instance."""
        return tuple(_parts(url)[1] for url in self.urls)

    @property
    def over_tls(self) -> bool:
        """Whether it is spoken to over TLS."""
        return _parts(self.urls[0])[0] == "https"

    def source(self, name: str, tls: TlsSource | None = None) -> ServiceSource:
        """As a snapshot is built from; `tls` holds what stands in its files."""
        return ServiceSource(
            name=name,
            addresses=self.addresses,
            tls=tls,
            breaker=self.breaker.source(),
            limits=self.limits.source(),
            websocket_origins=self.websocket.origins,
            websocket_without_origin=self.websocket.without_origin,
            cors=self.cors.source() if self.cors is not None else None,
        )


def _plain_url(value: object) -> object:
    """`order: http://host:port` is short for `order: {urls: [http://host:port]}`."""
    return {"urls": (value,)} if isinstance(value, str) else value


Services = dict[Name, Annotated[ServiceSettings, BeforeValidator(_plain_url)]]
"""`services`: name to where it is. The name is the audience of its security contexts."""

_SAMPLES = ("product", "order", "inventory", "loyalty", "payment", "customer", "integration")


def default_services() -> Services:
    """Where `lychgate up` runs the sample services (9001-9007) and the query API (8082)."""
    services = {name: ServiceSettings(urls=(f"http://127.0.0.1:{9001 + n}",)) for n, name in enumerate(_SAMPLES)}
    return {**services, "audit": ServiceSettings(urls=("http://127.0.0.1:8082",))}
