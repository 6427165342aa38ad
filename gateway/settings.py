"""The gateway's sections of `lychgate.yaml`; pydantic, so the supervisor alone may import this module.

`lychgate.settings` composes the sections into the whole and reads the environment; `gateway.supervisor` takes from them
what each part needs. A worker never sees them: it is sent a `gateway.control.WorkerConfig`.
"""

import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, NonNegativeInt, PositiveFloat, model_validator

from gateway.limits import Limits
from gateway.sources import BreakerSource, IssuerSource, ServiceLimits, ServiceSource, TlsSource

Port = Annotated[int, Field(ge=0, le=65535)]
"""0 lets the system choose, which is what tests do."""

NAME = r"^[a-z][a-z0-9-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME)]
_Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsSettings(_Section):
    """`gateway.limits`: the fields of `gateway.limits.Limits`, which says what each means."""

    request_line_bytes: Annotated[int, Field(ge=1024)] = Limits().request_line_bytes
    header_bytes: Annotated[int, Field(ge=1024)] = Limits().header_bytes
    header_count: Annotated[int, Field(ge=8)] = Limits().header_count
    response_header_bytes: Annotated[int, Field(ge=1024)] = Limits().response_header_bytes
    body_bytes: NonNegativeInt = Limits().body_bytes
    decided_body_bytes: Annotated[int, Field(ge=1)] = Limits().decided_body_bytes
    pipelined_bytes: Annotated[int, Field(ge=1024)] = Limits().pipelined_bytes
    write_buffer_bytes: Annotated[int, Field(ge=1024)] = Limits().write_buffer_bytes
    connections: Annotated[int, Field(ge=1)] = Limits().connections
    header_read_s: PositiveFloat = Limits().header_read_s
    body_stall_s: PositiveFloat = Limits().body_stall_s
    half_close_s: PositiveFloat = Limits().half_close_s
    keep_alive_idle_s: PositiveFloat = Limits().keep_alive_idle_s
    connect_s: PositiveFloat = Limits().connect_s
    first_byte_s: PositiveFloat = Limits().first_byte_s
    stall_s: PositiveFloat = Limits().stall_s
    total_s: Annotated[float, Field(ge=0)] = Limits().total_s
    upstream_idle_s: PositiveFloat = Limits().upstream_idle_s
    upstream_idle_connections: NonNegativeInt = Limits().upstream_idle_connections
    tunnels: NonNegativeInt = Limits().tunnels
    lasting_s: PositiveFloat = Limits().lasting_s
    lasting_idle_s: PositiveFloat = Limits().lasting_idle_s

    def limits(self) -> Limits:
        """As a worker is told."""
        return Limits(**self.model_dump())


class GatewaySettings(_Section):
    """`gateway`: the public door.

    Attributes:
        host: Where the public port listens.
        port: The public port.
        workers: Worker processes; 0 for one a core.
        backlog: Connections that may wait to be accepted.
        node: Names this machine in producer ids; every gateway of a fleet needs its own.
        routes_file: The route table.
        roles_file: The role catalogue.
        drain_s: How long requests may finish after a stop was asked for.
        restart_backoff_s: The longest wait before a worker that keeps dying is started again.
        limits: See `LimitsSettings`.
    """

    host: str = "0.0.0.0"  # noqa: S104 - the one port that is meant for everybody (DESIGN section 3)
    port: Port = 8080
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    backlog: Annotated[int, Field(ge=1)] = 2048
    node: Name = "gateway"
    routes_file: Path = Path("routes.toml")
    roles_file: Path = Path("roles/roles.toml")
    drain_s: PositiveFloat = 30.0
    restart_backoff_s: PositiveFloat = 5.0
    limits: LimitsSettings = LimitsSettings()


class OpsSettings(_Section):
    """`ops`: the operations and decision API.

    Attributes:
        host: Where it listens; loopback unless configured.
        port: Its port.
        metrics_open: Whether `/internal/metrics` answers without a credential.
    """

    host: str = "127.0.0.1"
    port: Port = 8081
    metrics_open: bool = True


class IssuerSettings(_Section):
    """One entry of `issuers`: whose tokens are believed, and how far.

    Attributes:
        name: Ours for it; part of every principal's id, so never change it.
        iss: The exact `iss` claim.
        jwks_url: Where it publishes its keys; or
        jwks_file: a file that holds them.
        audiences: Any one must be in `aud`.
        algorithms: JWS algorithms it may use.
        tenants: Tenants it may assert; `*` for any.
        roles: Roles it may assert, in our names or its own; `*` for any.
        tenant_claim: The claim that names the tenant.
        roles_claim: The claim that lists role names.
        leeway_s: Clock difference allowed.
        refresh_s: How often its keys are fetched.
        unknown_kid_interval_s: At most one fetch in this time for a key id that is not in the set.
    """

    name: Name
    iss: Annotated[str, Field(min_length=1)]
    jwks_url: str | None = None
    jwks_file: Path | None = None
    audiences: Annotated[tuple[str, ...], Field(min_length=1)]
    algorithms: Annotated[tuple[_Algorithm, ...], Field(min_length=1)] = ("ES256", "RS256", "EdDSA")
    tenants: Annotated[tuple[str, ...], Field(min_length=1)]
    roles: Annotated[tuple[str, ...], Field(min_length=1)]
    tenant_claim: str = "tenant_id"
    roles_claim: str = "roles"
    leeway_s: Annotated[float, Field(ge=0, le=300)] = 30.0
    refresh_s: PositiveFloat = 300.0
    unknown_kid_interval_s: PositiveFloat = 5.0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.jwks_url is None) == (self.jwks_file is None):
            raise ValueError("give either jwks_url or jwks_file")
        if self.jwks_url is not None:
            parts = urlsplit(self.jwks_url)
            loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
            if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and loopback)):
                raise ValueError("jwks_url must be https, or http on loopback")
        return self

    def source(self) -> IssuerSource:
        """As a snapshot is built from."""
        return IssuerSource(
            name=self.name,
            iss=self.iss,
            audiences=self.audiences,
            algorithms=self.algorithms,
            tenants=self.tenants,
            roles=self.roles,
            tenant_claim=self.tenant_claim,
            roles_claim=self.roles_claim,
            leeway_s=self.leeway_s,
        )


class ContextSettings(_Section):
    """`context`: how security contexts are signed.

    Attributes:
        issuer: The `iss` claim.
        alg: `EdDSA` by default; `HS256`, with one key a service, is the faster choice.
        key_file: The signing key as a private JWK; made, for its owner alone, when it is not there.
        hs256_key_files: Service name to a file with its `oct` JWK, for `HS256`.
        ttl_s: How long a context holds.
    """

    issuer: str = "lychgate"
    alg: Literal["EdDSA", "ES256", "HS256"] = "EdDSA"
    key_file: Path = Path(".lychgate/keys/context.jwk")
    hs256_key_files: dict[Name, Path] = {}
    ttl_s: Annotated[int, Field(ge=1, le=600)] = 60


class TenancySettings(_Section):
    """`tenancy`.

    Attributes:
        cross_tenant: Whether a role that may be let across tenants is let across.
    """

    cross_tenant: bool = False


class PolicySettings(_Section):
    """`policies`.

    Attributes:
        folder: Where the `.cedar` files and the schema are.
        strict: Whether any error of any policy denies.
    """

    folder: Path = Path("policies")
    strict: bool = False


_URL = re.compile(r"^(?P<scheme>https?)://(?P<address>[^/?#@\s]+:[0-9]{1,5})/?$")


def _parts(url: str) -> tuple[str, str]:
    """Return scheme and `host:port` of `http://host:port` or `https://host:port`."""
    found = _URL.match(url)
    if found is None:
        raise ValueError("a service's url is http://host:port or https://host:port, without a path")
    return found["scheme"], found["address"]


class ServiceTlsSettings(_Section):
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
    key_file: Path | None = None
    server_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$")] | None = None
    verify: bool = True

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file needs cert_file")
        if not self.verify and (self.ca_file is not None or self.server_name is not None):
            raise ValueError("verify is off, so ca_file and server_name would check nothing")
        return self


class BreakerSettings(_Section):
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


class ServiceLimitsSettings(_Section):
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


class WebSocketSettings(_Section):
    """`services.NAME.websocket`: who may open the tunnels of the service's routes; nobody unless it is said here.

    Attributes:
        origins: Pages that may, as browsers write `Origin`: scheme and host in lower case, the port where it is not
            the scheme's own, no path.
        without_origin: Whether a program that sends no `Origin` may. Every browser sends one, so this lets no page in.
    """

    origins: tuple[_Origin, ...] = ()
    without_origin: bool = False


class ServiceSettings(_Section):
    """One entry of `services`, under the service's name.

    Attributes:
        urls: `http://host:port` or `https://host:port` of each instance; one scheme for all.
        tls: See `ServiceTlsSettings`.
        breaker: See `BreakerSettings`.
        limits: See `ServiceLimitsSettings`.
        websocket: See `WebSocketSettings`.
    """

    urls: Annotated[tuple[str, ...], Field(min_length=1)]
    tls: ServiceTlsSettings = ServiceTlsSettings()
    breaker: BreakerSettings = BreakerSettings()
    limits: ServiceLimitsSettings = ServiceLimitsSettings()
    websocket: WebSocketSettings = WebSocketSettings()

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
