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
    others = tuple(entity for entity in question.entities if entity.uid != question.principal)
    for name in catalogue.offered:
        if name in principal.roles:
            continue
        promoted = msgspec.structs.replace(principal, roles=(*principal.roles, name))
        entities = principal_entities(promoted, catalogue) + others
        if decide(msgspec.structs.replace(question, entities=entities)).allows:
            return name
    return None
