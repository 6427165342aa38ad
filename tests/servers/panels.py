"""What the dashboards draw."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "grafana" / "dashboards"


class Draw(NamedTuple):
    """One expression of a panel."""

    title: str
    unit: str
    expr: str
    legend: str


def boards() -> dict[str, dict[str, Any]]:
    """Each dashboard by its file."""
    return {file.name: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}


def draws() -> list[Draw]:
    """Everything that is drawn."""
    return [
        Draw(panel["title"], panel["fieldConfig"]["defaults"]["unit"], target["expr"], target["legendFormat"])
        for board in boards().values()
        for panel in board["panels"]
        for target in panel.get("targets", [])
    ]


def named(expr: str) -> set[str]:
    """The metrics that an expression is about, without the suffix of a histogram's series."""
    bare = re.sub(r'"[^"]*"', "", expr)  # what a label is compared with is no metric
    return {re.sub(r"_(?:bucket|count|sum)$", "", name) for name in re.findall(r"\b(?:audit|auth|lychgate)_\w+", bare)}
