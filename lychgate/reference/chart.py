"""docs/reference/chart.md, from the values of the Helm chart: each with its default, and what stands above it there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from lychgate.reference.markdown import page as markdown_page
from lychgate.reference.markdown import table

_VALUES = Path(__file__).parents[2] / "deploy" / "helm" / "lychgate" / "values.yaml"
_INDENT = 2


class _Value(NamedTuple):
    name: str
    default: str
    meaning: str


def page() -> str:
    """The page."""
    text = _VALUES.read_text(encoding="utf-8")
    sections = []
    for section, found in _sections(_values(text)):
        rows = [(f"`{value.name}`", f"`{value.default}`", value.meaning) for value in found]
        sections.append(f"## {section}\n\n{table(('value', 'default', 'meaning'), rows)}")
    return markdown_page(
        "The chart's values",
        """
Of `deploy/helm/lychgate`; [the guide](../guides/kubernetes.md) says how to use them. `values.schema.json` refuses any
other name, and templates refuse what would be unsafe together.
""",
        *sections,
    )


def _sections(values: list[_Value]) -> Iterator[tuple[str, list[_Value]]]:
    names = dict.fromkeys(value.name.split(".")[0] for value in values)
    for name in names:
        yield name, [value for value in values if value.name.split(".")[0] == name]


def _values(text: str) -> list[_Value]:
    """The leaves of the file, and each table that has a comment of its own."""
    found, above, path = [], list[str](), list[str]()
    tree = yaml.safe_load(text)
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            above.append(stripped.removeprefix("#").strip())
        elif not stripped:
            above.clear()
        elif not stripped.startswith("-") and ":" in stripped:
            depth = (len(line) - len(line.lstrip())) // _INDENT
            path[depth:] = [stripped.partition(":")[0]]
            value = _at(tree, path)
            if not isinstance(value, dict) or not value or stripped.partition(":")[2].strip():
                found.append(_Value(".".join(path), json.dumps(value), " ".join(above)))
            elif above:
                found.append(_Value(".".join(path), "...", " ".join(above)))
            above.clear()
    return found


def _at(tree: Any, path: list[str]) -> Any:
    for key in path:
        tree = tree[key]
    return tree
