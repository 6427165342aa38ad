"""What stands around a handler: decorators of the service's own, recorders, and FastAPI's dependencies."""

import ast
from collections.abc import Iterator, Sequence

from lychgate.coverage.calls import Analysis
from lychgate.coverage.discovery import Found
from lychgate.coverage.paths import RECORDING, START, Context, Effect, Emitted, after
from lychgate.coverage.shape import is_generator
from lychgate.coverage.symbols import External, Function, Scope, dotted_text


def decorated(analysis: Analysis, function: Function, found: Found) -> Effect:
    """What asking a handler does, with all that stands around it."""
    start = START
    contexts: list[Context] = []
    for dependency in (*_given(analysis, found.around), *dependencies(analysis, function)):
        if is_generator(dependency):
            manager = analysis.manager(dependency, wrote=False, level=1)
            contexts += [manager] if manager else []
        else:
            before = analysis.effect(dependency, wrote=False, level=1)
            if before and before.ends and all(at.emitted is Emitted.YES for at in before.ends):
                start = start._replace(emitted=Emitted.YES)
    effect = analysis.run(function, start, 0)
    for context in contexts:
        effect = _around(effect, context)
    own = [(_meant(it), function.scope) for it in reversed(function.node.decorator_list)]
    for decorator, scope in (*own, *found.above):
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        symbol = analysis.resolver.value(called, scope)
        if analysis.vocabulary.emits(called, symbol, scope):
            analysis.emitters += 1
            effect = _around(effect, RECORDING)
        elif isinstance(symbol, Function):
            effect = _wrapped(analysis, symbol, effect)
    for wrapper in found.wrappers:
        effect = _wrapped(analysis, wrapper, effect)
    return effect


def _meant(decorator: ast.expr) -> ast.expr:
    """`audited` of Django's `method_decorator(audited)`."""
    match decorator:
        case ast.Call(func=func, args=[inner]) if dotted_text(func).rpartition(".")[2] == "method_decorator":
            return inner
        case _:
            return decorator


def _around(effect: Effect, context: Context) -> Effect:
    returns = frozenset(it._replace(at=at) for it in effect.returns for at in after({it.at}, context.leave))
    raises = frozenset(it._replace(at=at) for it in effect.raises for at in after({it.at}, context.fail))
    return Effect(frozenset(it.at for it in returns), returns, raises | context.raises_out)


def _wrapped(analysis: Analysis, decorator: Function, effect: Effect) -> Effect:
    """A handler within a decorator of the service's own; where that never calls it, the handler has not run."""
    found = wrapper_of(decorator)
    if found is None:
        return effect
    wrapper, name = found
    whole = analysis.run(wrapper, START, 0, {name: effect})
    returns = frozenset(it._replace(at=it.at._replace(phase=0)) for it in whole.returns if it.at.phase)
    raises = frozenset(it._replace(at=it.at._replace(phase=0)) for it in whole.raises if it.at.phase)
    # an answer of the handler that the decorator passes on is told by its own place
    ours = frozenset(it for it in effect.returns if it.at in {other.at for other in returns})
    return Effect(frozenset(it.at for it in returns), ours or returns, raises)


def wrapper_of(decorator: Function) -> tuple[Function, str] | None:
    """The function that a decorator puts in a handler's place, and what it calls the handler."""

    def search(
        node: ast.FunctionDef | ast.AsyncFunctionDef, around: Scope, names: frozenset[str]
    ) -> tuple[Function, str] | None:
        first = next(iter([*node.args.posonlyargs, *node.args.args]), None)
        known = names | ({first.arg} if first else set())
        inside = around.within(node)
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                if (deeper := search(inner, inside, known)) is not None:
                    return deeper
                called = {
                    it.func.id for it in ast.walk(inner) if isinstance(it, ast.Call) and isinstance(it.func, ast.Name)
                }
                if name := next(iter(sorted(called & known)), None):
                    return Function(decorator.module, inner, inside), name
        return None

    return search(decorator.node, decorator.scope, frozenset())


def dependencies(analysis: Analysis, function: Function) -> Iterator[Function]:
    """The functions that FastAPI runs around a handler."""
    spec = function.node.args
    nodes: list[ast.AST] = [it for it in (*spec.defaults, *spec.kw_defaults) if it is not None]
    nodes += [it.annotation for it in (*spec.args, *spec.kwonlyargs) if it.annotation is not None]
    nodes += [
        keyword.value
        for decorator in function.node.decorator_list
        if isinstance(decorator, ast.Call)
        for keyword in decorator.keywords
        if keyword.arg == "dependencies"
    ]
    yield from _given(analysis, [(node, function.scope) for node in nodes])


def _given(analysis: Analysis, nodes: Sequence[tuple[ast.AST, Scope]]) -> Iterator[Function]:
    """The functions that are named in `Depends(...)`, wherever that stands."""
    for call, scope in ((inner, scope) for node, scope in nodes for inner in ast.walk(node)):
        if isinstance(call, ast.Call) and call.args and dotted_text(call.func).rpartition(".")[2] == "Depends":
            made = analysis.resolver.value(call.func, scope)
            found = analysis.resolver.value(call.args[0], scope)
            if isinstance(found, Function) and (made is None or isinstance(made, External)):
                yield found
