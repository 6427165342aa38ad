"""A matrix, or what changes between two, in; rows of text out, and those as Markdown, CSV and JSON. Pure."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from roles.matrix_diff import Difference
from roles.matrix_model import Cell, Crossing, Matrix, Outcome


class Format(StrEnum):
    """How a matrix is printed."""

    TABLE = "table"
    MARKDOWN = "markdown"
    CSV = "csv"
    JSON = "json"


class Grid(NamedTuple):
    """Text in rows and columns."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """As a Markdown table."""
        from lychgate.reference.markdown import table  # not before it is needed: the package imports every page

        return table(self.columns, self.rows)

    def csv(self) -> str:
        """As RFC 4180 has it, but for the ends of lines, which are those of this system's tools."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()


def cells(matrix: Matrix, *, code: bool = False) -> Grid:
    """The matrix itself, an action a row.

    Args:
        matrix: To lay out.
        code: Conditions and names in backticks.
    """
    several = len({row.resource_types for row in matrix.rows}) > 1
    rows = []
    for row in matrix.rows:
        types = (", ".join(row.resource_types),) if several else ()
        rows.append((_code(row.action, code), *types, *(_cell(cell, code) for cell in row.cells)))
    return Grid(("action", *(("resource",) if several else ()), *matrix.roles), tuple(rows))


def crossings(matrix: Matrix, *, code: bool = False) -> Grid:
    """Who may touch another tenant's resource: each role, and the actions it may on the same condition."""
    grouped: defaultdict[tuple[str, str, str], list[Crossing]] = defaultdict(list)
    crossed: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for each in matrix.crossings:
        where = f"{_code(each.where, code)}: " if each.where else ""
        grouped[each.role, each.tenant, where + _outcome(each.outcome, code)].append(each)
        if not each.where:
            crossed[each.role] |= {(each.action, kind) for kind in each.resource_types}
    asked = {(row.action, kind) for row in matrix.rows for kind in row.resource_types}
    rows = []
    for (role, tenant, outcome), found in grouped.items():
        names = sorted({each.action for each in found})
        listed = ", ".join(_code(name, code) for name in names)
        if (
            not any(each.where for each in found)
            and crossed[role] == asked
            and len(names) * 2 > len({action for action, _ in asked}) > 1
        ):
            listed = "every action" if len(names) == len({action for action, _ in asked}) else "every other action"
        rows.append((role, tenant or "any", listed, outcome))
    return Grid(("role", "from tenant", "actions", "in other tenants"), tuple(rows))


def changes(found: Sequence[Difference], *, code: bool = False) -> Grid:
    """What changes, a cell a row."""
    rows = tuple(
        (
            _code(each.action, code),
            each.role,
            ", ".join(each.resource_types),
            each.where,
            _code(each.before, code),
            _code(each.after, code),
        )
        for each in found
    )
    return Grid(("action", "role", "resource", "tenant", "before", "after"), rows)


def as_json(matrix: Matrix) -> dict[str, Any]:
    """The whole matrix, a cell an object."""
    return {
        "policy_version": matrix.policy_version,
        "roles": list(matrix.roles),
        "asked": matrix.asked,
        "cells": [
            {
                "action": row.action,
                "resource_types": list(row.resource_types),
                "role": role,
                **_said(cell.outcome),
                "apart": [{"where": each.where, **_said(each.outcome)} for each in cell.apart],
            }
            for row in matrix.rows
            for role, cell in zip(matrix.roles, row.cells, strict=True)
        ],
        "crossings": [
            {
                "role": each.role,
                "from_tenant": each.tenant or None,
                "action": each.action,
                "resource_types": list(each.resource_types),
                "where": each.where or None,
                **_said(each.outcome),
            }
            for each in matrix.crossings
        ],
        "policies_not_shown": list(matrix.unshown),
    }


def changes_json(found: Iterable[Difference]) -> list[dict[str, Any]]:
    """What changes, a cell an object."""
    return [
        {
            "action": each.action,
            "role": each.role,
            "resource_types": list(each.resource_types),
            "tenant": each.where,
            "before": each.before,
            "after": each.after,
        }
        for each in found
    ]


def _said(outcome: Outcome) -> dict[str, Any]:
    return {
        "decision": outcome.may.value,
        "condition": outcome.condition or None,
        "policies": list(outcome.policies),
    }


def _cell(cell: Cell, code: bool) -> str:
    said = [_outcome(cell.outcome, code)]
    said += [f"{_code(each.where, code)}: {_outcome(each.outcome, code)}" for each in cell.apart]
    return "; ".join(said)


def _outcome(outcome: Outcome, code: bool) -> str:
    return f"if {_code(outcome.condition, code)}" if outcome.condition else str(outcome)


def _code(text: str, code: bool) -> str:
    """As code in Markdown; text that has backticks of its own needs more around it."""
    if not code or text.isalpha():
        return text
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}" if fence == "`" else f"{fence} {text} {fence}"
