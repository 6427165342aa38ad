"""Everything a decision depends on, built whole off the path and swapped as one.

The memos (tokens, entities, decisions, contexts) belong to the snapshot: swapping it is their invalidation. A
revocation swaps nothing: a remembered identity is held against what is revoked each time it is asked for.
"""

from collections.abc import MutableMapping
from typing import Any, Final

from audit.redact import Variant
from gateway.identify.bearer import anonymous, identify
from gateway.identify.keyring import Keyring
from gateway.identify.memo import TokenMemo
from gateway.identify.refusal import Claimed, Reason, TokenRefused
from gateway.model import Identity
from gateway.revocations import Revocations
from gateway.route.cors import CorsTable
from gateway.route.load import load_routes
from gateway.route.table import Table
from gateway.sources import ServiceSource, Sources
from gateway.wire.websocket import Origins
from policies.bundle import Bundle
from policies.engine import Engine
from policies.load import build_bundle
from policies.memo import Memo
from policies.model import Entity
from roles.catalogue import Catalogue
from roles.entities import principal_entities
from roles.load import load_catalogue
from roles.model import Principal
from roles.security_context.signer import ContextSigner

_ENTITIES: Final = 10_000
_CONTEXTS: Final = 20_000


class Snapshot:
    """What requests are judged by, from one set of sources.

    Attributes:
        version: Of the sources.
        bundle: The policies as loaded; `bundle.version` stands in events and contexts.
        routes: The table.
        keyring: Every issuer with its keys.
        catalogue: The roles.
        engine: Cedar with the bundle.
        decisions: The engine, remembering.
        services: Each service by its name.
        origins: Service name to who may open its WebSockets.
        cors: What pages of other origins may ask, by service.
        shaped: Ids of the routes whose answers somebody stands before (`gateway.forward.between`).
        redacted_fields: How fields of an answer go that its caller may not see.
        signer: Of security contexts.
        cross_tenant: The setting `tenancy.cross_tenant`.
        nobody: The identity of callers without a credential.
        tokens: Verified tokens.
        contexts: Contexts for reading that can be used again.
        decision_api: Version of the files that belong to it and are the supervisor's alone.
        dropped_roles: Role names in tokens verified since this was last read and set to 0.
        revocations: What is revoked. The process's own, which outlives snapshots: whoever puts a snapshot in force
            gives it that.
    """

    def __init__(self, sources: Sources) -> None:
        self.version = sources.version
        self.bundle: Bundle = build_bundle(
            [(file.name, file.text) for file in sources.policies], (sources.schema.name, sources.schema.text)
        )
        self.engine = Engine(self.bundle, strict=sources.strict)
        self.decisions = Memo(self.engine)
        self.catalogue: Catalogue = load_catalogue(sources.roles.text, sources.roles.name)
        self.services = {service.name: service for service in sources.services}
        self.origins = {service.name: _origins(service) for service in sources.services}
        self.routes: Table = load_routes(sources.routes.name, sources.routes.text, self.bundle, self.services)
        self.cors = CorsTable(sources.services)
        self.shaped = frozenset(
            route.id
            for route in self.routes.routes
            if route.redact or route.trailers or route.service in self.cors.services
        )
        self.redacted_fields = Variant(sources.redacted_fields)
        self.keyring = Keyring.build(sources.issuers, sources.keys)
        self.signer = ContextSigner.from_source(sources.context)
        self.cross_tenant = sources.cross_tenant
        self.decision_api = sources.decision_api
        self.nobody = anonymous(self.catalogue)
        self.tokens = TokenMemo()
        self.contexts = KeptContexts()
        self.dropped_roles = 0
        self.revocations = Revocations()
        self._entities: dict[Principal, tuple[Entity, ...]] = {}

    def identify(self, authorization: bytes, now: float, *, operating: bool = False) -> Identity:
        """Whose credential this is; remembered until it expires or the snapshot goes, believed until it is revoked.

        Args:
            authorization: The field's value; empty for none.
            now: Seconds since the epoch.
            operating: Whether it is shown to operate the gateway, which must be possible while the fleet's revocations
                are out of reach; those that are known hold here too.

        Raises:
            NotIdentified: With the code to answer and the reason to record.
            Unready: Revocations may be missing (`Revocations.check_fresh`).
        """
        identity = self.tokens.get(authorization, now)
        if identity is None:
            identity = identify(authorization, self.keyring, self.catalogue, now)
            self.dropped_roles += len(identity.dropped_roles)
            self.tokens.put(authorization, identity)
        if self.revocations.active:
            self.check_revoked(identity, operating=operating)
        return identity

    def check_revoked(self, identity: Identity, *, operating: bool = False) -> None:
        """Refuse a caller who was identified and is revoked by now.

        Args:
            identity: As `identify` found it.
            operating: As for `identify`.

        Raises:
            TokenRefused: `revoked`, booked to the token's tenant.
            Unready: As for `identify`.
        """
        if not identity.token_sha256:
            return
        principal = identity.principal
        if self.revocations.refuses(identity):
            raise TokenRefused(Reason.REVOKED, claimed=Claimed(principal.issuer, principal.tenant_id, principal.sub))
        if not operating:
            self.revocations.check_fresh()

    def entities(self, principal: Principal) -> tuple[Entity, ...]:
        """The principal as Cedar sees it."""
        found = self._entities.get(principal)
        if found is None:
            if len(self._entities) >= _ENTITIES:
                self._entities.clear()
            found = self._entities[principal] = principal_entities(principal, self.catalogue)
        return found

    def memories(self) -> tuple[MutableMapping[Any, Any], ...]:
        """What it remembers, to be emptied when it is replaced: it may be asked on, and then remembers anew."""
        return (self.decisions.memory, self.tokens.memory, self.contexts.memory, self._entities)

    def parts(self) -> list[Any]:
        """What it is made of, in many small pieces: whoever holds them can let go of one after the other."""
        return [*self.bundle.policies.values(), *self.engine.parts(), *self.routes.routes, self.bundle, self.engine]

    def may_cross(self, principal: Principal) -> bool:
        """Whether the caller may name another tenant: a role says so and the configuration does."""
        roles = (self.catalogue.get(name) for name in principal.roles)
        return self.cross_tenant and any(role is not None and role.cross_tenant for role in roles)


class KeptContexts:
    """Signed contexts by caller, tenant and service, each until a time; bounded."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[bytes, str, str], tuple[str, float]] = {}

    @property
    def memory(self) -> MutableMapping[tuple[bytes, str, str], tuple[str, float]]:
        """All that is kept."""
        return self._kept

    def get(self, key: tuple[bytes, str, str], now: float) -> tuple[str, float] | None:
        """The context that is kept and until when, unless that time is over."""
        found = self._kept.get(key)
        return found if found is not None and now < found[1] else None

    def put(self, key: tuple[bytes, str, str], token: str, until: float) -> None:
        """Keep a context until a time, seconds since the epoch."""
        if len(self._kept) >= _CONTEXTS:
            self._kept.clear()
        self._kept[key] = (token, until)


def _origins(service: ServiceSource) -> Origins:
    allowed = frozenset(origin.encode("ascii") for origin in service.websocket_origins)
    return Origins(allowed, service.websocket_without_origin)


def build_snapshot(sources: Sources) -> Snapshot:
    """Build a snapshot; the whole of it or nothing.

    Raises:
        PolicyErrors, CatalogueError, RoutesError: With file, place and reason.
        ValueError: A key of ours or of an issuer cannot be read.
    """
    return Snapshot(sources)
