"""The role catalogue: which roles there are, in which order, and what names from tokens mean.

Made by `roles.load`; read by everyone who needs to know anything about a role. Code asks flags, never names.
"""

from collections.abc import Iterable, Mapping

from roles.model import Grant, Role


class Catalogue:
    """Every role, from least to most; immutable.

    Attributes:
        roles: In order.
        names: Their names, in order.
        offered: Names a refusal may give as the missing role, in order.
        anonymous: The role of callers without a credential.
        foreign: Other systems' role names to ours.
    """

    __slots__ = ("_by_name", "_closures", "_grantable", "_rank", "anonymous", "foreign", "names", "offered", "roles")

    def __init__(self, roles: tuple[Role, ...], foreign: Mapping[str, str]) -> None:
        """Index the roles; `roles.load` has checked them (order, flags, inclusion)."""
        self.roles = roles
        self.foreign: Mapping[str, str] = dict(foreign)
        self.names = tuple(role.name for role in roles)
        self.offered = tuple(role.name for role in roles if role.offered)
        self.anonymous = next(role.name for role in roles if role.anonymous)
        self._by_name = {role.name: role for role in roles}
        self._rank = {name: rank for rank, name in enumerate(self.names)}
        self._grantable = {role.name: role.name for role in roles if not role.anonymous} | self.foreign
        self._closures: dict[str, frozenset[str]] = {}
        for role in roles:  # a role includes only roles before it, so theirs are known already
            included = (self._closures[name] for name in role.includes)
            self._closures[role.name] = frozenset({role.name}).union(*included)

    def __repr__(self) -> str:
        return f"Catalogue({', '.join(self.names)}; {len(self.foreign)} foreign)"

    def get(self, name: str) -> Role | None:
        """The role of exactly this name, or None."""
        return self._by_name.get(name)

    def resolve(self, names: Iterable[str]) -> Grant:
        """Say which of our roles the names of a token stand for.

        Args:
            names: As the token has them, ours or foreign, in any order, repeats allowed.

        Returns:
            Our roles in catalogue order, each once; the names that mean nothing here, in the order they came, each
            once. The anonymous role is among those: a token cannot make its bearer nobody.
        """
        granted: set[str] = set()
        dropped: dict[str, None] = {}
        for name in names:
            ours = self._grantable.get(name)
            if ours is None:
                dropped[name] = None
            else:
                granted.add(ours)
        return Grant(tuple(sorted(granted, key=self._rank.__getitem__)), tuple(dropped))

    def with_included(self, names: Iterable[str]) -> tuple[str, ...]:
        """The roles of these names and all that come with them, in catalogue order; unknown names bring nothing."""
        held: set[str] = set()
        for name in names:
            held |= self._closures.get(name, frozenset())
        return tuple(sorted(held, key=self._rank.__getitem__))

    def any_machine(self, names: Iterable[str]) -> bool:
        """Whether one of these roles is held by machines."""
        return any(role.machine for name in names if (role := self._by_name.get(name)))

    def any_cross_tenant(self, names: Iterable[str]) -> bool:
        """Whether one of these roles may be let across tenants, where the configuration says so."""
        return any(role.cross_tenant for name in names if (role := self._by_name.get(name)))
