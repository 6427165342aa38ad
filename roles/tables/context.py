"""A case's context against what its action declares, before Cedar is asked. Pure.

Cedar would refuse the same, but the engine withholds its words, which may quote a request; in a table nothing is
secret, and the author wants to know which attribute it is. What is not found here is left to Cedar: what sets and
records hold.
"""

from collections.abc import Mapping
from typing import Final

from policies.model import Json
from policies.schema_reader import ContextAttribute

_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "String": (str,),
    "Long": (int,),
    "Boolean": (bool,),
    "Set": (list,),
    "Record": (dict,),
}


def misfit(context: Mapping[str, Json], declared: Mapping[str, ContextAttribute]) -> str | None:
    """Why a context is not one of an action's, or None.

    Args:
        context: As Cedar is to be given it.
        declared: The action's attributes, by name.
    """
    for name, attribute in declared.items():
        if attribute.required and name not in context:
            return f"the action's context needs `{name}` ({attribute.type})"
    for name, value in context.items():
        if name not in declared:
            there = ", ".join(sorted(declared)) or "nothing"
            return f"the action's context has no `{name}`; it has {there}"
        kinds = _TYPES.get(declared[name].type)
        if kinds is not None and type(value) not in kinds:
            return f"`{name}` in the action's context is a {declared[name].type}"
    return None
