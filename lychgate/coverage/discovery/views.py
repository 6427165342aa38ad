"""The handlers that a class has: methods named for HTTP methods or actions, written here or brought by its bases."""

import ast
from collections.abc import Iterator
from typing import NamedTuple

from lychgate.coverage.discovery import frameworks
from lychgate.coverage.resolve import Resolver
from lychgate.coverage.symbols import Class, Function, Scope, dotted_text


class Entry(NamedTuple):
    """One handler of a class.

    Attributes:
        name: Of the method.
        methods: The HTTP methods it answers.
        function: Its code; none where nothing of it is at hand.
        unknown: Why not.
    """

    name: str
    methods: tuple[str, ...]
    function: Function | None
    unknown: str | None = None


class Views:
    """Looks at classes."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._mapped: dict[Class, dict[str, str]] = {}

    def mapped(self, call: ast.Call) -> dict[str, str]:
        """`as_view({"post": "create"})`: method to the name of a class's method."""
        match call.args:
            case [ast.Dict(keys=keys, values=values)]:
                return {
                    key.value: value.value
                    for key, value in zip(keys, values, strict=True)
                    if isinstance(key, ast.Constant)
                    and isinstance(value, ast.Constant)
                    and isinstance(key.value, str)
                    and isinstance(value.value, str)
                }
            case _:
                pass
        return {}

    def map(self, cls: Class, mapped: dict[str, str]) -> None:
        """Note what `as_view` was given."""
        self._mapped.setdefault(cls, {}).update(mapped)

    def decorators(self, cls: Class, method: str) -> list[tuple[ast.expr, Scope]]:
        """What wraps a method of a class from above, the innermost first.

        Flask's `decorators = [...]`, flask_restful's `method_decorators = [...]`, and Django's
        `@method_decorator(f, name="dispatch")`.
        """
        found: list[tuple[ast.expr, Scope]] = []
        for part in self._resolver.lineage(cls):
            if not isinstance(part, Class):
                continue
            bound = self._resolver.program.names(part.module, part.node).bound
            for listed in (bound.get(name, []) for name in frameworks.DECORATING):
                match listed:
                    case [ast.List(elts=elts) | ast.Tuple(elts=elts)]:
                        return [(it, part.scope) for it in elts]
                    case []:
                        pass
                    case _:
                        return []
        for decorator in reversed(cls.node.decorator_list):
            match decorator:
                case ast.Call(args=[given], keywords=[ast.keyword(arg="name", value=ast.Constant(value=name))]):
                    if dotted_text(decorator.func).rpartition(".")[2] == "method_decorator" and name in {
                        "dispatch",
                        method,
                    }:
                        found.append((given, cls.scope))
                case _:
                    pass
        return found

    def handlers(self, cls: Class, bases: list[str]) -> Iterator[Entry]:
        """Every handler of a class.

        Args:
            cls: The class.
            bases: The names of its bases whose code is not at hand.
        """
        brought: dict[str, str] = {}
        for base in bases:
            brought |= frameworks.INHERITED.get(base.rpartition(".")[2], {})
        is_set = any(".viewsets." in base or ".mixins." in base for base in bases)
        names = set(brought) | {name for name in self._methods(cls) if self._is_handler(cls, name, is_set=is_set)}
        given = {name: verb.upper() for verb, name in self._mapped.get(cls, {}).items()}
        for name in sorted(names | set(given)):
            methods = self._answers(cls, name, given)
            function = self._resolver.member(cls, name)
            if isinstance(function, Function):
                yield Entry(name, methods, function)
                continue
            hook = self._resolver.member(cls, brought.get(name, ""))
            if isinstance(hook, Function):
                yield Entry(name, methods, hook)
            else:
                yield Entry(
                    name, methods, None, f"`{name}` is the framework's own, and nothing of the service runs in it"
                )

    def _methods(self, cls: Class) -> set[str]:
        return {
            node.name
            for part in self._resolver.lineage(cls)
            if isinstance(part, Class)
            for node in part.node.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }

    def _is_handler(self, cls: Class, name: str, *, is_set: bool) -> bool:
        if name in frameworks.VERBS or name in {"dispatch_request", "dispatch"}:
            return True
        return is_set and (name in frameworks.ACTIONS or self._action(cls, name) is not None)

    def _action(self, cls: Class, name: str) -> tuple[str, ...] | None:
        """The methods of DRF's `@action(detail=True, methods=["post"])`."""
        function = self._resolver.member(cls, name)
        if not isinstance(function, Function):
            return None
        for decorator in function.node.decorator_list:
            if isinstance(decorator, ast.Call) and dotted_text(decorator.func).rpartition(".")[2] == "action":
                given = next((it.value for it in decorator.keywords if it.arg == "methods"), None)
                if isinstance(given, ast.List | ast.Tuple):
                    return tuple(str(it.value).upper() for it in given.elts if isinstance(it, ast.Constant))
                return ("GET",) if given is None else ()
        return None

    def _answers(self, cls: Class, name: str, given: dict[str, str]) -> tuple[str, ...]:
        if name in given:
            return (given[name],)
        if name in frameworks.VERBS:
            return (name.upper(),)
        if name in frameworks.ACTIONS:
            return (frameworks.ACTIONS[name],)
        if name == "dispatch_request":
            return self._declared(cls)
        return self._action(cls, name) or ()

    def _declared(self, cls: Class) -> tuple[str, ...]:
        """The `methods` of Flask's `View`; GET where it says nothing."""
        for part in self._resolver.lineage(cls):
            if isinstance(part, Class):
                for binding in self._resolver.program.names(part.module, part.node).bound.get("methods", []):
                    if isinstance(binding, ast.List | ast.Tuple | ast.Set):
                        return tuple(str(it.value).upper() for it in binding.elts if isinstance(it, ast.Constant))
                    return ()
        return ("GET",)
