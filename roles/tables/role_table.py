"""A table of roles and actions in, a case for each cell out. Pure.

    resource: Order
    tenant: acme
    context:
      order:discount: {percent: 5}
    roles:             [Cashier, Support, Manager]
    decisions:
      order:create:    [allow,   deny,    allow]
      order:discount:  [allow,   deny,    allow]

Each role asks inside its own tenant: the table's; the platform's for a role that crosses tenants; none, about a
resource of the table's tenant, for callers without a credential. A cell's case is called `order:create-Cashier`.
"""

from collections.abc import Iterator
from typing import Final

from policies.bundle import Bundle
from policies.errors import Finding
from policies.model import EntityUid, Json
from roles.catalogue import Catalogue
from roles.model import NO_TENANT, PLATFORM_TENANT
from roles.scenario import Scenario, What, Who, caller, filled, question
from roles.tables.case import Case
from roles.tables.case_list import known_action, known_roles
from roles.tables.context import misfit
from roles.tables.document import Node, Refused
from roles.tables.fields import Fields, effect

_KEYS: Final = ("resource", "tenant", "context", "roles", "decisions")


def read_role_table(file: str, node: Node, bundle: Bundle, catalogue: Catalogue) -> Iterator[Case | Finding]:
    """Read a table.

    Yields:
        The cases, row by row, or what is wrong with a row.

    Raises:
        Refused: The whole cannot be used.
    """
    fields = Fields(file, node, "a role table", _KEYS)
    kind, tenant = fields.text("resource"), fields.text("tenant")
    roles = known_roles(file, fields.node("roles"), fields.texts("roles"), catalogue)
    rows = fields.members("decisions")
    contexts: dict[str, dict[str, Json]] = {}
    given = Fields(file, fields.node("context"), "`context`", rows) if "context" in fields else None
    for action in fields.members("context"):
        contexts[action] = given.json(action) if given else {}
    if not roles or not rows:
        raise Refused(file, node, "a role table has at least one role and one action")
    for action, row in rows.items():
        try:
            yield from _row(file, action, row, roles, (kind, tenant, contexts.get(action, {})), bundle, catalogue)
        except Refused as exc:
            yield exc.finding


def _row(
    file: str,
    action: str,
    row: Node,
    roles: tuple[str, ...],
    about: tuple[str, str, dict[str, Json]],
    bundle: Bundle,
    catalogue: Catalogue,
) -> Iterator[Case]:
    """The cells of one action."""
    kind, tenant, context = about
    known_action(file, row, EntityUid("Action", action), bundle)
    types = bundle.resource_types(action)
    if kind not in types:
        raise Refused(file, row, f"`{action}` is not about a `{kind}`; it is about {', '.join(types)}")
    cells = row.value if isinstance(row.value, list) else []
    if len(cells) != len(roles):
        raise Refused(file, row, f"`{action}` needs {len(roles)} decisions, one a role; here are {len(cells)}")
    if reason := misfit(filled(bundle.context_type(action), context), bundle.context_type(action)):
        raise Refused(file, row, reason)
    for role, cell in zip(roles, cells, strict=True):
        home, of = _tenants(role, tenant, catalogue)
        what = What(type=kind, id="r-1", tenant=of)
        scenario = Scenario(action=action, roles=(role,), principal=Who(tenant=home), resource=what, context=context)
        yield Case(
            name=f"{action}-{role}",
            file=file,
            line=row.line,
            action=EntityUid("Action", action),
            question=question(scenario, bundle, catalogue),
            caller=caller(scenario, catalogue),
            expect=effect(file, cell, action),
        )


def _tenants(role: str, tenant: str, catalogue: Catalogue) -> tuple[str, str]:
    """The caller's tenant and the resource's."""
    known = catalogue.get(role)
    if known is not None and known.cross_tenant:
        return PLATFORM_TENANT, PLATFORM_TENANT
    return (NO_TENANT, tenant) if known is not None and known.anonymous else (tenant, tenant)
