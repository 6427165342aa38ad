"""What a function looks like: a generator, a context manager, one that only returns a call. Pure."""

import ast
from typing import Final

from lychgate.coverage.symbols import Function, Symbol

_MANAGERS: Final = {"contextmanager", "asynccontextmanager"}


def in_comprehension(node: ast.ListComp | ast.SetComp | ast.DictComp) -> list[ast.expr]:
    """What is evaluated for each element."""
    parts = [generator.iter for generator in node.generators[1:]]
    parts += [test for generator in node.generators for test in generator.ifs]
    return [*parts, node.key, node.value] if isinstance(node, ast.DictComp) else [*parts, node.elt]


def has_argument(function: ast.AST, name: str) -> bool:
    """Whether a function takes an argument of that name."""
    spec = getattr(function, "args", None)
    return isinstance(spec, ast.arguments) and any(
        it.arg == name for it in (*spec.posonlyargs, *spec.args, *spec.kwonlyargs)
    )


def returned_call(symbol: Symbol | None) -> ast.Call | None:
    """The call that a function returns, where that is all it does in the end."""
    if not isinstance(symbol, Function) or is_manager(symbol) or symbol.is_async:
        return None
    match symbol.node.body[-1]:
        case ast.Return(value=ast.Call() as call):
            returns = [node for node in own_nodes(symbol.node) if isinstance(node, ast.Return)]
            return call if len(returns) == 1 else None
        case _:
            pass
    return None


def is_generator(function: Function) -> bool:
    """Whether it yields, and so does nothing when it is called."""
    return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in own_nodes(function.node))


def own_nodes(function: ast.AST) -> list[ast.AST]:
    """The nodes of a function, without those of functions in it."""
    found: list[ast.AST] = []
    waiting = list(ast.iter_child_nodes(function))
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
    return found


def is_manager(function: Function) -> bool:
    """Whether it is made for `with`."""
    found = [it.attr if isinstance(it, ast.Attribute) else getattr(it, "id", "") for it in function.node.decorator_list]
    return bool(_MANAGERS.intersection(found))
