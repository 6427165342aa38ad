"""Modules -> handlers. Registrations of the same handler are put together: it is one handler with several routes."""

import ast
from collections.abc import Iterable, Sequence

from lychgate.coverage.discovery import frameworks
from lychgate.coverage.discovery.imports import Imports
from lychgate.coverage.discovery.model import ANY, Found, signature_lines, walk
from lychgate.coverage.discovery.owners import framework_of, has_path, keyword, may_be_an_app, owner_of
from lychgate.coverage.discovery.prefixes import Prefixes
from lychgate.coverage.discovery.views import Views
from lychgate.coverage.model import Place
from lychgate.coverage.resolve import Resolver
from lychgate.coverage.source import Module
from lychgate.coverage.symbols import Class, External, Function, Scope, dotted_text

_ADDING = {"add_api_route", "add_url_rule", "add_route", "add_view", "add_resource", "add_api_websocket_route"}
_ADDING |= {f"add_{verb}" for verb in frameworks.VERBS}


def discover(resolver: Resolver, modules: Sequence[Module]) -> list[Found]:
    """Every handler of these modules, by place."""
    search = Search(resolver, modules)
    for module in modules:
        search.look(module)
    search.look_at_classes()
    return sorted(search.found.values(), key=lambda it: (it.place, it.name))


class Search:
    """Gathers handlers.

    Attributes:
        found: By name; an unknown one by its place.
    """

    def __init__(self, resolver: Resolver, modules: Sequence[Module]) -> None:
        self._resolver = resolver
        self._modules = {id(module) for module in modules}
        self._walked = {id(module): list(walk(module)) for module in modules}
        self._prefixes = Prefixes(resolver, [pair for pairs in self._walked.values() for pair in pairs])
        self._views = Views(resolver)
        self._imports = Imports()
        self._classes: list[Class] = []
        self._registered: dict[Class, list[tuple[tuple[str, ...], str | None]]] = {}
        self._has_urls = any("urlpatterns" in resolver.program.names(module, module.tree).bound for module in modules)
        self.found: dict[str, Found] = {}

    def look(self, module: Module) -> None:
        """Go through one module."""
        for node, scope in self._walked[id(module)]:
            if isinstance(node, ast.ClassDef):
                self._classes.append(Class(module, node, Scope(module, scope.functions)))
                self._class_decorators(node, scope)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._function(node, scope)
            elif isinstance(node, ast.Call):
                self._call(node, scope)

    # decorators

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        function = Function(scope.module, node, Scope(scope.module, scope.functions), scope.owner)
        restricted = self._restricted(node, scope)
        for decorator in node.decorator_list:
            registration = self._decorator(decorator, scope)
            if registration is not None:
                framework, methods, path, dynamic = registration
                owner = owner_of(decorator)
                around = self._prefixes.around(owner, scope) if owner is not None else []
                self._add(function, framework, methods, path, dynamic=dynamic, around=around)
        first = next(iter(node.args.args), None)
        django = self._imports.any_of(scope.module, "django", "rest_framework")
        if django and scope.owner is None and not scope.functions and first is not None and first.arg == "request":
            if restricted is not None:
                self._add(function, "django", restricted, None)
            elif not self._has_urls and not node.name.startswith("_") and not scope.module.name.endswith("middleware"):
                self._add(function, "django", ANY, None)

    def _decorator(self, node: ast.expr, scope: Scope) -> tuple[str, tuple[str, ...], str | None, bool] | None:
        """Framework, methods, path, and whether the methods cannot be read."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            return None
        word = node.func.attr
        if word not in frameworks.VERBS | {"route", "api_route", "websocket", "view"}:
            return None
        args = list(node.args)
        method = self._leading_method(args, scope) if word == "route" else None
        path = self._text(args[0] if args else keyword(node, "path", "rule"), scope)
        owner = self._resolver.value(node.func.value, scope)
        framework = framework_of(self._resolver, owner)
        if framework is None and (not has_path(node) or (path and not path.startswith(("/", "<")))):
            return None
        if framework is None and not may_be_an_app(self._resolver, owner):
            return None
        methods, dynamic = (method, False) if method is not None else self._methods(word, node, scope)
        whole = self._prefixes.of(node.func.value, scope, path)
        return framework or self._imports.guess(scope.module), methods, whole, dynamic

    def _methods(self, word: str, node: ast.Call, scope: Scope) -> tuple[tuple[str, ...], bool]:
        if word in frameworks.VERBS:
            return (word.upper(),), False
        if word == "websocket":
            return ("WEBSOCKET",), False
        given = keyword(node, "methods")
        if given is None:
            return (ANY if word == "view" else ("GET",)), False
        listed = self._strings(given, scope)
        return (ANY, True) if listed is None else (listed, False)

    def _restricted(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> tuple[str, ...] | None:
        """What Django's decorators let through; none where there is none of them."""
        for decorator in node.decorator_list:
            name = dotted_text(decorator).rpartition(".")[2]
            if name in frameworks.RESTRICTING:
                return frameworks.RESTRICTING[name]
            if name in frameworks.LISTING:
                if isinstance(decorator, ast.Call) and decorator.args:
                    return self._strings(decorator.args[0], scope) or ANY
                return ("GET",)
        return None

    def _class_decorators(self, node: ast.ClassDef, scope: Scope) -> None:
        for decorator in node.decorator_list:
            match decorator:
                case ast.Call(func=ast.Attribute(attr="view" | "route" as word, value=owner), args=[path, *_]):
                    del word
                    cls = Class(scope.module, node, Scope(scope.module, scope.functions))
                    whole = self._prefixes.of(owner, scope, self._text(path, scope))
                    self._registered.setdefault(cls, []).append((ANY, whole))
                case _:
                    pass

    # calls

    def _call(self, call: ast.Call, scope: Scope) -> None:
        symbol = self._resolver.value(call.func, scope)
        if isinstance(symbol, External) and symbol.dotted in frameworks.ROUTES:
            self._route(call, symbol.dotted, scope)
            return
        if isinstance(call.func, ast.Attribute) and call.func.attr in _ADDING:
            self._added(call, call.func, scope)
        elif isinstance(call.func, ast.Call) and len(call.args) == 1:  # app.post("/x")(handler)
            registration = self._decorator(call.func, scope)
            if registration is not None:
                framework, methods, path, dynamic = registration
                self._handler(call.args[0], scope, call, framework, methods, path, dynamic=dynamic)

    def _route(self, call: ast.Call, dotted: str, scope: Scope) -> None:
        framework, fixed = frameworks.ROUTES[dotted]
        args = list(call.args)
        given = self._leading_method(args, scope) if fixed == "" else None
        path = self._text(args[0] if args else keyword(call, "path"), scope)
        handler = args[1] if len(args) > 1 else keyword(call, "endpoint", "view", "handler")
        if handler is None or self._is_include(handler, scope):
            return
        if fixed == "":
            methods, dynamic = given or ANY, given is None
        elif fixed is not None:
            methods, dynamic = (ANY if fixed == "*" else (fixed,)), False
        else:
            methods, dynamic = self._methods("route", call, scope)
        self._handler(handler, scope, call, framework, methods, path, dynamic=dynamic)

    def _is_include(self, node: ast.expr, scope: Scope) -> bool:
        if isinstance(node, ast.Call) and dotted_text(node.func).rpartition(".")[2] == "include":
            return True
        found = self._resolver.value(node, scope)
        return isinstance(found, External) and found.dotted.startswith("django.contrib.admin")

    def _added(self, call: ast.Call, func: ast.Attribute, scope: Scope) -> None:
        owner = self._resolver.value(func.value, scope)
        framework = framework_of(self._resolver, owner)
        word = func.attr
        args = list(call.args)
        dynamic = False
        given = self._leading_method(args, scope) if word == "add_route" else None
        if given is not None:
            methods = given
            args = args if len(args) > 1 else [ast.Constant(""), *args]  # of a resource, which has the path
        elif word == "add_route" and (framework == "aiohttp" or len(args) > 2):  # noqa: PLR2004 - method, path, handler
            methods, dynamic = ANY, True
            del args[:1]
        elif word.removeprefix("add_") in frameworks.VERBS:
            methods = (word.removeprefix("add_").upper(),)
        else:
            methods, dynamic = self._methods("view" if word in {"add_view", "add_resource"} else "route", call, scope)
        if framework is None and not may_be_an_app(self._resolver, owner):
            return
        if word == "add_resource" and self._text(args[0] if args else None, scope) is not None:
            return  # aiohttp's: handlers are added to what it returns
        if word == "add_resource":
            path, handler = self._text(args[1] if len(args) > 1 else None, scope), (args[0] if args else None)
        else:
            path = self._text(args[0] if args else keyword(call, "path", "rule"), scope)
            handler = keyword(call, "view_func", "endpoint", "handler", "route")
            position = 2 if word == "add_url_rule" else 1
            if word == "add_url_rule":
                handler = keyword(call, "view_func")
            handler = args[position] if len(args) > position else handler
        if handler is None:
            return
        whole = self._prefixes.of(func.value, scope, path)
        self._handler(
            handler,
            scope,
            call,
            framework or self._imports.guess(scope.module),
            methods,
            whole,
            dynamic=dynamic,
            implied="methods" not in {it.arg for it in call.keywords} and word == "add_url_rule",
        )

    def _handler(
        self,
        node: ast.expr,
        scope: Scope,
        call: ast.Call,
        framework: str,
        methods: tuple[str, ...],
        path: str | None,
        *,
        dynamic: bool,
        implied: bool = False,
        wrappers: tuple[Function, ...] = (),
    ) -> None:
        """Register what an expression stands for."""
        match node:
            case ast.Call(func=ast.Attribute(value=inner, attr="as_view")):
                cls = self._resolver.value(inner, scope)
                if isinstance(cls, Class):
                    mapped = self._views.mapped(node)
                    self._registered.setdefault(cls, []).append((ANY if implied or not methods else methods, path))
                    if mapped:
                        self._views.map(cls, mapped)
                    return
            case ast.Call(args=[inner]) if not node.keywords:
                maker = self._resolver.value(node.func, scope)
                if dotted_text(node.func).rpartition(".")[2] != "partial" and not isinstance(maker, Class):
                    more = (maker,) if isinstance(maker, Function) else ()
                    wrapped = self._resolver.value(inner, scope)
                    if isinstance(wrapped, Function | Class) or isinstance(inner, ast.Call):
                        self._handler(
                            inner,
                            scope,
                            call,
                            framework,
                            methods,
                            path,
                            dynamic=dynamic,
                            implied=implied,
                            wrappers=(*wrappers, *more),
                        )
                        return
        symbol = self._resolver.value(node, scope)
        if isinstance(symbol, Function) and not isinstance(node, ast.Call):
            restricted = self._restricted(symbol.node, symbol.scope) if framework == "django" else None
            self._add(symbol, framework, restricted or methods, path, dynamic=dynamic, wrappers=wrappers)
        elif isinstance(symbol, Class):
            self._registered.setdefault(symbol, []).append((methods if methods != ("GET",) else ANY, path))
        else:
            self._unknown(node, scope, call, framework, methods, path, dynamic=dynamic)

    def _unknown(
        self,
        node: ast.expr,
        scope: Scope,
        call: ast.Call,
        framework: str,
        methods: tuple[str, ...],
        path: str | None,
        *,
        dynamic: bool,
    ) -> None:
        text = dotted_text(node.func if isinstance(node, ast.Call) else node)
        match node:
            case ast.Lambda():
                why = "the handler is a lambda"
            case ast.Call() if text.rpartition(".")[2] == "partial":
                why = "the handler is a partial, made when it is registered"
            case ast.Call():
                why = f"the handler is what `{text}` returns"
            case ast.Name() | ast.Attribute():
                why = f"`{text}` cannot be found in the code"
            case _:
                why = "the handler is an expression"
        place = Place(scope.module.shown, call.lineno)
        name = f"{scope.module.name}:{call.lineno}"
        found = self.found.setdefault(name, Found(name, place, scope.module, framework, unknown=why))
        found.routes.add((methods, path))
        found.dynamic |= dynamic
        found.lines = (call.lineno - 1, call.end_lineno or call.lineno)

    def _add(
        self,
        function: Function,
        framework: str,
        methods: tuple[str, ...],
        path: str | None,
        *,
        dynamic: bool = False,
        wrappers: Iterable[Function] = (),
        above: Sequence[tuple[ast.expr, Scope]] = (),
        around: Sequence[tuple[ast.expr, Scope]] = (),
        name: str | None = None,
    ) -> Found:
        inner = [it.name for it in function.scope.functions]
        whole = name or ".".join(
            [function.module.name, *inner, function.dotted.removeprefix(f"{function.module.name}.")]
        )
        place = Place(function.module.shown, function.node.lineno)
        named = self.found.get(whole)
        if named is not None and named.function is not None and named.function.node is not function.node:
            whole = f"{whole}@{function.node.lineno}"  # a second one of the name hides nothing, and is not hidden
        found = self.found.setdefault(whole, Found(whole, place, function.module, framework, function))
        found.above = [*above]
        if path is None and found.routes:
            found.around = [it for it in found.around if it in around]
            return found
        found.around = [it for it in found.around if it in around] if found.routes else [*around]
        found.routes = {it for it in found.routes if it[1] is not None or path is None} | {(methods, path)}
        found.dynamic |= dynamic
        found.wrappers += [it for it in wrappers if it not in found.wrappers]
        found.lines = signature_lines(function.node)
        return found

    # classes

    def look_at_classes(self) -> None:
        """The handlers that are methods of classes."""
        lineages = {cls: self._resolver.lineage(cls) for cls in self._classes}
        above = {base for lineage in lineages.values() for base in lineage[1:]}
        for cls, lineage in lineages.items():
            names = [it.dotted for it in lineage if isinstance(it, External)]
            framework = next((it for it in map(frameworks.view_framework, names) if it), None)
            registered = self._registered.get(cls)
            if framework is None and registered is None:
                continue
            if cls in above and registered is None:
                continue  # what derives from it is looked at
            self._class(cls, framework or self._imports.guess(cls.module), registered or [(ANY, None)], names)

    def _class(
        self, cls: Class, framework: str, registered: list[tuple[tuple[str, ...], str | None]], bases: list[str]
    ) -> None:
        for entry in self._views.handlers(cls, bases):
            for methods, path in registered:
                if methods and not set(entry.methods) <= set(methods) and entry.methods:
                    continue
                if entry.function is not None:
                    self._add(
                        entry.function,
                        framework,
                        entry.methods or methods,
                        path,
                        above=self._views.decorators(cls, entry.name),
                        name=f"{cls.dotted}.{entry.name}",
                    )
                    continue
                name = f"{cls.dotted}.{entry.name}"
                place = Place(cls.module.shown, cls.node.lineno)
                found = self.found.setdefault(name, Found(name, place, cls.module, framework, unknown=entry.unknown))
                found.routes.add((entry.methods, path))
                found.lines = signature_lines(cls.node)

    # what is written

    def _leading_method(self, args: list[ast.expr], scope: Scope) -> tuple[str, ...] | None:
        """The method that aiohttp is told before the path, which is taken away; none where it is no method."""
        method = self._text(args[0] if args else None, scope)
        if method is None or not (method == "*" or method.lower() in frameworks.VERBS):
            return None
        del args[0]
        return ANY if method == "*" else (method.upper(),)

    def _text(self, node: ast.expr | None, scope: Scope) -> str | None:
        return self._prefixes.text(node, scope)

    def _strings(self, node: ast.expr, scope: Scope) -> tuple[str, ...] | None:
        """A list of methods, also from a constant; none where it cannot be read."""
        if isinstance(node, ast.Name | ast.Attribute):
            found = self._prefixes.constant(node, scope)
            return self._strings(found, scope) if found is not None and not isinstance(found, ast.Name) else None
        if isinstance(node, ast.Call) and len(node.args) == 1:  # frozenset({...})
            return self._strings(node.args[0], scope)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.BitOr):
            left, right = self._strings(node.left, scope), self._strings(node.right, scope)
            return None if left is None or right is None else (*left, *right)
        if not isinstance(node, ast.List | ast.Tuple | ast.Set):
            return None
        texts = [self._text(it, scope) for it in node.elts]
        return None if None in texts else tuple(sorted({str(it).upper() for it in texts}))
