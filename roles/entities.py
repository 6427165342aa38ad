"""A principal and the catalogue in, Cedar entities out. Pure.

Called for every decision that is not remembered; the result depends on nothing but its arguments and can be kept with
the identity for as long as the catalogue stands.
"""

from policies.model import Entity, EntityUid
from roles.catalogue import Catalogue
from roles.model import Principal


def principal_entities(principal: Principal, catalogue: Catalogue) -> tuple[Entity, ...]:
    """The entities that say who a principal is.

    Args:
        principal: With our role names; names that are not in the catalogue become nothing.
        catalogue: Says which roles come with which.

    Returns:
        The `User`, in each of its roles and in each role those include. Inclusion is resolved here and not by `Role`
        entities, because Cedar computes the closure of what it is given anew on each call (measured in ADR 0011);
        `in` answers the same.
    """
    parents = tuple(EntityUid("Role", name) for name in catalogue.with_included(principal.roles))
    attrs: dict[str, str] = {"issuer": principal.issuer, "tenant": principal.tenant_id, "sub": principal.sub}
    return (Entity(principal.uid, attrs, parents),)
