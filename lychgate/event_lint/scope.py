"""What an expression may be, seen from where it stands: texts, words of an enumeration, and which name decides. Pure.

A `Scope` is a function as it was called: its parameters are bound to expressions of the caller's scope, and so on
out to a function whose callers have not been looked at. What depends on that one's parameters is not told yet; `bound`
gives it a caller.
"""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from audit.event import Kind, Outcome, Phase, Severity
from lychgate.event_lint.index import Function, Module, Project

_DEPTH: Final = 24
"""Names that stand for names: ours go four deep. Beyond this, nothing is told."""
WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    enumeration.__name__: {member.name: str(member.value) for member in enumeration}
    for enumeration in (Severity, Kind, Phase, Outcome)
}
"""The event's own enumerations, by the name they are known by everywhere."""


@dataclass(frozen=True, eq=False)
class Scope:
    """A place to look names up from.

    Attributes:
        project: Everything that was read.
        module: Where it is.
        function: Within which function; None at a module's top.
        bindings: What its parameters were given, in `caller`; None while nobody knows who calls.
        caller: Who called.
    """

    project: Project
    module: Module
    function: Function | None = None
    bindings: Mapping[str, ast.expr | None] | None = None
    caller: "Scope | None" = None

    def outermost(self) -> "Scope":
        """The one whose callers have not been looked at."""
        at = self
        while at.bindings is not None and at.caller is not None:
            at = at.caller
        return at

    def bound(self, bindings: Mapping[str, ast.expr | None], caller: "Scope") -> "Scope":
        """The same with a caller for the outermost."""
        inner = caller if self.caller is None else self.caller.bound(bindings, caller)
        own = bindings if self.bindings is None else self.bindings
        return Scope(self.project, self.module, self.function, own, inner)

    def called(self, function: Function, call: ast.Call) -> "Scope | None":
        """The inside of a function that is called here."""
        bindings = function.bind(call)
        return None if bindings is None else Scope(self.project, function.module, function, bindings, self)


class Untold(Enum):
    """Why a name has no value that can be told."""

    PARAMETER = "parameter"
    """It is one of the outermost function's."""
    UNKNOWN = "unknown"


Place: TypeAlias = tuple[ast.expr, Scope]


def look_up(name: str, scope: Scope) -> list[Place] | Untold:
    """What a name may stand for: every value it is given."""
    function, at = scope.function, scope
    while function is not None:
        if name in function.every and name not in function.assigned:
            if function is not scope.function:
                return Untold.UNKNOWN  # of an enclosing function, which may be called by then with other values
            if scope.bindings is None:
                return Untold.PARAMETER
            value = scope.bindings.get(name)
            return Untold.UNKNOWN if value is None or scope.caller is None else [(value, scope.caller)]
        if name in function.assigned:
            values = [value for value in function.assigned[name] if value is not None]
            whole = len(values) == len(function.assigned[name]) and name not in function.every
            return [(value, at) for value in values] if whole else Untold.UNKNOWN
        function = function.parent
        at = Scope(scope.project, scope.module, function)
    return _global(scope.module.qualified(ast.Name(name)), scope)


def _global(qualified: str, scope: Scope) -> list[Place] | Untold:
    found = scope.project.target(qualified, "assigned")
    if found is None:
        return Untold.UNKNOWN
    module, name = found
    values = module.assigned[name]
    outside = Scope(scope.project, module)
    known = [(value, outside) for value in values if value is not None]
    return known if len(known) == len(values) else Untold.UNKNOWN


def texts(  # noqa: C901, PLR0911 - one line a form
    node: ast.expr, scope: Scope, depth: int = 0
) -> frozenset[str] | Untold:
    """Every text an expression may be. A typed class, or an event made of one, is asked for its `event_type`."""
    if depth > _DEPTH:
        return Untold.UNKNOWN
    match node:
        case ast.Constant(value=str(text)):
            return frozenset([text])
        case ast.Name(id=name):
            return _either(look_up(name, scope), depth)
        case ast.Attribute(value=inner, attr=attr):
            return _attribute(node, inner, attr, scope, depth)
        case ast.IfExp(body=body, orelse=other):
            return _either([(body, scope), (other, scope)], depth)
        case ast.BoolOp(op=ast.Or(), values=values):
            return _either([(value, scope) for value in values], depth)
        case ast.Subscript(value=inner):
            return _element(inner, scope, depth)
        case ast.JoinedStr(values=values):
            return _joined(values, scope, depth)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _joined([left, right], scope, depth)
        case ast.Call():
            return _returned(node, scope, depth)
        case _:
            return Untold.UNKNOWN


def event_types(node: ast.expr, scope: Scope, depth: int = 0) -> frozenset[str] | Untold:
    """The event types an expression may stand for: a name, a typed class, or an event that is made of one."""
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "type"
        and len(node.args) == 1
    ):
        node = node.args[0]  # the class of an event is asked as the event is
    typed = scope.project.typed_class(node, scope.module)
    if typed is not None:
        return frozenset([typed])
    if isinstance(node, ast.Name) and depth <= _DEPTH:
        places = look_up(node.id, scope)
        if isinstance(places, Untold):
            return places
        return _union([event_types(each, place, depth + 1) for each, place in places])
    return texts(node, scope, depth)


def is_typed(node: ast.expr, scope: Scope, depth: int = 0) -> bool:
    """Whether an expression is a typed event or its class, or a name that stands for nothing else."""
    if scope.project.typed_class(node, scope.module) is not None:
        return True
    places = look_up(node.id, scope) if isinstance(node, ast.Name) and depth < _DEPTH else Untold.UNKNOWN
    if isinstance(places, Untold):
        return False
    return bool(places) and all(is_typed(each, place, depth + 1) for each, place in places)


def resolve(call: ast.Call, scope: Scope) -> Scope | None:
    """The inside of the function that is called, where it is one of ours."""
    func = call.func
    if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name) and func.value.id in {"self", "cls"}:
        owner = owner_of(scope.function)
        for one in scope.module.functions.values():
            if one.name == func.attr and one.owner is not None and one.owner == owner:
                return scope.called(one, call)
        return None
    within = scope.function
    while isinstance(func, ast.Name) and within is not None:
        for one in scope.module.functions.values():
            if one.parent is within and one.name == func.id:
                return scope.called(one, call)
        within = within.parent
    found = scope.project.target(scope.module.qualified(func), "top")
    return scope.called(found[0].top[found[1]], call) if found is not None else None


def owner_of(function: Function | None) -> str | None:
    """The class whose method this is, or is in."""
    while function is not None and function.owner is None:
        function = function.parent
    return function.owner if function is not None else None


def _attribute(node: ast.Attribute, inner: ast.expr, attr: str, scope: Scope, depth: int) -> frozenset[str] | Untold:
    qualified = scope.module.qualified(node)
    owner = qualified.rpartition(".")[0].rpartition(".")[2]
    if attr in WORDS.get(owner, {}):
        return frozenset([WORDS[owner][attr]])
    if attr == "value":
        return texts(inner, scope, depth + 1)
    if attr == "event_type":
        return event_types(inner, scope, depth + 1)
    return _either(_global(qualified, scope), depth) if qualified else Untold.UNKNOWN


def _element(inner: ast.expr, scope: Scope, depth: int) -> frozenset[str] | Untold:
    """Any value of a dictionary or an element of a list."""
    if isinstance(inner, ast.Name):
        places = look_up(inner.id, scope)
        if isinstance(places, Untold):
            return Untold.UNKNOWN
        return _union([_element(each, place, depth + 1) for each, place in places] if depth < _DEPTH else [])
    if isinstance(inner, ast.Dict):
        return _either([(value, scope) for value in inner.values], depth)
    if isinstance(inner, ast.List | ast.Tuple):
        return _either([(value, scope) for value in inner.elts], depth)
    return Untold.UNKNOWN


def _joined(values: list[ast.expr], scope: Scope, depth: int) -> frozenset[str] | Untold:
    """Pieces put together, where there is one way to."""
    whole = ""
    for value in values:
        piece = value.value if isinstance(value, ast.FormattedValue) else value
        told = texts(piece, scope, depth + 1)
        if isinstance(told, Untold) or len(told) != 1:
            return Untold.UNKNOWN
        whole += next(iter(told))
    return frozenset([whole])


def _returned(call: ast.Call, scope: Scope, depth: int) -> frozenset[str] | Untold:
    inside = resolve(call, scope)
    if inside is None or inside.function is None or not inside.function.returned:
        return Untold.UNKNOWN
    return _either([(value, inside) for value in inside.function.returned], depth)


def _either(places: list[Place] | Untold, depth: int) -> frozenset[str] | Untold:
    if isinstance(places, Untold):
        return places
    return _union([texts(each, place, depth + 1) for each, place in places])


def _union(found: list[frozenset[str] | Untold]) -> frozenset[str] | Untold:
    """All of them; one that cannot be told makes the whole untold."""
    whole: frozenset[str] = frozenset()
    for each in found:
        if isinstance(each, Untold):
            return each
        whole |= each
    return whole if found else Untold.UNKNOWN
