"""All roles that would have been enough for what was refused, alone or two together. Pure.

`roles.missing` names the first for a refusal; this is for whoever explains one. Only roles that a refusal may name are
tried: never one of machines, of the platform, or of callers without a credential.
"""

from collections.abc import Callable
from itertools import combinations

import msgspec

from policies.model import Answer, Question
from roles.catalogue import Catalogue
from roles.missing import with_roles
from roles.model import Principal


class Enough(msgspec.Struct, frozen=True):
    """Roles which, added to the caller's, turn the refused question into an allow.

    Attributes:
        alone: Each by itself, in catalogue order.
        together: Two that do only together; looked for where none does alone.
    """

    alone: tuple[str, ...] = ()
    together: tuple[tuple[str, str], ...] = ()


def enough_roles(
    question: Question, principal: Principal, catalogue: Catalogue, decide: Callable[[Question], Answer]
) -> Enough:
    """Find them by asking: one question for each offered role, and one for each two of them where none does alone.

    Args:
        question: As it was refused.
        principal: Whose question it is. A caller without a credential cannot be given a role.
        catalogue: Says which roles may be named, and in which order.
        decide: Asks the policies.

    Raises:
        NoDecision: Whatever `decide` raises.
    """
    if catalogue.anonymous in principal.roles:
        return Enough()
    names = [name for name in catalogue.offered if name not in principal.roles]

    def allows(*added: str) -> bool:
        return decide(with_roles(question, principal, catalogue, added)).allows

    alone = tuple(name for name in names if allows(name))
    together = () if alone else tuple(pair for pair in combinations(names, 2) if allows(*pair))
    return Enough(alone, together)
