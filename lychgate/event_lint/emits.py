"""Where events are emitted: calls that make or hand over one, each with the expressions that say what it is. Pure."""

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lychgate.event_lint.index import Module, Project
from lychgate.event_lint.scope import Scope

EVENT: Final = "AuditEvent"
PRODUCER_CALLS: Final = frozenset({"emit", "emit_durable", "recording", "recorded", "audited", "emit_in"})
"""The ways of `audit.producer.AuditProducer` and of its outbox."""
_PRODUCER_WORDS: Final = frozenset({"tenant_id", "actor", "action", "event_type"})
"""What only a producer is told: a call of the same name without them hands on a record that was made elsewhere."""
_OWN: Final = ("audit.producer", "audit.outbox", "audit.registry")
"""The producers themselves: what they hand on is what they were given, and is judged where it was."""


@dataclass(frozen=True, eq=False)
class Emit:
    """A call that emits an event, or makes one.

    Attributes:
        call: The call.
        scope: Where it stands.
        event: Says of which type it is; None where nothing does.
        said: What else it is told, by keyword.
        untold: Whether `**` brings what cannot be told.
    """

    call: ast.Call
    scope: Scope
    event: ast.expr | None
    said: Mapping[str, ast.expr]
    untold: bool


def emits(project: Project, ways: Collection[str] = ()) -> Iterator[Emit]:
    """Every emit in a project.

    Args:
        project: What was read.
        ways: Names of functions besides ours whose first argument is an event's type.
    """
    for module in project.modules:
        if not module.name.startswith(_OWN):
            for call in module.calls:
                found = _emit(call, module, project, frozenset(ways))
                if found is not None:
                    yield found


def _emit(call: ast.Call, module: Module, project: Project, ways: frozenset[str]) -> Emit | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    said = {given.arg: given.value for given in call.keywords if given.arg is not None}
    untold = any(given.arg is None for given in call.keywords)
    scope = Scope(project, module, module.function_of(call))
    if name == EVENT:
        return Emit(call, scope, said.get("event_type"), said, untold)
    first = call.args[0] if call.args else said.get("event_type")
    if name in ways:
        return Emit(call, scope, first, said, untold)
    if name not in PRODUCER_CALLS:
        return None
    typed = first is not None and project.typed_class(first, module) is not None
    text = isinstance(first, ast.Constant) and isinstance(first.value, str) and "." in first.value
    if not (typed or (text and _is_method(call)) or said.keys() & _PRODUCER_WORDS or (untold and first is not None)):
        return None
    return Emit(call, scope, first, said, untold)


def _is_method(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute)


def block_of(site: ast.Call, module: Module) -> tuple[ast.With | ast.AsyncWith, str] | None:
    """The `with` that a call opens, and the name it gives."""
    item = module.parents.get(site)
    block = module.parents.get(item) if isinstance(item, ast.withitem) else None
    if not isinstance(block, ast.With | ast.AsyncWith) or not isinstance(item, ast.withitem):
        return None
    named = item.optional_vars
    return (block, named.id) if isinstance(named, ast.Name) else (block, "")
