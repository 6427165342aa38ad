"""What a `details` may hold: its keys with what they are given, followed through names and functions. Pure."""

import ast
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from lychgate.event_lint.index import FunctionNode, own_nodes
from lychgate.event_lint.scope import Place, Scope, Untold, look_up, resolve, texts

_DEPTH: Final = 16
CURRENT: Final = "current"
"""What `AuditProducer` calls the recording of the handler that is being served."""


Block: TypeAlias = ast.With | ast.AsyncWith | FunctionNode


@dataclass(eq=False)
class Said:
    """What a dictionary may hold.

    Attributes:
        values: By key, what it may be given.
        untold: What cannot be told, and where it stands.
        handed: Whether a part of it is what the outermost function was given: its callers know.
        recorded: Whether a part of it is filled in by the block of a `with`, through what it is given.
        typed: Whether it is a typed event's, which the type checker looks after.
    """

    values: dict[str, list[Place]] = field(default_factory=dict)
    untold: list[Place] = field(default_factory=list)
    handed: bool = False
    recorded: bool = False
    typed: bool = False

    def say(self, key: str, value: ast.expr, scope: Scope) -> None:
        """One more value of a key."""
        self.values.setdefault(key, []).append((value, scope))


def said(node: ast.expr, scope: Scope) -> Said:
    """What an expression for `details` may hold."""
    found = Said()
    _add(node, scope, found, 0)
    return found


def said_in_block(block: Block, name: str, scope: Scope) -> Said:
    """What the block of a `with ... as name`, or a decorated handler, puts into `name.details`."""
    found = Said()
    for statement in block.body:
        for node in (statement, *own_nodes(statement)):
            _mutations(node, name, "details", scope, found, 0)
    return found


def _add(node: ast.expr, scope: Scope, found: Said, depth: int) -> None:  # noqa: C901, PLR0912 - one line a form
    if depth > _DEPTH:
        found.untold.append((node, scope))
        return
    match node:
        case ast.Constant(value=None):
            return
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                _entry(key, value, scope, found, depth)
        case ast.Name(id=name):
            _name(node, name, scope, found, depth)
        case ast.BoolOp(values=values):
            for value in values:
                _add(value, scope, found, depth + 1)
        case ast.IfExp(body=body, orelse=other):
            _add(body, scope, found, depth + 1)
            _add(other, scope, found, depth + 1)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            _add(left, scope, found, depth + 1)
            _add(right, scope, found, depth + 1)
        case ast.DictComp():
            _comprehended(node, scope, found, depth)
        case ast.Call():
            _call(node, scope, found, depth)
        case ast.Attribute(attr="details"):
            found.recorded = True
        case ast.Await(value=value):
            _add(value, scope, found, depth + 1)
        case _:
            found.untold.append((node, scope))


def _entry(key: ast.expr | None, value: ast.expr, scope: Scope, found: Said, depth: int) -> None:
    if key is None:
        _add(value, scope, found, depth + 1)
        return
    names = texts(key, scope)
    if isinstance(names, Untold):
        found.untold.append((key, scope))
        return
    for name in names:
        found.say(name, value, scope)


def _name(node: ast.expr, name: str, scope: Scope, found: Said, depth: int) -> None:
    places = look_up(name, scope)
    if places is Untold.PARAMETER:
        found.handed = True
    elif isinstance(places, Untold):
        found.untold.append((node, scope))
    else:
        for given, place in places:
            _add(given, place, found, depth + 1)
    if scope.function is not None:
        for each in scope.function.writes:
            _mutations(each, name, None, scope, found, depth)


def _comprehended(node: ast.DictComp, scope: Scope, found: Said, depth: int) -> None:
    """`{name: ... for name, value in some.items()}` has the keys of `some`, and one over a list those of the list."""
    loop = node.generators[0]
    match (node.key, loop.target, loop.iter):
        case (
            ast.Name(id=key),
            ast.Tuple(elts=[ast.Name(id=first), _]),
            ast.Call(func=ast.Attribute(value=inner, attr="items"), args=[]),
        ) if key == first and len(node.generators) == 1:
            _add(inner, scope, found, depth + 1)
        case (ast.Name(id=key), ast.Name(id=each), ast.Tuple(elts=keys) | ast.List(elts=keys)) if (
            key == each and len(node.generators) == 1
        ):
            for one in keys:
                _entry(one, node.value, scope, found, depth)
        case _:
            found.untold.append((node, scope))


def _call(node: ast.Call, scope: Scope, found: Said, depth: int) -> None:
    func = node.func
    if isinstance(func, ast.Name) and func.id == "dict" and len(node.args) <= 1:
        for value in node.args:
            _add(value, scope, found, depth + 1)
        _keywords(node, scope, found, depth)
        return
    if isinstance(func, ast.Attribute) and func.attr == "copy" and not node.args:
        _add(func.value, scope, found, depth + 1)
        return
    if isinstance(func, ast.Attribute) and func.attr == "details" and not node.args:
        found.typed = True
        return
    inside = resolve(node, scope)
    if inside is None or inside.function is None or not inside.function.returned:
        found.untold.append((node, scope))
        return
    for value in inside.function.returned:
        _add(value, inside, found, depth + 1)


def _keywords(node: ast.Call, scope: Scope, found: Said, depth: int) -> None:
    for given in node.keywords:
        if given.arg is None:
            _add(given.value, scope, found, depth + 1)
        else:
            found.say(given.arg, given.value, scope)


def _mutations(node: ast.AST, name: str, attr: str | None, scope: Scope, found: Said, depth: int) -> None:
    """What one node adds to `name`, or to `name.attr`."""
    match node:
        case ast.Assign(targets=targets, value=value):
            for target in targets:
                for each, given in _pairs(target, value):
                    _stored(each, given, name, attr, scope, found, depth)
        case ast.AnnAssign(target=target, value=ast.expr() as value) | ast.AugAssign(target=target, value=value):
            _stored(target, value, name, attr, scope, found, depth)
        case ast.Call(func=ast.Attribute(value=inner, attr="update")) if _is(inner, name, attr):
            for value in node.args:
                _add(value, scope, found, depth + 1)
            _keywords(node, scope, found, depth)
        case ast.Call(func=ast.Attribute(value=inner, attr="setdefault"), args=[key, value]) if _is(inner, name, attr):
            _entry(key, value, scope, found, depth)
        case ast.Call() if attr is not None:
            _passed(node, name, attr, scope, found, depth)


def _pairs(target: ast.expr, value: ast.expr) -> list[tuple[ast.expr, ast.expr]]:
    """`a, b = x, y` as two; what is unpacked otherwise is given the whole."""
    if not isinstance(target, ast.Tuple | ast.List):
        return [(target, value)]
    if isinstance(value, ast.Tuple | ast.List) and len(value.elts) == len(target.elts):
        return list(zip(target.elts, value.elts, strict=True))
    return [(each, value) for each in target.elts]


def _stored(
    target: ast.expr, value: ast.expr, name: str, attr: str | None, scope: Scope, found: Said, depth: int
) -> None:
    if isinstance(target, ast.Subscript) and _is(target.value, name, attr):
        _entry(target.slice, value, scope, found, depth)
    elif _is(target, name, attr) and (attr is not None or _adds(target, scope)):
        _add(value, scope, found, depth + 1)


def _adds(target: ast.expr, scope: Scope) -> bool:
    """Whether it is `|=`: a plain assignment was followed as the name's own value."""
    return isinstance(scope.module.parents.get(target), ast.AugAssign)


def _passed(node: ast.Call, name: str, attr: str, scope: Scope, found: Said, depth: int) -> None:
    """What a function of ours that is handed the recorder puts into it."""
    given = [*node.args, *(each.value for each in node.keywords)]
    if depth > _DEPTH or not any(_is(each, name, None) for each in given):
        return
    inside = resolve(node, scope)
    if inside is None or inside.function is None or inside.bindings is None:
        found.recorded = True
        return
    for param, value in inside.bindings.items():
        if value is not None and _is(value, name, None):
            for each in inside.function.writes:
                _mutations(each, param, attr, inside, found, depth + 1)


def _is(node: ast.expr, name: str, attr: str | None) -> bool:
    if attr is None:
        # `audit.current` is what a decorated handler fills in.
        return (isinstance(node, ast.Name) and node.id == name) or (
            name == CURRENT and isinstance(node, ast.Attribute) and node.attr == CURRENT
        )
    return isinstance(node, ast.Attribute) and node.attr == attr and _is(node.value, name, None)
