"""docs/reference/event-types.md, the schemas beside it and the typed classes, all from the registry of event types."""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from audit.event import Kind
from audit.registry.classes import attribute, services, source
from audit.registry.load import packaged
from audit.registry.model import EventType, Field, Registry, class_name
from audit.registry.schema import schemas
from lychgate.reference.markdown import page as markdown_page
from lychgate.reference.markdown import table

SCHEMAS = "schemas"


def page() -> str:
    """The page."""
    registry = packaged()
    parts: list[str] = []
    for kind, fields in registry.common.items():
        says = f"## What every {kind} event may say\n\nFilled in by what emits it."
        parts += [says, _fields(fields)]
    areas = dict.fromkeys(name.partition(".")[0] for name in registry.types)
    for area in areas:
        parts.append(f"## {area}")
        for name, entry in registry.types.items():
            if name.startswith(f"{area}."):
                parts += _entry(registry, name, entry)
    return markdown_page(
        "Event types",
        f"""
The {len(registry.types)} types of events that Lychgate and its sample services emit, from
`audit/registry/event_types.toml`; what all records have in common is in [events](events.md). A field that is *always*
there is in every success; a failure may have ended before there was anything to say. How to register your own:
[registering events](../guides/event-types.md).
""",
        *parts,
    )


def schema_pages() -> Mapping[str, Callable[[], str]]:
    """The JSON Schema of each type, and of the envelope, by file."""
    documents = schemas(packaged())
    return {f"{SCHEMAS}/{name}": partial(_schema, document) for name, document in documents.items()}


def class_modules() -> dict[str, str]:
    """The modules of typed classes, by file, from the root of the tree."""
    registry = packaged()
    return {
        f"audit/registry/types/{service}.py": source(registry, names, f"`{service}`")
        for service, names in services(registry).items()
    }


def _schema(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1) + "\n"


def _entry(registry: Registry, name: str, entry: EventType) -> Iterator[str]:
    yield f"### {name}"
    service = name.partition(".")[0]
    facts = {
        "kind": f"`{entry.kind}`",
        "action": _words(entry.actions),
        "resource": _words([entry.resource] if entry.resource else ()),
        "crud": _words(entry.crud),
        "severity": _words(entry.severity) + (f", of a failure {_words(entry.failure)}" if entry.failure else ""),
        "records": _words(entry.phases) if len(entry.phases) > 1 else "",
        "since": entry.since,
        "retired": entry.retired or "",
        "class": ""
        if entry.kind is Kind.DECISION or entry.retired
        else f"`audit.registry.types.{service}.{class_name(name, entry)}`",
        "schema": f"[{name}.json]({SCHEMAS}/{name}.json)",
    }
    said = "; ".join(f"{word} {text.removeprefix(', ')}" for word, text in facts.items() if text)
    yield f"{entry.says}\n\n{said}."
    if registry.types[name].details:
        yield _fields(entry.details)
    if entry.changes:
        listed = ", ".join(f"`{step}` ({data_class})" for step, data_class in entry.changes.items())
        yield f"Personal values among its changes, by class: {listed}."


def _fields(fields: Mapping[str, Field]) -> str:
    rows = [(f"`{name}`", _type(field), _says(name, field)) for name, field in fields.items()]
    return table(("field", "type", "meaning"), rows)


def _type(field: Field) -> str:
    word = f"list of {field.of}" if field.of is not None else field.type.value
    bounds = [
        f"up to {field.max_length} characters" if field.max_length is not None else "",
        f"up to {field.max_items}" if field.max_items is not None else "",
        f"from {field.minimum}" if field.minimum is not None else "",
        f"to {field.maximum}" if field.maximum is not None else "",
        field.unit or "",
        "always" if field.required else "",
    ]
    return ", ".join([word, *filter(None, bounds)])


def _says(name: str, field: Field) -> str:
    words = f" One of {_words(field.enum)}{' and others' if field.open else ''}." if field.enum else ""
    renamed = f" In the class `{attribute(name)}`." if attribute(name) != name else ""
    data_class = f" Class `{field.data_class}`." if field.data_class is not None else ""
    return f"{field.says}{words}{data_class}{renamed}"


def _words(words: "Any") -> str:
    return ", ".join(f"`{word}`" for word in words)
