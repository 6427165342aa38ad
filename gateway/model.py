"""Values that one stage makes and a sibling reads."""

from enum import Enum, StrEnum

import msgspec

from roles.model import Principal


class Certificate(msgspec.Struct, frozen=True, gc=False):
    """What a client proved itself with in the TLS handshake.

    Attributes:
        subject: RFC 4514 text, cut at 256 characters.
        sha256: Of the certificate's DER, 64 hex digits.
    """

    subject: str
    sha256: str


class Peer(msgspec.Struct, frozen=True, gc=False):
    """Who asks: the other end of a client connection, or the client that a trusted hop there speaks for.

    Attributes:
        ip: Its address, in canonical text.
        port: Its port; 0 where a hop speaks for it.
        scheme: `http` or `https`: how the client reached the first of us.
        certificate: The one that the connection's other end has shown, where it was asked.
        hop: Whether the connection's other end is believed when it says for whom it speaks.
    """

    ip: str
    port: int
    scheme: bytes = b"http"
    certificate: Certificate | None = None
    hop: bool = False


class Identity(msgspec.Struct, frozen=True, gc=False):
    """A caller whose credential held.

    Attributes:
        principal: Who it is.
        auth_method: `jwt` or `anonymous`.
        expires_at: Seconds since the epoch when the gateway stops believing the credential: `exp` and the issuer's
            leeway; 0 for a caller without a credential.
        issued_at: Its `iat`; 0 where it has none, which is before any revocation by time of issue.
        token_sha256: Of what the credential's signature covers, 32 bytes; empty without one. The text is never kept.
        jti: The token's own id, where it has one.
        kid_ref: Which key verified it, `<issuer>#<RFC 7638 thumbprint>`, so that it can be forgotten with its key.
        dropped_roles: Role names of the token that are neither ours nor mapped.
    """

    principal: Principal
    auth_method: str
    expires_at: float = 0.0
    issued_at: float = 0.0
    token_sha256: bytes = b""
    jti: str | None = None
    kid_ref: str = ""
    dropped_roles: tuple[str, ...] = ()


class Source(Enum):
    """Where a route's attribute comes from."""

    PATH = "path"
    QUERY = "query"
    HEADER = "header"
    BODY = "body"


class Attribute(msgspec.Struct, frozen=True, gc=False):
    """One value that a route puts into Cedar's context.

    Attributes:
        name: Its name in the action's context type.
        source: Where it is read.
        key: Parameter, query key, lower-case header name, or JSON pointer.
        type: Cedar type: `String`, `Long` or `Boolean`.
        required: Whether a request without it is refused with 400.
    """

    name: str
    source: Source
    key: str
    type: str
    required: bool = True


class DataClass(StrEnum):
    """What kind of fields a route may name in its answers; whether a caller sees them is decided for each."""

    PII = "pii"
    PAYMENT = "payment"
    SECRET = "secret"  # noqa: S105 - the name of a class

    @property
    def action(self) -> str:
        """The Cedar action of whoever may see such fields."""
        return f"data:see_{self.value}"


class Sensitive(msgspec.Struct, frozen=True, gc=False):
    """The fields of one class in a route's answers.

    Attributes:
        data_class: Which.
        pointers: As written in the file: RFC 6901, `*` for any member and any element.
        paths: The same as `audit.redact` takes them.
        names: The last named part of each, in lower case: what an error of unknown shape is searched for.
    """

    data_class: DataClass
    pointers: tuple[str, ...]
    paths: tuple[tuple[str, ...], ...]
    names: frozenset[str]


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """What a method and a path mean.

    Attributes:
        id: Its name in the file, in logs and in records.
        method: The method it serves; GET serves HEAD too.
        template: The path as written, `/orders/{order_id}`; what records show instead of the raw target.
        segments: Literal text, or None where a parameter stands.
        params: The parameters' names, in order of the None segments.
        service: Where the request goes, and the audience of its security context.
        action: The Cedar action.
        resource_type: The Cedar entity type.
        resource_id: The entity's id: literal text with `{param}` in it.
        attributes: What goes into the context.
        tenant_param: The parameter that names a tenant.
        tenant_pointers: JSON pointers into the body that name a tenant.
        changes: Whether it changes something, so that its security context is bound to the request.
        durable: Whether the decision is on disk before anything is forwarded.
        anonymous: Whether a caller without a credential is put to Cedar instead of being refused.
        pass_authorization: Whether the caller's own credential goes on to the service.
        body_bytes: Limit for a request body; None for the gateway's.
        websocket: Whether a request may open a WebSocket here; then it changes something, and is durable.
        redact: Fields of its JSON answers that not every caller may see, by class.
        trailers: Whether trailer fields pass, in both directions; dropped otherwise.
        problem: Why it cannot be used; a route with a problem refuses its path and never lets a wider one have it.
        reads_body: Whether the decision needs the body; follows from the rest.
    """

    id: str
    method: str
    template: str
    segments: tuple[str | None, ...]
    params: tuple[str, ...]
    service: str
    action: str
    resource_type: str
    resource_id: str
    attributes: tuple[Attribute, ...] = ()
    tenant_param: str | None = None
    tenant_pointers: tuple[str, ...] = ()
    changes: bool = False
    durable: bool = False
    anonymous: bool = False
    pass_authorization: bool = False
    body_bytes: int | None = None
    websocket: bool = False
    redact: tuple[Sensitive, ...] = ()
    trailers: bool = False
    problem: str = ""
    reads_body: bool = False

    def __post_init__(self) -> None:
        """Say once what is asked eight times a request."""
        reads = bool(self.tenant_pointers) or any(item.source is Source.BODY for item in self.attributes)
        msgspec.structs.force_setattr(self, "reads_body", reads)


class Match(msgspec.Struct, frozen=True, gc=False):
    """A route, and what its path's parameters stand for in one request. Shared between requests: never changed."""

    route: Route
    params: dict[str, str]
