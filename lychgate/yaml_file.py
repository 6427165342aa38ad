"""A configuration file's text -> its values, and the line where each key stands. Pure.

YAML's own loader keeps the last of two equal keys and forgets where anything stood; here a repeated key is an error,
and every path has a line, so that a complaint can say where.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import yaml

from lychgate.errors import ConfigurationError

Path: TypeAlias = tuple[str | int, ...]
"""`("issuers", 0, "iss")`."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a file says.

    Attributes:
        name: The file, for messages.
        values: Its content as plain values.
        lines: Where each key or element stands, from 1.
    """

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[Path, int] = field(default_factory=dict)

    def place(self, path: Path) -> str | None:
        """`lychgate.yaml:12` of the longest part of a path that stands in the file; None if its first key does not."""
        for length in range(len(path), 0, -1):
            if line := self.lines.get(path[:length]):
                return f"{self.name}:{line}"
        return None


def parse(text: str, name: str) -> Parsed:
    """Read a configuration.

    Raises:
        ConfigurationError: Not YAML, not a mapping, or a key twice; says where.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return Parsed(name)
            if not isinstance(root, yaml.MappingNode):
                raise ConfigurationError(f"{name}:{root.start_mark.line + 1}: the file is not a mapping of sections")
            lines = dict(_lines(root, (), name))
            values = loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise ConfigurationError(f"{name}:{line}: {exc.problem or 'not YAML'}") from exc
    except yaml.YAMLError as exc:
        raise ConfigurationError(f"{name}: not YAML: {exc}") from exc
    return Parsed(name, values, lines)


def _lines(node: yaml.Node, path: Path, name: str) -> Iterator[tuple[Path, int]]:
    """Each path below a node, with its line."""
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _lines(item, (*path, index), name)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            word = str(key.value)
            if not isinstance(key, yaml.ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
                raise ConfigurationError(f"{name}:{line}: a key here must be a plain word")
            if word in seen:
                raise ConfigurationError(f"{name}:{line}: `{word}` stands twice, first in line {seen[word]}")
            seen[word] = line
            yield (*path, word), line
            yield from _lines(value, (*path, word), name)
