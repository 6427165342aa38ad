"""`with ExitStack() as stack`: what is entered through the stack, as if it were a `with` around the rest. Pure."""

import ast
from collections.abc import Sequence
from typing import Final

from lychgate.coverage.symbols import dotted_text

_STACKS: Final = frozenset({"ExitStack", "AsyncExitStack"})
_ENTERING: Final = frozenset({"enter_context", "enter_async_context"})


def is_exit_stack(item: ast.withitem) -> bool:
    """Whether a `with` opens a stack and gives it a name."""
    made = item.context_expr
    opens = isinstance(made, ast.Call) and dotted_text(made.func).rpartition(".")[2] in _STACKS
    return opens and isinstance(item.optional_vars, ast.Name)


def unrolled(item: ast.withitem, body: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    """A block in which each `stack.enter_context(x)` of its own is a `with x` around what follows it.

    What is entered within a branch or a loop stays a call: it may not be entered at all.
    """
    name = item.optional_vars.id if isinstance(item.optional_vars, ast.Name) else ""
    for at, statement in enumerate(body):
        entered = _entered(statement, name)
        if entered is not None:
            rest = list(unrolled(item, body[at + 1 :])) or [ast.copy_location(ast.Pass(), statement)]
            inner = ast.With(items=[ast.withitem(context_expr=entered)], body=rest)
            return [*body[:at], ast.copy_location(inner, statement)]
    return body


def _entered(statement: ast.stmt, name: str) -> ast.expr | None:
    value = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
    inner = value.value if isinstance(value, ast.Await) else value
    match inner:
        case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=word), args=[entered]):
            # one that is not awaited enters nothing
            lazy = word == "enter_async_context" and inner is value
            return entered if owner == name and word in _ENTERING and not lazy else None
        case _:
            return None
