"""How the indices are made: what can be searched for, and nothing that a document could grow. Pure."""

from typing import Any

_KEYWORDS = (
    "phase", "event_type", "kind", "tenant_id", "producer.id", "schema_version", "actor.type", "actor.id",
    "actor.roles", "actor.issuer", "actor.auth_method", "action", "crud", "resource.type", "decision.effect",
    "decision.reasons", "decision.code", "decision.missing_role", "decision.policy_version", "outcome",
    "request.method", "request.route", "request.service", "trace_id", "severity", "resource.id", "event_id",
    "client.user_agent", "client.ip",
)  # fmt: skip
_LONGS = (
    "producer.epoch", "producer.seq", "latency_us", "status", "request.size_bytes", "aggregate.count",
    "decision.duration_us",
)  # fmt: skip
_KEYWORD_CHARS = 1024  # beyond it a value is kept and not found by: no document is refused for its length


def index_template(index: str, version: dict[str, Any]) -> dict[str, Any]:
    """The index template.

    Args:
        index: Start of the indices' names.
        version: What the engine says of itself, `version` of `GET /`.
    """
    flat = _flat(version)
    properties: dict[str, Any] = {"occurred_at": {"type": "date", "ignore_malformed": True}, "details": flat}
    for name in _KEYWORDS:
        _put(properties, name, {"type": "keyword", "ignore_above": _KEYWORD_CHARS})
    for name in _LONGS:
        _put(properties, name, {"type": "long", "ignore_malformed": True})
    # Kept and shown, not searched: they have whatever shape a service gave them.
    for name in ("input", "changes", "redaction"):
        properties[name] = {"type": "object", "enabled": False}
    return {
        "index_patterns": [f"{index}-*"],
        "priority": 200,
        "template": {"mappings": {"dynamic": False, "date_detection": False, "properties": properties}},
        "_meta": {"of": "lychgate"},
    }


def _flat(version: dict[str, Any]) -> dict[str, Any]:
    """A type that takes any object as one field; where the engine has none, the object is kept and not searched."""
    try:
        major, minor = (int(part) for part in str(version.get("number", "")).split(".")[:2])
    except ValueError:
        return {"type": "object", "enabled": False}
    if version.get("distribution") == "opensearch":
        return {"type": "flat_object"} if (major, minor) >= (2, 7) else {"type": "object", "enabled": False}
    return {"type": "flattened", "ignore_above": _KEYWORD_CHARS} if (major, minor) >= (7, 3) else {
        "type": "object", "enabled": False
    }  # fmt: skip


def _put(properties: dict[str, Any], name: str, mapping: dict[str, Any]) -> None:
    first, _, rest = name.partition(".")
    if rest:
        _put(properties.setdefault(first, {"properties": {}})["properties"], rest, mapping)
    else:
        properties[first] = mapping
