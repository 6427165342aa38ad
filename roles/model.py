"""The role catalogue's values and the principal they are granted to."""

import re
from typing import Final, TypeGuard

import msgspec

from policies.model import EntityUid


class Role(msgspec.Struct, frozen=True, gc=False):
    """One entry of `roles.toml`.

    Attributes:
        name: The Cedar id, `Role::"<name>"`.
        description: One sentence for people.
        includes: Roles whose permissions come with it.
        offered: Whether a refusal may name it as the missing role.
        machine: Held by machines, not by people.
        anonymous: Given to callers without a credential, and to nobody else.
        cross_tenant: May be let across tenants when the configuration says so.
    """

    name: str
    description: str
    includes: tuple[str, ...] = ()
    offered: bool = True
    machine: bool = False
    anonymous: bool = False
    cross_tenant: bool = False


class Grant(msgspec.Struct, frozen=True, gc=False):
    """What became of the role names in a token.

    Attributes:
        roles: Our roles, in catalogue order, each once.
        dropped: Names that are neither ours nor mapped, as they came.
    """

    roles: tuple[str, ...]
    dropped: tuple[str, ...] = ()


class Principal(msgspec.Struct, frozen=True, gc=False):
    """Whom a decision is about.

    Attributes:
        issuer: The configured name of the issuer that vouches for it (not its URL).
        tenant_id: The tenant it belongs to, `[a-z0-9][a-z0-9-]{0,62}`; `-` for a caller without one.
        sub: The issuer's name for it, at most 256 bytes, no control characters.
        roles: Our role names, in catalogue order.
    """

    issuer: str
    tenant_id: str
    sub: str
    roles: tuple[str, ...]

    @property
    def uid(self) -> EntityUid:
        """`User::"<issuer>/<tenant>/<sub>"`: two issuers can never speak for the same principal."""
        return EntityUid("User", f"{self.issuer}/{self.tenant_id}/{self.sub}")


TENANT_PATTERN: Final = r"[a-z0-9][a-z0-9-]{0,62}"
"""What a tenant's name looks like; it is a DNS label, so it may stand in a header, a path and a topic key."""

PLATFORM_TENANT: Final = "platform"
"""Whose the gateway itself is; the one tenant whose people may hold a role that crosses tenants (DESIGN section 4)."""

NO_TENANT: Final = "-"
"""What stands for the tenant and the issuer of a caller without a credential; no tenant can be called that."""

_TENANT: Final = re.compile(TENANT_PATTERN)


def is_tenant(name: object) -> TypeGuard[str]:
    """Whether `name` may be a tenant's. `-`, the mark of events without one, is not."""
    return isinstance(name, str) and _TENANT.fullmatch(name) is not None
