"""Everything a snapshot is built from, as plain text and values, so that it can cross a pipe.

The supervisor reads files and fetches keys; each worker builds its own `gateway.snapshot.Snapshot` from what it is
sent, because parsed policies cannot be handed to another process.
"""

import hashlib
from typing import Final

import msgspec

MAX_LEEWAY_S: Final = 300.0
"""The largest `leeway_s` an issuer may have, and so how long after its `exp` a token may be believed at most."""


class SourceFile(msgspec.Struct, frozen=True):
    """A file's name (for messages and policy ids) and its text."""

    name: str
    text: str


class IssuerSource(msgspec.Struct, frozen=True, kw_only=True):
    """One trusted issuer.

    Attributes:
        name: Its name in the configuration; part of every principal's id.
        iss: The exact `iss` claim.
        audiences: Any one must be in `aud`.
        algorithms: JWS algorithms it may use; nothing else is tried.
        tenants: Tenants it may assert; `*` for any but those it does not list by name elsewhere.
        roles: Roles (our names or its own) it may assert; `*` for any.
        tenant_claim: The claim that names the tenant.
        roles_claim: The claim that lists role names.
        leeway_s: Clock difference allowed for `exp`, `nbf` and `iat`.
    """

    name: str
    iss: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    tenants: tuple[str, ...] = ("*",)
    roles: tuple[str, ...] = ("*",)
    tenant_claim: str = "tenant_id"
    roles_claim: str = "roles"
    leeway_s: float = 30.0


class IssuerKeys(msgspec.Struct, frozen=True):
    """The key set an issuer published last: a JWKS as JSON text."""

    issuer: str
    jwks: str


class TlsSource(msgspec.Struct, frozen=True, kw_only=True):
    """How a service is spoken to over TLS.

    Attributes:
        ca: Certificates that may sign the service's, PEM; the system's where empty.
        cert: Our certificate with its chain, PEM; none where empty.
        key: Its private key, PEM.
        server_name: The name its certificate must have, and that it is asked for by; the address's own where empty.
        verify: Whether its certificate is checked at all.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    verify: bool = True

    def __repr__(self) -> str:
        """Without the key: a repr ends up in logs."""
        return f"TlsSource(server_name={self.server_name!r}, verify={self.verify})"


class BreakerSource(msgspec.Struct, frozen=True, kw_only=True):
    """When an address of a service is left alone for a while.

    Attributes:
        failures: In a row that open its circuit; 0 for never.
        open_s: How long it is left alone; twice as long after each probe that fails.
        open_max_s: At most.
        fault_statuses: Answers that count as failures.
    """

    failures: int = 5
    open_s: float = 5.0
    open_max_s: float = 60.0
    fault_statuses: tuple[int, ...] = (502, 503, 504)


class ServiceLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of one service; each is the field of `gateway.limits.Limits` with that name, None for the gateway's."""

    connect_s: float | None = None
    first_byte_s: float | None = None
    stall_s: float | None = None
    total_s: float | None = None
    upstream_idle_s: float | None = None
    upstream_idle_connections: int | None = None


class CorsSource(msgspec.Struct, frozen=True, kw_only=True):
    """What pages of other origins may ask of a service.

    Attributes:
        origins: Exact origins, `https://shop.example`; or `*` alone, without credentials.
        headers: Request fields that a page may set.
        expose: Answer fields that a page may read, besides the gateway's own.
        credentials: Whether the browser may send cookies and the page read an answer to them.
        max_age_s: How long a browser may remember a preflight's answer.
    """

    origins: tuple[str, ...]
    headers: tuple[str, ...] = ()
    expose: tuple[str, ...] = ()
    credentials: bool = False
    max_age_s: int = 600


class ServiceSource(msgspec.Struct, frozen=True, kw_only=True):
    """A service behind the gateway.

    Attributes:
        name: As routes name it; the audience of its security contexts.
        addresses: `host:port` of each instance.
        websocket_origins: `Origin` values whose pages may open its WebSockets.
        websocket_without_origin: Whether a program that sends no `Origin` may.
        tls: How it is spoken to; None for plain HTTP.
        breaker: When an address is left alone.
        limits: Where this service's bounds are not the gateway's.
        cors: What pages of other origins may ask; None for nothing, and then the service's own fields pass.
    """

    name: str
    addresses: tuple[str, ...]
    websocket_origins: tuple[str, ...] = ()
    websocket_without_origin: bool = False
    tls: TlsSource | None = None
    breaker: BreakerSource = BreakerSource()
    limits: ServiceLimits = ServiceLimits()
    cors: CorsSource | None = None

    @property
    def url(self) -> str:
        """Of its first instance, without a path."""
        return f"{'http' if self.tls is None else 'https'}://{self.addresses[0]}"


class ContextSource(msgspec.Struct, frozen=True, kw_only=True):
    """How security contexts are signed.

    Attributes:
        issuer: The `iss` claim.
        alg: `EdDSA`, `ES256` or `HS256`.
        private_jwk: The signing key as JWK JSON, for the asymmetric algorithms.
        hs256_keys: Service name to JWK JSON of its `oct` key, for `HS256`.
        published: Public keys, JWK JSON, that are believed besides: the next ones and the last ones.
        hs256_believed: The same for `HS256`, by service; these are secrets.
        ttl_s: How long a context holds, and how long one is reused on routes that only read.
    """

    issuer: str
    alg: str = "EdDSA"
    private_jwk: str = ""
    hs256_keys: dict[str, str] = {}
    published: tuple[str, ...] = ()
    hs256_believed: dict[str, tuple[str, ...]] = {}
    ttl_s: int = 60

    def __repr__(self) -> str:
        """Without keys: a repr ends up in logs."""
        return f"ContextSource(issuer={self.issuer!r}, alg={self.alg!r})"


class FrontTls(msgspec.Struct, frozen=True, kw_only=True):
    """What the public port proves itself with, and whom it asks for a proof.

    Attributes:
        certificate: PEM, the server's own first, then what leads to a root.
        private_key: PEM, without a passphrase.
        client_ca: PEM of the authorities that client certificates must come from; empty where none are asked for.
        client_certificates: `none`, `optional` or `required`.
        min_version: `1.2` or `1.3`.
    """

    certificate: str
    private_key: str
    client_ca: str = ""
    client_certificates: str = "none"
    min_version: str = "1.2"

    def __repr__(self) -> str:
        """Without the key: a repr ends up in logs."""
        return f"FrontTls(client_certificates={self.client_certificates!r}, min_version={self.min_version!r})"


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What one snapshot is made of.

    Attributes:
        policies: The `.cedar` files, by name.
        schema: The Cedar schema's text.
        roles: `roles.toml`.
        routes: `routes.toml`.
        issuers: Trusted issuers.
        keys: What each issuer published; an issuer without an entry cannot identify anyone yet.
        services: Where requests go.
        context: How contexts are signed.
        cross_tenant: `tenancy.cross_tenant`.
        strict: Whether any policy error denies.
        redacted_fields: `mask` or `remove`: how fields of an answer go that its caller may not see.
        tls: Of the public port; None for plain HTTP.
        decision_api: Version of the decision API's own files, which the supervisor keeps to itself.
        bundle_serial: Of the signed bundle the policies came in; None where they came from a folder.
    """

    policies: tuple[SourceFile, ...]
    schema: SourceFile
    roles: SourceFile
    routes: SourceFile
    issuers: tuple[IssuerSource, ...]
    keys: tuple[IssuerKeys, ...]
    services: tuple[ServiceSource, ...]
    context: ContextSource
    cross_tenant: bool = False
    strict: bool = False
    redacted_fields: str = "mask"
    tls: FrontTls | None = None
    decision_api: str = ""
    bundle_serial: int | None = None

    @property
    def version(self) -> str:
        """16 hex digits that change when any source does; nothing can be read out of them."""
        digest = hashlib.sha256()
        for part in (self.policies, self.schema, self.roles, self.routes, self.issuers, self.keys, self.services):
            digest.update(msgspec.json.encode(part))
        switches = (self.context, self.cross_tenant, self.strict, self.redacted_fields, self.tls, self.decision_api)
        digest.update(msgspec.json.encode(switches))
        return digest.hexdigest()[:16]

    @property
    def rules_hash(self) -> int:
        """48 bits that are the same where decisions are: of policies, roles and routes, and how they are taken."""
        rules = (self.policies, self.schema, self.roles, self.routes, self.cross_tenant, self.strict)
        return int.from_bytes(hashlib.sha256(msgspec.json.encode(rules)).digest()[:6])  # a float holds 53 exactly
