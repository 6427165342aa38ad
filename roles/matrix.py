"""Policies and roles in, who may do what out: every role and every action, asked of Cedar. Pure.

What a cell says, it says of every caller who has this role alone, every resource of the action's types in the caller's
own tenant, and every context: `policies.outlook` leaves the context open. Where the policies single something out by
name (a tenant, a resource), that is asked about by itself, and stands beside the cell if it differs. Who may touch what
is another tenant's is asked in the same way, for every role and action, and listed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Final

from policies.bundle import Bundle, Policy
from policies.engine import Engine
from policies.expression import entity
from policies.model import Effect, Entity, EntityUid, Json, Question
from policies.outlook import Foresight, Outlook
from roles.catalogue import Catalogue
from roles.entities import principal_entities
from roles.matrix_model import Apart, Cell, Crossing, Matrix, May, Outcome, Row
from roles.model import NO_TENANT, PLATFORM_TENANT, Principal, Role, is_tenant

_ANY_ID: Final = "*"
_TENANT: Final = "tenant"
_ISSUER: Final = "any"
_SUB: Final = "anybody"


def matrix(engine: Engine, catalogue: Catalogue, *, roles: Iterable[str] = (), actions: Iterable[str] = ()) -> Matrix:
    """Ask everything.

    Args:
        engine: Whose policies.
        catalogue: Says which roles there are.
        roles: Only these; all where none are named.
        actions: Only these; all where none are named.

    Raises:
        UnknownAction: The schema does not declare one of them.
    """
    wanted = frozenset(roles)
    columns = [role for role in catalogue.roles if not wanted or role.name in wanted]
    return _Asker(engine, catalogue, columns).matrix(tuple(actions) or engine.bundle.actions)


class _Asker:
    """Puts the questions."""

    def __init__(self, engine: Engine, catalogue: Catalogue, columns: list[Role]) -> None:
        self._bundle = engine.bundle
        self._foresight = Foresight(engine)
        self._catalogue = catalogue
        self._columns = columns
        self._asked = 0
        self._known: dict[tuple[str, str], _Named] = {}

    def matrix(self, actions: tuple[str, ...]) -> Matrix:
        found = [row for action in sorted(set(actions)) for row in self._rows(action)]
        crossings = [each for action in sorted(set(actions)) for each in self._crossings(action)]
        rank = {role.name: at for at, role in enumerate(self._columns)}
        return Matrix(
            policy_version=self._bundle.version,
            roles=tuple(role.name for role in self._columns),
            rows=tuple(found),
            crossings=tuple(sorted(crossings, key=lambda each: (rank[each.role], each.tenant, each.action))),
            unshown=tuple(name for name, each in self._bundle.policies.items() if _looks_further(each, self._bundle)),
            asked=self._asked,
        )

    def _rows(self, action: str) -> Iterator[Row]:
        """Types with the same cells share a row; the reasons beside them are the first one's."""
        cells = {
            kind: tuple(self._cell(role, action, kind) for role in self._columns)
            for kind in self._bundle.resource_types(action)
        }
        ordered = sorted(cells, key=lambda kind: [str(cell) for cell in cells[kind]])
        for _, kinds in groupby(ordered, key=lambda kind: [str(cell) for cell in cells[kind]]):
            types = sorted(kinds)
            yield Row(action, tuple(types), cells[types[0]])

    def _cell(self, role: Role, action: str, kind: str) -> Cell:
        named = self._named(action, kind)

        def ask(tenant: str, name: str) -> Outcome:
            return self._outcome(role, action, tenant, EntityUid(kind, name), _own(tenant, named))

        return _spread(_homes(role, named), named, "in", ask)

    def _crossings(self, action: str) -> Iterator[Crossing]:
        found: defaultdict[tuple[str, str, str, Outcome], list[str]] = defaultdict(list)
        for kind in self._bundle.resource_types(action):
            named = self._named(action, kind)
            for role in self._columns:
                for tenant in _homes(role, named):
                    cell = self._crossing(role, action, kind, tenant)
                    home = "" if tenant == named.ordinary else tenant
                    if cell.outcome.may is not May.DENY:
                        found[role.name, home, "", cell.outcome].append(kind)
                    for apart in cell.apart:
                        found[role.name, home, apart.where, apart.outcome].append(kind)
        for (role_name, home, where, outcome), kinds in found.items():
            yield Crossing(role_name, home, action, tuple(kinds), where, outcome)

    def _crossing(self, role: Role, action: str, kind: str, tenant: str) -> Cell:
        """What somebody of a tenant may do to what is another's."""
        named = self._named(action, kind)

        def ask(of: str, name: str) -> Outcome:
            return self._outcome(role, action, tenant, EntityUid(kind, name), of)

        return _spread([named.other, *(other for other in named.owners if other != tenant)], named, "into", ask)

    def _named(self, action: str, kind: str) -> "_Named":
        key = action, kind
        if key not in self._known:
            self._known[key] = _Named(self._bundle, action, kind)
        return self._known[key]

    def _outcome(self, role: Role, action: str, tenant: str, resource: EntityUid, of: str) -> Outcome:
        self._asked += 1
        principal = Principal(_ISSUER, tenant, _SUB, (role.name,))
        entities = (*principal_entities(principal, self._catalogue), Entity(resource, {_TENANT: of}))
        return _said(self._foresight.look(Question(principal.uid, action, resource, {}, entities)))


class _Named:
    """What the policies of an action single out by name, and names that they do not.

    Attributes:
        kind: The resource's type.
        tenants: Tenants that a policy may mean: every text in one that could be a tenant's name.
        owners: Those, and what stands for no tenant where a policy means that.
        ids: Of the resource's type.
        ordinary: A tenant that none names.
        other: Another one.
    """

    def __init__(self, bundle: Bundle, action: str, kind: str) -> None:
        nodes = [node for policy in bundle.slice(EntityUid("Action", action)) for node in _nodes(dict(policy.tree))]
        texts = {value for node in nodes if isinstance(node, dict) and isinstance(value := node.get("Value"), str)}
        self.kind = kind
        self.tenants = tuple(sorted(filter(is_tenant, texts)))
        self.owners = (*self.tenants, *({NO_TENANT} & texts))
        self.ids = tuple(sorted({name for of, name in _entities(nodes) if of == kind}))
        self.ordinary, self.other = _unnamed(texts, "acme"), _unnamed(texts, "globex")


def _spread(tenants: list[str], named: _Named, word: str, ask: Callable[[str, str], Outcome]) -> Cell:
    """The answer for what no policy names, and those for what one does where a reader would not expect them.

    Args:
        tenants: The one that stands for all others first.
        named: Which resources are named.
        word: Before a tenant's name.
        ask: About a tenant and a resource's id.
    """
    plain = ask(tenants[0], _ANY_ID)
    apart: dict[tuple[str, str], Apart] = {}
    for tenant in tenants:
        for name in (_ANY_ID, *named.ids):
            found = ask(tenant, name)
            # What a reader takes from what is said already: of this resource, else of this tenant.
            known = apart.get((tenants[0], name)) or apart.get((tenant, _ANY_ID))
            if not found.same(known.outcome if known else plain):
                words = [f"of {entity(named.kind, name)}"] if name != _ANY_ID else []
                words += [f"{word} {tenant}"] if tenant != tenants[0] else []
                apart[tenant, name] = Apart(" ".join(words), found)
    return Cell(plain, tuple(apart.values()))


def _homes(role: Role, named: _Named) -> list[str]:
    """The tenants that somebody with this role can be of, the one that stands for all others first."""
    if role.anonymous:
        return [NO_TENANT]
    return [PLATFORM_TENANT] if role.cross_tenant else [named.ordinary, *named.tenants]


def _own(home: str, named: _Named) -> str:
    """Whose a resource is that is asked about from home. Who has no tenant asks about somebody's."""
    return named.ordinary if home == NO_TENANT else home


def _said(outlook: Outlook) -> Outcome:
    if outlook.effect is None:
        return Outcome(May.CONDITIONAL, outlook.condition, outlook.reasons)
    return Outcome(May.ALLOW if outlook.effect is Effect.ALLOW else May.DENY, "", outlook.reasons)


def _unnamed(texts: Iterable[str], wanted: str) -> str:
    taken, name, number = set(texts), wanted, 0
    while name in taken:
        number += 1
        name = f"{wanted}-{number}"
    return name


def _looks_further(policy: Policy, bundle: Bundle) -> bool:
    """Whether a policy looks at more of a caller than roles and tenant, or at a part of a tenant's name."""
    callers = {kind for action in bundle.schema.actions.values() for kind in action.principal_types}
    nodes = list(_nodes(dict(policy.tree)))
    if any(of in callers for of, _ in _entities(nodes)):
        return True
    for node in nodes:
        match node:
            case {"left": {"Var": "principal"}, "attr": str(name)} if name != _TENANT:
                return True
            case {"like": {"left": {".": {"attr": "tenant"}}}}:
                return True
            case _:
                pass
    return False


def _entities(nodes: Iterable[Json]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, dict) and node.keys() == {"type", "id"}:
            yield str(node["type"]), str(node["id"])


def _nodes(value: Json) -> Iterator[Json]:
    yield value
    children: Mapping[str, Json] | list[Json] = value if isinstance(value, dict | list) else []
    for inner in children.values() if isinstance(children, Mapping) else children:
        yield from _nodes(inner)
