"""An expression -> what it stands for: through names, imports, attributes, annotations and what calls return.

Modest on purpose: what is bound in two different ways, or only at run time, is not known, and what is not known counts
as uncovered. Every step uses up fuel, so that a service that goes in circles does not hold us up.
"""

import ast
import builtins
from typing import Final

from lychgate.coverage.program import Annotated, Binding, Entered, Imported, Program, Unclear, nested
from lychgate.coverage.source import Module
from lychgate.coverage.symbols import Class, External, Function, Instance, ModuleRef, Scope, Symbol

_FUEL: Final = 24
_LITERALS: Final = {
    ast.Dict: "dict",
    ast.DictComp: "dict",
    ast.Set: "set",
    ast.SetComp: "set",
    ast.List: "list",
    ast.ListComp: "list",
    ast.Tuple: "tuple",
    ast.JoinedStr: "str",
    ast.GeneratorExp: "generator",
}
_MAKERS: Final = {"audit.opening.open_producer": "audit.producer.AuditProducer"}
"""Functions that are not in the service's own code, and what they return."""
_WRAPPING: Final = {"Annotated", "Optional", "Final", "ClassVar", "Required"}
_YIELDING: Final = {
    "Iterator",
    "AsyncIterator",
    "Generator",
    "AsyncGenerator",
    "Iterable",
    "AsyncIterable",
    "ContextManager",
    "AbstractContextManager",
    "AbstractAsyncContextManager",
}


class Resolver:
    """Resolves within one program."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def value(self, node: ast.expr, scope: Scope, fuel: int = _FUEL) -> Symbol | None:  # noqa: PLR0911 - a table
        """What an expression stands for; none where it is not known."""
        if fuel <= 0:
            return None
        match node:
            case ast.Name(id=name):
                return self.name(name, scope, fuel - 1)
            case ast.Attribute(value=inner, attr=attr):
                return self.member(self.value(inner, scope, fuel - 1), attr, fuel - 1)
            case ast.Call():
                return self.called(node, scope, fuel - 1)
            case ast.Await(value=inner) | ast.NamedExpr(value=inner) | ast.IfExp(body=inner):
                return self.value(inner, scope, fuel - 1)
            case ast.BoolOp(values=values):
                found = (self.value(part, scope, fuel - 1) for part in values)
                return next((symbol for symbol in found if symbol is not None), None)
            case ast.Constant(value=value):
                return Instance(External(f"builtins.{type(value).__name__}"))
            case _:
                pass
        literal = _LITERALS.get(type(node))
        return Instance(External(f"builtins.{literal}")) if literal else None

    def name(self, name: str, scope: Scope, fuel: int = _FUEL) -> Symbol | None:
        """What a name stands for."""
        for depth in range(len(scope.functions), 0, -1):
            function = scope.functions[depth - 1]
            inner = Scope(scope.module, scope.functions[:depth], scope.owner if depth == len(scope.functions) else None)
            if (found := self.program.names(scope.module, function).bound.get(name)) is not None:
                return self._one_of(found, inner, fuel)
            if any(argument.arg == name for argument in _arguments(function)):
                return self._argument(name, inner, fuel)
        return self.imported(scope.module, name, fuel) or (
            External(f"builtins.{name}") if hasattr(builtins, name) else None
        )

    def candidates(self, node: ast.expr, scope: Scope, fuel: int = _FUEL) -> list[Symbol]:
        """All that an expression may stand for, where its bindings or branches differ."""
        if fuel <= 0:
            return []
        match node:
            case ast.IfExp(body=one, orelse=other):
                return [*self.candidates(one, scope, fuel - 1), *self.candidates(other, scope, fuel - 1)]
            case ast.BoolOp(values=values):
                return [found for value in values for found in self.candidates(value, scope, fuel - 1)]
            case ast.Name(id=name):
                for depth in range(len(scope.functions), -1, -1):
                    block = scope.functions[depth - 1] if depth else scope.module.tree
                    bound = self.program.names(scope.module, block).bound.get(name, [])
                    if bound:
                        inner = Scope(scope.module, scope.functions[:depth])
                        return [found for it in bound for found in self._candidates(it, inner, fuel - 1)]
            case _:
                pass
        found = self.value(node, scope, fuel - 1)
        return [] if found is None else [found]

    def _candidates(self, binding: Binding, scope: Scope, fuel: int) -> list[Symbol]:
        match binding:
            case Annotated(value=ast.expr() as value):
                return self.candidates(value, scope, fuel)
            case Imported(module=source, name=str(name)) if (module := self.program.module(source)) is not None:
                return self.candidates(ast.Name(name), Scope(module), fuel)
            case ast.expr():
                return self.candidates(binding, scope, fuel)
            case _:
                found = self._binding(binding, scope, fuel)
                return [] if found is None else [found]

    def imported(self, module: Module, name: str, fuel: int = _FUEL) -> Symbol | None:
        """What a module calls by that name."""
        if fuel <= 0:
            return None
        names = self.program.names(module, module.tree)
        if (found := names.bound.get(name)) is not None:
            return self._one_of(found, Scope(module), fuel - 1)
        for star in names.stars:
            other = self.program.module(star)
            if other is not None and (symbol := self.imported(other, name, fuel - 1)) is not None:
                return symbol
        below = self.program.module(f"{module.name}.{name}") if module.is_package else None
        return ModuleRef(below) if below else None

    def _one_of(self, found: list[Binding], scope: Scope, fuel: int) -> Symbol | None:
        """What all bindings agree on; an annotation is believed."""
        if fuel <= 0:
            return None
        symbols: list[Symbol] = []
        for binding in found:
            if isinstance(binding, Annotated):
                return self.annotation(binding.annotation, scope, fuel - 1) or (
                    self.value(binding.value, scope, fuel - 1) if binding.value is not None else None
                )
            if isinstance(binding, ast.Constant) and binding.value is None:
                continue  # set later
            symbol = self._binding(binding, scope, fuel - 1)
            if symbol is None:
                return None
            if symbol not in symbols:
                symbols.append(symbol)
        return symbols[0] if len(symbols) == 1 else None

    def _binding(self, binding: Binding, scope: Scope, fuel: int) -> Symbol | None:
        match binding:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return Function(scope.module, binding, scope)
            case ast.ClassDef():
                return Class(scope.module, binding, scope)
            case Imported():
                return self._import(binding, fuel)
            case Entered(context=context):
                return self.entered(context, scope, fuel)
            case Unclear() | Annotated():
                return None
            case _:
                return self.value(binding, scope, fuel)

    def _import(self, binding: Imported, fuel: int) -> Symbol | None:
        module = self.program.module(binding.module)
        if binding.name is None:
            return ModuleRef(module) if module else External(binding.module)
        if module is None:
            whole = f"{binding.module}.{binding.name}" if binding.module else binding.name  # `from . import views`
            below = self.program.module(whole)
            return ModuleRef(below) if below else External(whole)
        return self.imported(module, binding.name, fuel)

    def _argument(self, name: str, scope: Scope, fuel: int) -> Symbol | None:
        function = scope.functions[-1]
        arguments = list(_arguments(function))
        for argument, default in zip(arguments, _defaults(function), strict=True):
            if argument.arg != name:
                continue
            if argument.annotation is not None:
                return self.annotation(argument.annotation, Scope(scope.module, scope.functions[:-1]), fuel)
            if default is not None:
                return self._depended(default, scope, fuel)
            if scope.owner is not None and argument is arguments[0]:
                is_class = any(isinstance(it, ast.Name) and it.id == "classmethod" for it in function.decorator_list)
                return scope.owner if is_class else Instance(scope.owner)
        return None

    def _depended(self, default: ast.expr, scope: Scope, fuel: int) -> Symbol | None:
        """The type of what FastAPI's `Depends(f)` gives."""
        match default:
            case ast.Call(func=func, args=[given, *_]):
                if self.value(func, scope, fuel) == External("fastapi.Depends"):
                    maker = self.value(given, scope, fuel)
                    return self._returned(maker, fuel) if isinstance(maker, Function) else None
            case _:
                pass
        return None

    def annotation(self, node: ast.expr | None, scope: Scope, fuel: int = _FUEL) -> Symbol | None:  # noqa: PLR0911 - a table
        """An object of the type that an annotation names."""
        if fuel <= 0 or node is None:
            return None
        match node:
            case ast.Constant(value=str(text)):
                try:
                    return self.annotation(ast.parse(text, mode="eval").body, scope, fuel - 1)
                except (SyntaxError, ValueError, RecursionError):
                    return None
            case ast.BinOp(left=left, right=right):
                return self.annotation(left, scope, fuel - 1) or self.annotation(right, scope, fuel - 1)
            case ast.Subscript(value=base, slice=inside):
                word = base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", "")
                first = inside.elts[0] if isinstance(inside, ast.Tuple) and inside.elts else inside
                return self.annotation(first if word in _WRAPPING else base, scope, fuel - 1)
            case ast.Name(id=name):
                if (alias := self._alias(name, scope)) is not None:
                    return self.annotation(alias[0], alias[1], fuel - 1)
            case _:
                pass
        symbol = self.value(node, scope, fuel - 1)
        if isinstance(symbol, Class | External) and symbol != External("builtins.None"):
            return Instance(symbol)
        return None

    def _alias(self, name: str, scope: Scope) -> tuple[ast.expr, Scope] | None:
        """The right side of `AtDesk = Annotated[Desk, Depends(at_desk)]`, here or where it is imported from."""
        module: Module | None = scope.module
        for _ in range(_FUEL):
            if module is None:
                return None
            found = self.program.names(module, module.tree).bound.get(name, [])
            match found:
                case [Imported(module=source, name=str(original))]:
                    module, name = self.program.module(source), original
                case [(ast.Subscript() | ast.BinOp()) as alias] | [
                    Annotated(value=(ast.Subscript() | ast.BinOp()) as alias)
                ]:
                    return alias, Scope(module)
                case _:
                    return None
        return None

    def member(self, owner: Symbol | None, attr: str, fuel: int = _FUEL) -> Symbol | None:  # noqa: PLR0911 - a table
        """An attribute of something."""
        if fuel <= 0:
            return None
        match owner:
            case ModuleRef(module=module):
                return self.imported(module, attr, fuel - 1)
            case External(dotted=dotted):
                return External(f"{dotted}.{attr}")
            case Class():
                return self._in_class(owner, attr, fuel - 1)
            case Instance(of=Class() as cls):
                return self._in_class(cls, attr, fuel - 1) or self._in_methods(cls, attr, fuel - 1)
            case Instance(of=External(dotted=dotted)):
                return External(f"{dotted}.{attr}")
            case _:
                pass
        return None

    def bases(self, cls: Class, fuel: int = _FUEL) -> list[Class | External]:
        """A class's own bases, as far as they are known."""
        found = [self.value(_unsubscripted(base), cls.scope, fuel - 1) for base in cls.node.bases]
        return [base for base in found if isinstance(base, Class | External)]

    def lineage(self, cls: Class) -> list[Class | External]:
        """The class and all that it comes from, itself first."""
        found: list[Class | External] = [cls]
        for base in found:
            if isinstance(base, Class) and len(found) < _FUEL * 2:
                found += [above for above in self.bases(base) if above not in found]
        return found

    def _in_class(self, cls: Class, attr: str, fuel: int) -> Symbol | None:
        for part in self.lineage(cls) if fuel > 0 else []:
            if not isinstance(part, Class):
                continue
            found = self.program.names(part.module, part.node).bound.get(attr)
            if not found:
                continue
            last = found[-1]
            if isinstance(last, ast.FunctionDef | ast.AsyncFunctionDef):
                function = Function(part.module, last, part.scope, part)
                is_property = any("property" in ast.dump(it) for it in last.decorator_list)
                return self._returned(function, fuel) if is_property else function
            return self._one_of(found, part.scope, fuel)
        return None

    def _in_methods(self, cls: Class, attr: str, fuel: int) -> Symbol | None:
        """What `self.attr` is set to in a method."""
        for part in self.lineage(cls):
            if not isinstance(part, Class):
                continue
            for method in part.node.body:
                if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                inside = part.scope.within(method, part)
                for statement in (inner for top in method.body for inner in nested(top)):
                    match statement:
                        case ast.Assign(targets=[ast.Attribute(value=ast.Name(id="self"), attr=name)], value=value):
                            if name == attr:
                                return self.value(value, inside, fuel)
                        case ast.AnnAssign(target=ast.Attribute(value=ast.Name(id="self"), attr=name)):
                            if name == attr:
                                return self.annotation(statement.annotation, inside, fuel)
                        case _:
                            pass
        return None

    def called(self, call: ast.Call, scope: Scope, fuel: int = _FUEL) -> Symbol | None:
        """What a call returns."""
        if isinstance(call.func, ast.Name) and call.func.id == "super" and scope.owner is not None:
            above = next(iter(self.bases(scope.owner, fuel)), None)
            return Instance(above) if above else None
        match self.value(call.func, scope, fuel - 1):
            case Class() as cls:
                return Instance(cls)
            case External(dotted="typing.cast") if call.args:
                return self.annotation(call.args[0], scope, fuel - 1)
            case External(dotted=dotted):
                return Instance(External(_MAKERS.get(dotted, dotted)))
            case Function() as function:
                return self._returned(function, fuel - 1)
            case _:
                pass
        return None

    def _returned(self, function: Function, fuel: int) -> Symbol | None:
        if fuel <= 0:
            return None
        if function.node.returns is not None:
            node = function.node.returns
            if isinstance(node, ast.Subscript) and _word(node.value) in _YIELDING:
                node = node.slice.elts[0] if isinstance(node.slice, ast.Tuple) else node.slice
            return self.annotation(node, function.scope, fuel - 1)
        returned = [
            inner.value
            for statement in function.node.body
            for inner in nested(statement)
            if isinstance(inner, ast.Return) and inner.value is not None
        ]
        return self.value(returned[0], function.inside, fuel - 1) if len(returned) == 1 else None

    def entered(self, context: ast.expr, scope: Scope, fuel: int = _FUEL) -> Symbol | None:
        """What `with context as name` gives."""
        if isinstance(context, ast.Call):
            maker = self.value(context.func, scope, fuel - 1)
            if isinstance(maker, Function):
                return self._returned(maker, fuel - 1)
        found = self.value(context, scope, fuel - 1)
        if isinstance(found, Instance) and isinstance(found.of, Class):
            for name in ("__enter__", "__aenter__"):
                method = self._in_class(found.of, name, fuel - 1)
                if isinstance(method, Function) and _word(method.node.returns) not in {"Self", ""}:
                    return self._returned(method, fuel - 1)
        return found


def _word(node: ast.expr | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _unsubscripted(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    spec = function.args
    return [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]


def _defaults(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr | None]:
    """The default of each of `_arguments`."""
    spec = function.args
    plain = len(spec.posonlyargs) + len(spec.args) - len(spec.defaults)
    return [*[None] * plain, *spec.defaults, *spec.kw_defaults]
