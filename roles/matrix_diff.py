"""Two matrices in, the cells that differ out. Pure."""

from collections import defaultdict
from typing import Final

import msgspec

from roles.matrix_model import Matrix

ABSENT: Final = "absent"
"""What a side says of a role, an action or a type of resource that it does not have."""


class Difference(msgspec.Struct, frozen=True, order=True):
    """One change of permission.

    Attributes:
        action: What is done.
        role: By whom.
        where: `own` for the caller's own tenant, `other` for another tenant's resources.
        resource_types: To what.
        before: What was said.
        after: What is said.
    """

    action: str
    role: str
    where: str
    resource_types: tuple[str, ...]
    before: str
    after: str


def differences(before: Matrix, after: Matrix) -> tuple[Difference, ...]:
    """What changes, sorted by action and role; types of resource for which the same changes stand together."""
    old, new = _flat(before), _flat(after)
    unsaid = ABSENT, "deny"
    changed: defaultdict[tuple[str, str, str, str, str], list[str]] = defaultdict(list)
    for key in old.keys() | new.keys():
        where, action, role, kind = key
        was, is_ = old.get(key), new.get(key)
        # Nobody who is not listed crosses; a cell that is not there is another matter.
        was, is_ = (said if said is not None else unsaid[where == "other"] for said in (was, is_))
        if was != is_:
            changed[action, role, where, was, is_].append(kind)
    return tuple(
        sorted(
            Difference(action, role, where, tuple(sorted(kinds)), was, is_)
            for (action, role, where, was, is_), kinds in changed.items()
        )
    )


def _flat(matrix: Matrix) -> dict[tuple[str, str, str, str], str]:
    """Everything a matrix says, one type of resource at a time."""
    said = {
        ("own", row.action, role, kind): str(cell)
        for row in matrix.rows
        for role, cell in zip(matrix.roles, row.cells, strict=True)
        for kind in row.resource_types
    }
    crossing: defaultdict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for each in matrix.crossings:
        place = " ".join(filter(None, (each.where, each.tenant and f"from {each.tenant}")))
        words = f"{place}: {each.outcome}" if place else str(each.outcome)
        for kind in each.resource_types:
            crossing["other", each.action, each.role, kind].append(words)
    return said | {key: "; ".join(sorted(words)) for key, words in crossing.items()}
