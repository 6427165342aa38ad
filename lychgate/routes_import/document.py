"""The bytes of an OpenAPI document to plain values: strictly, within bounds, and without going anywhere for the rest.

A document comes from whoever writes the service. So a name that is there twice, an alias, a reference out of the file
or in a circle, and a size or depth no honest document has are refused: two readers could see two services in them.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

import yaml

from gateway.strict_json import NotStrictJson, parse_value
from lychgate.routes_import.errors import DocumentRefused

MAX_BYTES: Final = 8 * 1024 * 1024
"""The largest public documents (thousands of endpoints of a cloud) have about this size."""
_MAX_YAML_BYTES: Final = 2 * 1024 * 1024
"""YAML is read ten times as slowly."""
_MAX_DEPTH: Final = 100
_MAX_STEPS: Final = 2_000_000
"""Values looked at in all: schemas can be entangled so that looking at them never ends (some seconds' work)."""
_VERSION: Final = re.compile(r"3\.[01]\.[0-9]{1,3}")
_MERGE: Final = "tag:yaml.org,2002:merge"


class Document:
    """A document that was read.

    Attributes:
        name: For messages.
        values: What it says.
    """

    def __init__(self, name: str, values: Mapping[str, Any]) -> None:
        self.name = name
        self.values = values
        self._steps = 0

    def resolve(self, value: Any) -> Any:
        """What a value is once its references are followed.

        Raises:
            DocumentRefused: A reference leads out of the document, nowhere, or in a circle; or so many were followed
                that there is no end to be seen.
        """
        self._steps += 1
        if self._steps > _MAX_STEPS:
            raise DocumentRefused(f"{self.name}: its schemas are too entangled")
        seen: set[str] = set()
        while isinstance(value, dict) and isinstance(ref := value.get("$ref"), str):
            if ref in seen:
                raise DocumentRefused(f"{self.name}: the reference {shown(ref)} leads in a circle")
            seen.add(ref)
            value = self._at(ref)
        return value

    def table(self, value: Any) -> dict[str, Any]:
        """A value as an object; an empty one where it is anything else."""
        found = self.resolve(value)
        return found if isinstance(found, dict) else {}

    def _at(self, ref: str) -> Any:
        if ref == "#":
            return self.values
        if not ref.startswith("#/"):
            raise DocumentRefused(f"{self.name}: the reference {shown(ref)} leads out of the document")
        value: Any = self.values
        for raw in ref[2:].split("/"):
            token = raw.replace("~1", "/").replace("~0", "~")
            if isinstance(value, dict) and token in value:
                value = value[token]
            elif isinstance(value, list) and token.isdecimal() and token.isascii() and int(token) < len(value):
                value = value[int(token)]
            else:
                raise DocumentRefused(f"{self.name}: the reference {shown(ref)} leads nowhere")
        return value


def read_document(name: str, raw: bytes) -> Document:
    """Read a document; JSON, or YAML where its name ends so or it does not begin as an object of JSON.

    Raises:
        DocumentRefused: It is no OpenAPI document of version 3.0 or 3.1, or two readers could read it differently.
    """
    if len(raw) > MAX_BYTES:
        raise DocumentRefused(f"{name}: larger than {MAX_BYTES} bytes")
    raw = raw.removeprefix(b"\xef\xbb\xbf")
    if name.endswith((".yaml", ".yml")) or not (name.endswith(".json") or raw.lstrip()[:1] == b"{"):
        values = _from_yaml(name, raw)
    else:
        try:
            values = parse_value(raw, _MAX_DEPTH)
        except NotStrictJson as exc:
            raise DocumentRefused(f"{name}: {exc}") from None
    if not isinstance(values, dict):
        raise DocumentRefused(f"{name}: not an object")
    version = values.get("openapi")
    if not isinstance(version, str) or _VERSION.fullmatch(version) is None:
        older = "Swagger, to be converted first" if "swagger" in values else "no `openapi` version"
        said = older if version is None else f"version {shown(str(version))}"
        raise DocumentRefused(f"{name}: {said}; 3.0 and 3.1 are understood")
    return Document(name, values)


def shown(text: str) -> str:
    """Text of the document for a message or a comment: one line of plain letters, and not much of it."""
    cut = text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 - what a line has room for
    return "`" + "".join(char if char.isprintable() else repr(char)[1:-1] for char in cut.replace("`", "'")) + "`"


def _from_yaml(name: str, raw: bytes) -> Any:
    if len(raw) > _MAX_YAML_BYTES:
        raise DocumentRefused(f"{name}: larger than {_MAX_YAML_BYTES} bytes of YAML")
    try:
        text = raw.decode("utf-8")
        _require_bounds(name, text)
        loader = yaml.CSafeLoader(text)
        try:
            root = loader.get_single_node()
            _require_distinct(name, root, loader)
            return _plain(name, loader.construct_document(root)) if root is not None else None
        finally:
            loader.dispose()
    except UnicodeDecodeError:
        raise DocumentRefused(f"{name}: not UTF-8") from None
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise DocumentRefused(f"{name}:{line}: not YAML") from None
    except (yaml.YAMLError, ValueError):
        # ValueError: a date there is not, an integer beyond the interpreter's limit
        raise DocumentRefused(f"{name}: not YAML") from None


def _require_bounds(name: str, text: str) -> None:
    """Go over the events before anything is built of them: a few aliases can stand for gigabytes."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        place = f"{name}:{event.start_mark.line + 1}" if event.start_mark else name
        if isinstance(event, yaml.AliasEvent):
            raise DocumentRefused(f"{place}: an alias; write it out, or use `$ref`")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _MAX_DEPTH:
            raise DocumentRefused(f"{place}: deeper than {_MAX_DEPTH}")


def _require_distinct(name: str, node: yaml.Node | None, loader: yaml.CSafeLoader) -> None:
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _require_distinct(name, item, loader)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            place = f"{name}:{key.start_mark.line + 1}"
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                raise DocumentRefused(f"{place}: a key must be a plain word")
            word = _name(loader.construct_object(key))  # `0x10` and `16` are one name
            if word in seen:
                raise DocumentRefused(f"{place}: {shown(word)} stands twice")
            seen.add(word)
            _require_distinct(name, value, loader)


def _plain(name: str, value: Any) -> Any:
    """With names as text: `200:` is a number to YAML. Dates and bytes become text, which is all they mean here."""
    if isinstance(value, dict):
        return {_name(key): _plain(name, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(name, inner) for inner in value]
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise DocumentRefused(f"{name}: a surrogate") from None
        return value
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _name(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)
