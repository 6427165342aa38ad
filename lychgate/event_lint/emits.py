"""Where events are emitted: calls that make or hand over one, each with the expressions that say what it is. Pure."""

import ast
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from lychgate.event_lint.fields import CURRENT, Block
from lychgate.event_lint.fields import said as spread_of
from lychgate.event_lint.index import Module, Project
from lychgate.event_lint.scope import Scope

EVENT: Final = "AuditEvent"
PRODUCER_CALLS: Final = frozenset({"emit", "emit_durable", "recording", "changing", "recorded", "statement"})
"""The ways of `audit.producer.AuditProducer` and of `audit.outbox`."""
_OUTBOX_CALLS: Final = frozenset({"emit"})
_PRODUCER_WORDS: Final = frozenset({"tenant_id", "actor", "action", "event_type", "caller"})
"""What only a producer is told: a call of the same name without them hands on a record that was made elsewhere."""
_OWN: Final = (
    "audit.producer", "audit.outbox", "audit.registry", "audit.making", "audit.recorded", "audit.recording",
    "audit.statement",
)  # fmt: skip
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
    name = _name(call.func)
    scope = Scope(project, module, module.function_of(call))
    said, untold = _keywords(call, scope)
    if name == EVENT:
        return Emit(call, scope, said.get("event_type"), said, untold)
    first = call.args[0] if call.args else said.get("event_type")
    if name in ways:
        return Emit(call, scope, first, said, untold)
    if _hands_on(first, scope):
        return None
    if name not in PRODUCER_CALLS:
        return _handed_over(call, scope, said, untold=untold)
    if len(call.args) > 1 and not _names_event(first, project, module) and name in _OUTBOX_CALLS:
        first = call.args[1]  # the connection comes first: `outbox.emit(connection, event)`
    typed = first is not None and project.typed_class(first, module) is not None
    text = isinstance(first, ast.Constant) and _names_event(first, project, module)
    if not (typed or (text and _is_method(call)) or said.keys() & _PRODUCER_WORDS or (untold and first is not None)):
        return None
    return Emit(call, scope, first, said, untold)


def _handed_over(call: ast.Call, scope: Scope, said: Mapping[str, ast.expr], *, untold: bool) -> Emit | None:
    """An emit that something else is to call: `tasks.add_task(audit.emit, "...", tenant_id=...)`."""
    for number, value in enumerate(call.args):
        if isinstance(value, ast.Attribute) and value.attr in PRODUCER_CALLS and said.keys() & _PRODUCER_WORDS:
            further = call.args[number + 1 : number + 2]
            return Emit(call, scope, further[0] if further else said.get("event_type"), said, untold)
    return None


def _keywords(call: ast.Call, scope: Scope) -> tuple[dict[str, ast.expr], bool]:
    """What a call is told by keyword, `**` of a dictionary that stands there included; and whether that is all."""
    found = {given.arg: given.value for given in call.keywords if given.arg is not None}
    untold = False
    for given in call.keywords:
        if given.arg is not None:
            continue
        spread = spread_of(given.value, scope)
        elsewhere = any(at.function is not scope.function for places in spread.values.values() for _, at in places)
        if spread.untold or spread.handed or spread.recorded or elsewhere:
            untold = True
        else:
            found = {key: places[-1][0] for key, places in spread.values.items()} | found
    return found, untold


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _hands_on(first: ast.expr | None, scope: Scope) -> bool:
    """Whether this is within a producer of somebody's own, which gives on what it was given: its callers are judged."""
    function = scope.function
    if function is None or function.name not in PRODUCER_CALLS or function.owner is None:
        return False
    return isinstance(first, ast.Name) and first.id in function.every and first.id not in function.assigned


def _names_event(node: ast.expr | None, project: Project, module: Module) -> bool:
    """Whether an argument is a typed event, or a text that may be an event's name."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and "." in node.value
    return node is not None and project.typed_class(node, module) is not None


def _is_method(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute)


def block_of(site: ast.Call, module: Module) -> tuple[Block, str] | None:
    """The `with` that a call opens and the name it gives; or the handler it decorates, and what that fills in."""
    above = module.parents.get(site)
    if isinstance(above, ast.FunctionDef | ast.AsyncFunctionDef) and site in above.decorator_list:
        return above, CURRENT
    block = module.parents.get(above) if isinstance(above, ast.withitem) else None
    if not isinstance(block, ast.With | ast.AsyncWith) or not isinstance(above, ast.withitem):
        return None
    named = above.optional_vars
    return (block, named.id) if isinstance(named, ast.Name) else (block, "")
