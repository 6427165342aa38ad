"""From a verified payload to an `Identity`: what an issuer said, held against what it may say.

Pure. Called by `bearer` after the signature held, and never before.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from gateway.errors import Code
from gateway.identify.refusal import Claimed, Reason, TokenRefused
from gateway.model import Identity
from gateway.sources import IssuerSource
from policies.model import Json
from roles.catalogue import Catalogue
from roles.model import PLATFORM_TENANT, Grant, Principal, is_tenant

_ANY = "*"
_MAX_ID_BYTES = 256
# The year 9999; beyond it nothing that prints a date can follow, and an integer need not fit a float.
_END_OF_TIME = 253_402_300_800


def is_id(value: object) -> TypeGuard[str]:
    """Whether this can be a `sub` or `jti`, and so stand in a header, a log and an entity id.

    Not empty, at most 256 bytes, no control characters.
    """
    return (
        isinstance(value, str)
        and 0 < len(value.encode()) <= _MAX_ID_BYTES
        and not any(unicodedata.category(character) == "Cc" for character in value)
    )


@dataclass(frozen=True, slots=True)
class Trust:
    """How far one issuer is believed; its configuration in the form in which it is asked.

    Attributes:
        source: The configuration.
        tenants: Tenants it may assert by name.
        tenants_elsewhere: Tenants that a `*` of this issuer does not cover, because another issuer lists them by name;
            None when this issuer has no `*`.
        roles: Role names, ours or its own, it may assert; None for any.
    """

    source: IssuerSource
    tenants: frozenset[str]
    tenants_elsewhere: frozenset[str] | None
    roles: frozenset[str] | None

    def may_speak_for(self, tenant: str) -> bool:
        """Whether this issuer may assert the tenant."""
        if tenant in self.tenants:
            return True
        return self.tenants_elsewhere is not None and tenant not in self.tenants_elsewhere


def trust(source: IssuerSource, others: Sequence[IssuerSource]) -> Trust:
    """Prepare an issuer's configuration.

    Args:
        source: The issuer.
        others: Every other one, for the tenants they own by name.
    """
    elsewhere = frozenset(tenant for other in others for tenant in other.tenants if tenant != _ANY)
    return Trust(
        source=source,
        tenants=frozenset(source.tenants) - {_ANY},
        tenants_elsewhere=elsewhere if _ANY in source.tenants else None,
        roles=None if _ANY in source.roles else frozenset(source.roles),
    )


def identity(
    payload: Mapping[str, Json], trusted: Trust, catalogue: Catalogue, now: float, *, token_sha256: bytes, kid_ref: str
) -> Identity:
    """Say who a verified token's bearer is.

    The order is the record's: first whose audit the refusal belongs to, then what nothing but another token can mend,
    last the time, so that `token_expired` always means that the same token, fresher, would have held.

    Args:
        payload: The claims, signed by a key of this issuer.
        trusted: The issuer.
        catalogue: What role names mean.
        now: Seconds since the epoch.
        token_sha256: Of what the token's signature covers.
        kid_ref: The key that verified it.

    Raises:
        TokenRefused: With `claimed` set as soon as it is known.
    """
    source = trusted.source
    if payload.get("iss") != source.iss:
        raise TokenRefused(Reason.ISSUER)
    tenant_id = payload.get(source.tenant_claim)
    if not is_tenant(tenant_id) or not trusted.may_speak_for(tenant_id):
        raise TokenRefused(Reason.TENANT)
    sub = payload.get("sub")
    if not is_id(sub):
        raise TokenRefused(Reason.SUBJECT)
    claimed = Claimed(source.name, tenant_id, sub)
    _check_audience(payload, source, claimed)
    jti = payload.get("jti")
    if jti is not None and not is_id(jti):
        raise TokenRefused(Reason.CLAIMS, claimed=claimed)
    roles, dropped = _roles(payload, trusted, catalogue, claimed)
    issued_at, expires_at = _times(payload, source.leeway_s, now, claimed)
    return Identity(
        principal=Principal(source.name, tenant_id, sub, roles),
        auth_method="jwt",
        expires_at=expires_at,
        issued_at=issued_at,
        token_sha256=token_sha256,
        jti=jti,
        kid_ref=kid_ref,
        dropped_roles=dropped,
    )


def _check_audience(payload: Mapping[str, Json], source: IssuerSource, claimed: Claimed) -> None:
    """RFC 7519 s4.1.3: one name or a list of names, and one of them must be ours."""
    stated = payload.get("aud")
    audiences = stated if isinstance(stated, list) else [stated]
    if not all(isinstance(audience, str) for audience in audiences):
        raise TokenRefused(Reason.AUDIENCE, claimed=claimed)
    if not any(audience in source.audiences for audience in audiences):
        raise TokenRefused(Reason.AUDIENCE, claimed=claimed)


def _roles(
    payload: Mapping[str, Json], trusted: Trust, catalogue: Catalogue, claimed: Claimed
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Our roles in order, and the names that mean nothing here.

    A name that means nothing asserts nothing: it is dropped and counted, whether or not the issuer lists it (every
    Keycloak token carries `offline_access`). A name that means a role the issuer may not assert ends the token.
    """
    stated = payload.get(trusted.source.roles_claim, [])
    if not isinstance(stated, list):
        raise TokenRefused(Reason.CLAIMS, claimed=claimed)
    names = [name for name in stated if isinstance(name, str)]
    if len(names) != len(stated):
        raise TokenRefused(Reason.CLAIMS, claimed=claimed)
    grant = granted(names, claimed.tenant_id, trusted, catalogue)
    if grant is None:
        raise TokenRefused(Reason.ROLE, claimed=claimed)
    return grant.roles, grant.dropped


def granted(names: Sequence[str], tenant_id: str, trusted: Trust, catalogue: Catalogue) -> Grant | None:
    """What role names become that an issuer, or somebody in its name, asserts for a subject of a tenant.

    Returns:
        The grant; None where one of them means a role that the issuer, or anybody of that tenant, may not have.
    """
    if trusted.roles is not None:
        for name in names:
            asserted = catalogue.resolve((name,)).roles
            if name not in trusted.roles and not trusted.roles.issuperset(asserted):
                return None
    grant = catalogue.resolve(names)
    if tenant_id != PLATFORM_TENANT and catalogue.any_cross_tenant(grant.roles):
        return None
    return grant


def _times(payload: Mapping[str, Json], leeway_s: float, now: float, claimed: Claimed) -> tuple[float, float]:
    """When it was issued (0 if it does not say), and when this gateway stops believing it: `exp` and the leeway."""
    expires, not_before, issued = (_numeric_date(payload, name, claimed) for name in ("exp", "nbf", "iat"))
    if expires is None:
        raise TokenRefused(Reason.CLAIMS, claimed=claimed)
    if max(not_before or 0.0, issued or 0.0) > now + leeway_s:
        raise TokenRefused(Reason.NOT_YET, claimed=claimed)
    if now >= expires + leeway_s:
        raise TokenRefused(Reason.EXPIRED, code=Code.TOKEN_EXPIRED, claimed=claimed)
    return issued or 0.0, expires + leeway_s


def _numeric_date(payload: Mapping[str, Json], name: str, claimed: Claimed) -> float | None:
    """RFC 7519 s2 NumericDate: a finite number of seconds, whole or not; true is no number."""
    value = payload.get(name)
    if value is None and name not in payload:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _END_OF_TIME:
        raise TokenRefused(Reason.CLAIMS, claimed=claimed)
    return float(value)
