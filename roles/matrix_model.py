"""The values of the matrix of roles and actions: made by `roles.matrix`, read by whoever prints it."""

from enum import StrEnum

import msgspec


class May(StrEnum):
    """What a cell says."""

    ALLOW = "allow"
    DENY = "deny"
    CONDITIONAL = "conditional"


class Outcome(msgspec.Struct, frozen=True):
    """What is decided.

    Attributes:
        may: Allow, deny, or it depends.
        condition: What it depends on: the context's attributes by their names; empty unless it depends.
        policies: The policies that decide, or may.
    """

    may: May
    condition: str = ""
    policies: tuple[str, ...] = ()

    def __str__(self) -> str:
        """`allow`, `deny` or `if <condition>`."""
        return f"if {self.condition}" if self.may is May.CONDITIONAL else self.may.value

    def same(self, other: "Outcome") -> bool:
        """Whether a caller notices a difference."""
        return (self.may, self.condition) == (other.may, other.condition)


class Apart(msgspec.Struct, frozen=True):
    """Where the cell says something else.

    Attributes:
        where: `in tenant x`, `of Type::"id"`, or both.
        outcome: What is decided there.
    """

    where: str
    outcome: Outcome

    def __str__(self) -> str:
        """`in platform: allow`."""
        return f"{self.where}: {self.outcome}"


class Cell(msgspec.Struct, frozen=True):
    """One role and one action.

    Attributes:
        outcome: For any tenant and resource that no policy names.
        apart: For those that one does, where it differs.
    """

    outcome: Outcome
    apart: tuple[Apart, ...] = ()

    def __str__(self) -> str:
        """All of it in a line."""
        return "; ".join(map(str, (self.outcome, *self.apart)))


class Row(msgspec.Struct, frozen=True):
    """One action; types of resource for which any role's cell differs have rows of their own.

    Attributes:
        action: Its id.
        resource_types: Whose row it is.
        cells: One for each role, in the matrix's order.
    """

    action: str
    resource_types: tuple[str, ...]
    cells: tuple[Cell, ...]


class Crossing(msgspec.Struct, frozen=True):
    """Somebody who may touch another tenant's resource.

    Attributes:
        role: Who.
        tenant: From which tenant; empty for any.
        action: What.
        resource_types: To what.
        where: Empty for any other tenant's resources; else which, `of Type::"id"`, `into x`, or both.
        outcome: Allow, or on which condition; a deny where it is an exception from another.
    """

    role: str
    tenant: str
    action: str
    resource_types: tuple[str, ...]
    where: str
    outcome: Outcome


class Matrix(msgspec.Struct, frozen=True):
    """Who may do what.

    Attributes:
        policy_version: Of the policies that were asked.
        roles: The columns, in catalogue order.
        rows: By action.
        crossings: Everyone who crosses tenants; nobody else does.
        unshown: Policies that look at more of a caller than roles and tenant, or at part of a tenant's name: a
            cell says what they do for a caller whom they do not mean.
        asked: How many questions it took.
    """

    policy_version: str
    roles: tuple[str, ...]
    rows: tuple[Row, ...]
    crossings: tuple[Crossing, ...]
    unshown: tuple[str, ...]
    asked: int
