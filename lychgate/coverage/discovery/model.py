"""What discovery finds, and where it looks. Values, and the walk over a module."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from lychgate.coverage.model import Place
from lychgate.coverage.source import Module
from lychgate.coverage.symbols import Class, Function, Scope

ANY: tuple[str, ...] = ()
"""Every method, or nobody knows which."""


@dataclass(slots=True)
class Found:
    """A handler before it is judged.

    Attributes:
        name: Its dotted name.
        place: Where it is defined, or registered.
        module: The module it is registered or defined in, for `# audit:ignore`.
        framework: Which.
        function: Its code; none where it is unknown.
        unknown: Why it is.
        routes: Methods and path of each registration.
        dynamic: Whether the methods cannot be read.
        wrappers: Decorators that are applied where it is registered.
        above: Decorators of its class, as they are written, the innermost first.
        around: What its router depends on, as it is written; only what all its routers have.
        lines: First and last line at which `# audit:ignore` is heeded.
    """

    name: str
    place: Place
    module: Module
    framework: str
    function: Function | None = None
    unknown: str | None = None
    routes: set[tuple[tuple[str, ...], str | None]] = field(default_factory=set)
    dynamic: bool = False
    wrappers: list[Function] = field(default_factory=list)
    above: list[tuple[ast.expr, Scope]] = field(default_factory=list)
    around: list[tuple[ast.expr, Scope]] = field(default_factory=list)
    lines: tuple[int, int] = (0, 0)


Definition: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def walk(module: Module) -> Iterator[tuple[ast.AST, Scope]]:
    """Every definition and call of a module, with the scope it stands in."""
    waiting: list[tuple[ast.AST, Scope]] = [(module.tree, Scope(module))]
    while waiting:
        node, scope = waiting.pop()
        if isinstance(node, Definition | ast.Call):
            yield node, scope
        inner = scope
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            inner = scope.within(node, scope.owner if not scope.functions else None)
        elif isinstance(node, ast.ClassDef):
            inner = Scope(module, scope.functions, Class(module, node, scope))
        waiting.extend((child, inner) for child in reversed(list(ast.iter_child_nodes(node))))


def signature_lines(node: Definition) -> tuple[int, int]:
    """From the line above the first decorator to the line before the body."""
    first = min([node.lineno, *(it.lineno for it in node.decorator_list)])
    body = node.body[0]
    last = body.lineno if body.lineno == node.lineno else body.lineno - 1
    return first - 1, max(last, node.lineno)
