"""The gateway's sections of `lychgate.yaml`; pydantic, so the supervisor alone may import this module.

`lychgate.settings` composes the sections into the whole and reads the environment; `gateway.supervisor` takes from them
what each part needs. A worker never sees them: it is sent a `gateway.control.WorkerConfig`.
"""

import ipaddress
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, model_validator

from audit.private_file import PrivatePath
from gateway.control import HopsConfig
from gateway.limits import Limits
from gateway.sources import MAX_LEEWAY_S, IssuerSource
from policies.origin import Origin

Port = Annotated[int, Field(ge=0, le=65535)]
"""0 lets the system choose, which is what tests do."""

NAME = r"^[a-z][a-z0-9-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME)]
_Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


def _network(text: str) -> str:
    """A CIDR without host bits: `10.0.0.1/8` is a slip of which nobody could say what it means."""
    return str(ipaddress.ip_network(text))


Network = Annotated[str, AfterValidator(_network)]


class Section(BaseModel):
    """A section of the configuration: unknown keys are errors, nothing changes after the check."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsSettings(Section):
    """`gateway.limits`: the fields of `gateway.limits.Limits`, which says what each means."""

    request_line_bytes: Annotated[int, Field(ge=1024)] = Limits().request_line_bytes
    header_bytes: Annotated[int, Field(ge=1024)] = Limits().header_bytes
    header_count: Annotated[int, Field(ge=8)] = Limits().header_count
    response_header_bytes: Annotated[int, Field(ge=1024)] = Limits().response_header_bytes
    body_bytes: NonNegativeInt = Limits().body_bytes
    decided_body_bytes: Annotated[int, Field(ge=1)] = Limits().decided_body_bytes
    redacted_body_bytes: Annotated[int, Field(ge=1)] = Limits().redacted_body_bytes
    pipelined_bytes: Annotated[int, Field(ge=1024)] = Limits().pipelined_bytes
    pipelined_requests: Annotated[int, Field(ge=1)] = Limits().pipelined_requests
    write_buffer_bytes: Annotated[int, Field(ge=1024)] = Limits().write_buffer_bytes
    connections: Annotated[int, Field(ge=1)] = Limits().connections
    connections_per_client: NonNegativeInt = Limits().connections_per_client
    inflight: Annotated[int, Field(ge=1)] = Limits().inflight
    tls_handshake_s: PositiveFloat = Limits().tls_handshake_s
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


class TlsSettings(Section):
    """`gateway.tls`: TLS on the public port; off unless a certificate is named. HTTP/1.1 is all that ALPN offers.

    Attributes:
        cert_file: PEM, the certificate and what leads to a root.
        key_file: PEM, its private key, without a passphrase.
        client_ca_file: PEM of the authorities whose client certificates are accepted.
        client_certificates: Whether clients are asked for a certificate, and let in without.
        min_version: The lowest version of TLS.
        poll_s: How often the files are looked at for a change; SIGHUP looks at once.
    """

    cert_file: Path | None = None
    key_file: PrivatePath | None = None
    client_ca_file: Path | None = None
    client_certificates: Literal["none", "optional", "required"] = "none"
    min_version: Literal["1.2", "1.3"] = "1.2"
    poll_s: PositiveFloat = 5.0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("give both cert_file and key_file, or neither")
        if (self.client_ca_file is None) != (self.client_certificates == "none"):
            raise ValueError("client_ca_file and client_certificates (optional or required) belong together")
        if self.cert_file is None and self.client_ca_file is not None:
            raise ValueError("client certificates need TLS: give cert_file and key_file")
        return self


class TrustedHopsSettings(Section):
    """`gateway.trusted_hops`: the load balancers and proxies in front, which are believed about the client.

    Attributes:
        networks: Their addresses as CIDR. From anybody else forwarded fields are dropped and made anew.
        count: How many hops a request comes through at most. Without `networks`, whoever connects is the first of
            them: only where nobody else can reach the port.
        field: The field they write. The other one is never believed: a hop that does not write it lets a client's pass.
    """

    networks: tuple[Network, ...] = ()
    count: Annotated[int, Field(ge=0, le=32)] = 0
    field: Literal["x-forwarded-for", "forwarded"] = "x-forwarded-for"

    def config(self) -> HopsConfig:
        """As a worker is told."""
        return HopsConfig(networks=self.networks, count=self.count, field=self.field)


class GatewaySettings(Section):
    """`gateway`: the public door.

    Attributes:
        host: Where the public port listens.
        port: The public port.
        workers: Worker processes; 0 for one a core.
        backlog: Connections that may wait to be accepted.
        node: Names this machine in producer ids; every gateway of a fleet needs its own.
        routes_file: The route table.
        roles_file: The role catalogue.
        redacted_fields: How fields of an answer go that its caller may not see: `mask` puts `***` in their place,
            `remove` leaves them out.
        unready_s: How long after a stop was asked for new connections are still taken, while `/readyz` says no: what
            a load balancer needs to notice.
        drain_s: How long requests may finish after that.
        restart_backoff_s: The longest wait before a worker that keeps dying is started again.
        tls: See `TlsSettings`.
        trusted_hops: See `TrustedHopsSettings`.
        limits: See `LimitsSettings`.
    """

    host: str = "0.0.0.0"  # noqa: S104 - the one port that is meant for everybody (DESIGN section 3)
    port: Port = 8080
    workers: Annotated[int, Field(ge=0, le=256)] = 0
    backlog: Annotated[int, Field(ge=1)] = 2048
    node: Name = "gateway"
    routes_file: Path = Path("routes.toml")
    roles_file: Path = Path("roles/roles.toml")
    redacted_fields: Literal["mask", "remove"] = "mask"
    unready_s: Annotated[float, Field(ge=0)] = 0.0
    drain_s: PositiveFloat = 30.0
    restart_backoff_s: PositiveFloat = 5.0
    tls: TlsSettings = TlsSettings()
    trusted_hops: TrustedHopsSettings = TrustedHopsSettings()
    limits: LimitsSettings = LimitsSettings()


class OpsSettings(Section):
    """`ops`: the operations and decision API.

    Attributes:
        host: Where it listens; loopback unless configured.
        port: Its port.
        metrics_open: Whether `/internal/metrics` answers without a credential.
    """

    host: str = "127.0.0.1"
    port: Port = 8081
    metrics_open: bool = True


class IssuerSettings(Section):
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
    leeway_s: Annotated[float, Field(ge=0, le=MAX_LEEWAY_S)] = 30.0
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


class ContextSettings(Section):
    """`context`: how security contexts are signed.

    Attributes:
        issuer: The `iss` claim.
        alg: `EdDSA` by default; `HS256`, with one key a service, is the faster choice.
        key_file: The signing key as a private JWK, or a set of them that `lychgate keys rotate` writes; made, for its
            owner alone, when it is not there.
        hs256_key_files: Service name to a file with its `oct` JWK or a set of them, for `HS256`.
        ttl_s: How long a context holds.
        services_cache_s: How long services may go by the key set they fetched last; so much longer than `ttl_s` a key
            that signs no more is still published.
        poll_s: How often the key files are looked at; SIGHUP looks at once.
    """

    issuer: str = "lychgate"
    alg: Literal["EdDSA", "ES256", "HS256"] = "EdDSA"
    key_file: PrivatePath = Path(".lychgate/keys/context.jwk")
    hs256_key_files: dict[Name, PrivatePath] = {}
    ttl_s: Annotated[int, Field(ge=1, le=600)] = 60
    services_cache_s: Annotated[int, Field(ge=0, le=86_400)] = 300
    poll_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0


class TenancySettings(Section):
    """`tenancy`.

    Attributes:
        cross_tenant: Whether a role that may be let across tenants is let across.
    """

    cross_tenant: bool = False


class PolicySettings(Section):
    """`policies`.

    Attributes:
        folder: Where the `.cedar` files and the schema are.
        bundle: A signed bundle that is read instead of the folder.
        bundle_public_keys: PEM files of Ed25519 public keys; any one of them must have signed the bundle.
        bundle_min_serial: A bundle with a lower serial is refused, at a start too.
        strict: Whether any error of any policy denies.
        watch: Whether changes of policies, roles and routes are put in force as they are made; if not, SIGHUP does.
        settle_s: How long the files must be left alone before they count as a version.
        poll_s: How often they are looked at even if nobody has told of a change; on a network filesystem nobody does.
        stale_after_s: How long the files may be refused or unreadable before the gateway is not ready any more; 0 for
            ever.
        tables: Where the decision tables are that `lychgate policy test` runs.
        mutants_allowed: The list of mistakes in policies that no decision table need notice, each with its reason.
    """

    folder: Path = Path("policies")
    bundle: Path | None = None
    bundle_public_keys: tuple[Path, ...] = ()
    bundle_min_serial: NonNegativeInt = 0
    strict: bool = False
    watch: bool = True
    settle_s: Annotated[float, Field(ge=0, le=60)] = 0.2
    poll_s: Annotated[float, Field(ge=0.1, le=3600)] = 5.0
    stale_after_s: Annotated[float, Field(ge=0)] = 0.0
    tables: Path = Path("tests/cases/decisions")
    mutants_allowed: Path | None = None

    @model_validator(mode="after")
    def _trusted(self) -> Self:
        if self.bundle is not None and not self.bundle_public_keys:
            raise ValueError("bundle needs bundle_public_keys: whose signature is believed")
        if self.bundle is None and (self.bundle_public_keys or self.bundle_min_serial):
            raise ValueError("bundle_public_keys and bundle_min_serial are of no use without bundle")
        return self

    def origin(self) -> Origin:
        """Where they come from."""
        return Origin(self.folder, self.bundle, self.bundle_public_keys, self.bundle_min_serial)
