"""Which role would have been enough: found by asking the policies, never from a table.

Called where a refusal is answered: the gateway, its operations port and the query API.
"""

from collections.abc import Callable

import msgspec

from policies.model import Answer, Question
from roles.catalogue import Catalogue
from roles.entities import principal_entities
from roles.model import Principal


def missing_role(
    question: Question, principal: Principal, catalogue: Catalogue, decide: Callable[[Question], Answer]
) -> str | None:
    """The first role, from least to most, which added to the caller's turns the same question into an allow.

    Args:
        question: As it was refused.
        principal: Whose question it is. A caller without a credential is told nothing.
        catalogue: Says which roles may be named, and in which order.
        decide: Asks the policies.

    Returns:
        A role of `catalogue.offered`, or None where none of them would do.

    Raises:
        NoDecision: Whatever `decide` raises.
    """
    if catalogue.anonymous in principal.roles:
        return None
    for name in catalogue.offered:
        if name not in principal.roles and decide(with_roles(question, principal, catalogue, (name,))).allows:
            return name
    return None


def with_roles(question: Question, principal: Principal, catalogue: Catalogue, names: tuple[str, ...]) -> Question:
    """The same question by somebody who has these roles as well."""
    others = tuple(entity for entity in question.entities if entity.uid != question.principal)
    promoted = msgspec.structs.replace(principal, roles=(*principal.roles, *names))
    return msgspec.structs.replace(question, entities=principal_entities(promoted, catalogue) + others)
