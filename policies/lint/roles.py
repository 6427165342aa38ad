"""The roles that policies name, held against the catalogue. What a role is is told by names and inclusions alone."""

from collections.abc import Collection, Iterator, Mapping

from policies.bundle import Bundle
from policies.errors import Finding
from policies.expression import entity
from policies.lint.claim import Claim
from policies.model import EntityUid

_TYPE = "Role"


def unknown_roles(claims: Collection[Claim], roles: Collection[str]) -> Iterator[Finding]:
    """Roles the policies name and the catalogue does not: such a policy would never apply, and nobody would notice."""
    for claim in claims:
        for role in sorted(claim.policy.roles.difference(roles)):
            at = entity(_TYPE, role)
            yield claim.finding("unknown-role", f"`{role}` is not a role of the catalogue", at)


def idle_roles(bundle: Bundle, roles: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """Roles with which nobody can do more than without: no policy names them, or a role that comes with them."""
    return (name for name, held in roles.items() if bundle.roles.isdisjoint(held))


def groups(roles: Mapping[str, frozenset[str]]) -> dict[EntityUid, frozenset[EntityUid]]:
    """Which roles come with which, as Cedar knows them."""
    return {EntityUid(_TYPE, name): frozenset(EntityUid(_TYPE, it) for it in held) for name, held in roles.items()}
