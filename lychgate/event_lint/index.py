"""What stands where in the modules: functions with their callers, constants, imports, typed classes. Pure."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeAlias

from audit.registry.classes import services
from audit.registry.model import Registry, class_name
from lychgate.event_lint.source import Source

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
OWN_CLASSES: Final = "audit.registry.types"
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef)
_HOPS: Final = 8
"""Names handed on through so many modules are followed no further."""


@dataclass(eq=False)
class Function:
    """A function or a method.

    Attributes:
        node: Its definition.
        module: Where it stands.
        owner: Of a method, the class's name.
        parent: The function it stands in.
    """

    node: FunctionNode
    module: "Module"
    owner: str | None
    parent: "Function | None"

    @property
    def name(self) -> str:
        """Its own name."""
        return self.node.name

    @property
    def is_open(self) -> bool:
        """Whether others than its module may call it."""
        return self.parent is None and not self.name.startswith("_")

    @cached_property
    def params(self) -> tuple[str, ...]:
        """Of positional parameters, those a caller fills: without `self`."""
        found = [one.arg for one in (*self.node.args.posonlyargs, *self.node.args.args)]
        static = any(isinstance(each, ast.Name) and each.id == "staticmethod" for each in self.node.decorator_list)
        return tuple(found[1:] if self.owner is not None and not static else found)

    @cached_property
    def every(self) -> frozenset[str]:
        """Every parameter's name."""
        arguments = self.node.args
        loose = [one.arg for one in (arguments.vararg, arguments.kwarg) if one is not None]
        positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        return frozenset([*positional, *(one.arg for one in arguments.kwonlyargs), *loose])

    @cached_property
    def defaults(self) -> Mapping[str, ast.expr]:
        """Of parameters that need not be given."""
        arguments = self.node.args
        positional = [one.arg for one in (*arguments.posonlyargs, *arguments.args)]
        found = dict(zip(reversed(positional), reversed(arguments.defaults), strict=False))
        found |= {
            one.arg: value
            for one, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
            if value is not None
        }
        return found

    @cached_property
    def assigned(self) -> Mapping[str, list[ast.expr | None]]:
        """What its names are given; None where that is no plain value."""
        return _assigned(self.node)

    @cached_property
    def writes(self) -> tuple[ast.AST, ...]:
        """What may change a value that a name of its has: assignments and calls."""
        kinds = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Call)
        return tuple(node for node in own_nodes(self.node) if isinstance(node, kinds))

    @cached_property
    def returned(self) -> list[ast.expr]:
        """What it returns."""
        return [node.value for node in own_nodes(self.node) if isinstance(node, ast.Return) and node.value is not None]

    def bind(self, call: ast.Call) -> dict[str, ast.expr | None] | None:
        """What a call gives its parameters, None where that cannot be told; None for a call that does not fit."""
        keyword_only = {one.arg for one in self.node.args.kwonlyargs}
        loose = any(isinstance(each, ast.Starred) for each in call.args) or any(
            each.arg is None for each in call.keywords
        )
        if len(call.args) > len(self.params) and self.node.args.vararg is None and not loose:
            return None
        found: dict[str, ast.expr | None] = {}
        for name, value in zip(self.params, call.args, strict=False):
            if isinstance(value, ast.Starred):
                break
            found[name] = value
        for given in call.keywords:
            if given.arg is None:
                continue
            if given.arg not in self.every and self.node.args.kwarg is None:
                return None
            found[given.arg] = given.value
        for name in (*self.params, *sorted(keyword_only)):
            if name not in found:
                if name not in self.defaults and not loose:
                    return None
                found[name] = None if loose else self.defaults[name]
        return {name: found.get(name) for name in self.every}


@dataclass(eq=False)
class Module:
    """A module and what it defines."""

    source: Source
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    functions: dict[ast.AST, Function] = field(default_factory=dict)
    calls: list[ast.Call] = field(default_factory=list)
    classes: list[ast.ClassDef] = field(default_factory=list)
    stars: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Dotted."""
        return self.source.name

    @cached_property
    def assigned(self) -> Mapping[str, list[ast.expr | None]]:
        """What its own names are given, and the attributes of its classes: `Names.OPENED`."""
        found = _assigned(self.source.tree)
        for node in self.classes:
            found |= {f"{node.name}.{name}": values for name, values in _assigned(node).items()}
        return found

    @cached_property
    def top(self) -> Mapping[str, Function]:
        """Its functions, without methods and those within others."""
        return {one.name: one for one in self.functions.values() if one.owner is None and one.parent is None}

    def function_of(self, node: ast.AST) -> Function | None:
        """The function a node stands in."""
        at: ast.AST | None = self.parents.get(node)
        while at is not None and at not in self.functions:
            at = self.parents.get(at)
        return self.functions[at] if at is not None else None

    def qualified(self, node: ast.expr) -> str:
        """The dotted name that `a` or `a.b` stands for; empty where it is no such thing."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ""
        own = self.imports.get(node.id)
        if own is None and self.stars and node.id not in self.assigned and node.id not in self.top:
            own = f"{self.stars[-1]}.{node.id}"  # of the last `import *`, which hides those before it
        return ".".join([own or f"{self.name}.{node.id}", *parts])


class Project:
    """All modules together.

    Args:
        sources: What was read.
        registry: Names the typed classes that come with us.
    """

    def __init__(self, sources: Iterable[Source], registry: Registry) -> None:
        self.modules = [_module(source) for source in sources]
        self._by_name = {module.name: module for module in self.modules}
        self.classes: dict[str, str] = {
            f"{OWN_CLASSES}.{service}.{class_name(name, registry.types[name])}": name
            for service, names in services(registry).items()
            for name in names
        }
        self.typed: list[tuple[Module, ast.ClassDef, str | None]] = []
        for module in self.modules:
            for node in module.classes:
                if any(_last(base) == "TypedEvent" for base in node.bases):
                    event = _class_value(node, "event_type")
                    self.typed.append((module, node, event))
                    if event is not None:
                        self.classes[f"{module.name}.{node.name}"] = event
        self.calls: dict[str, list[tuple[Module, ast.Call]]] = {}
        for module in self.modules:
            for call in module.calls:
                self.calls.setdefault(_last(call.func), []).append((module, call))

    def target(self, qualified: str, kind: str) -> "tuple[Module, str] | None":
        """The module and the name in it that a dotted name means, through what is imported on.

        Args:
            qualified: Dotted.
            kind: `assigned` or `top`: what is looked for.
        """
        for _ in range(_HOPS):
            owner, _, name = qualified.rpartition(".")
            module = self._by_name.get(owner)
            if module is None:  # an attribute of a class
                owner, _, holder = owner.rpartition(".")
                module, name = self._by_name.get(owner), f"{holder}.{name}"
            if module is None:
                return None
            if name in getattr(module, kind):
                return module, name
            first, _, rest = name.partition(".")
            if first not in module.imports:
                return None
            qualified = f"{module.imports[first]}.{rest}".removesuffix(".")
        return None

    def typed_class(self, node: ast.expr, module: Module) -> str | None:
        """The event type of a typed class that is named, or of an event that is made of one."""
        name = module.qualified(node.func if isinstance(node, ast.Call) else node)
        for _ in range(_HOPS):
            if name in self.classes:
                return self.classes[name]
            owner, _, last = name.rpartition(".")
            further = self._by_name.get(owner)
            if further is None or last not in further.imports:
                return None
            name = further.imports[last]
        return None

    def sites(self, function: Function) -> Iterator[tuple[Module, ast.Call]]:
        """Where a function may be called: by its name, in a way that fits its parameters."""
        for module, call in self.calls.get(function.name, ()):
            if module is not function.module and not function.is_open:
                continue
            if function.owner is None and isinstance(call.func, ast.Name | ast.Attribute):
                target = self.target(module.qualified(call.func), "top")
                nested = function.parent is not None and isinstance(call.func, ast.Name)
                if not nested and (target is None or target[0].top[target[1]] is not function):
                    continue
            elif not isinstance(call.func, ast.Attribute):
                continue
            if module.function_of(call) is not function and function.bind(call) is not None:
                yield module, call


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Everything in a body that is not in a function or class of its own."""
    waiting = list(ast.iter_child_nodes(node))
    while waiting:
        at = waiting.pop()
        yield at
        if not isinstance(at, (*_FUNCTIONS, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(at)


def _module(source: Source) -> Module:
    module = Module(source)
    waiting: list[tuple[ast.AST, str | None, Function | None]] = [(source.tree, None, None)]
    while waiting:
        node, owner, within = waiting.pop()
        if isinstance(node, _FUNCTIONS):
            within = module.functions[node] = Function(node, module, owner, within)
            owner = None
        elif isinstance(node, ast.ClassDef):
            module.classes.append(node)
            owner = node.name
        elif isinstance(node, ast.Call):
            module.calls.append(node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            imported = dict(_imported(node, module))
            if "*" in imported:
                module.stars.append(imported.pop("*").removesuffix(".*"))
            module.imports.update(imported)
        for child in ast.iter_child_nodes(node):
            module.parents[child] = node
            waiting.append((child, owner, within))
    return module


def _imported(node: ast.Import | ast.ImportFrom, module: Module) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import):
        for each in node.names:
            yield each.asname or each.name.partition(".")[0], each.name if each.asname else each.name.partition(".")[0]
        return
    base = node.module or ""
    if node.level:
        package = module.name.split(".")
        keep = len(package) - node.level + module.source.file.endswith("__init__.py")
        base = ".".join([*package[: max(keep, 0)], *([base] if base else [])])
    for each in node.names:
        yield each.asname or each.name, f"{base}.{each.name}"


def _assigned(owner: ast.AST) -> dict[str, list[ast.expr | None]]:
    found: dict[str, list[ast.expr | None]] = {}
    plain: set[ast.AST] = set()
    for node in own_nodes(owner):
        value: ast.expr | None
        if isinstance(node, ast.Assign):
            targets, value = node.targets, node.value
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            targets, value = [node.target], node.value
        else:
            continue
        for target in targets:
            if isinstance(target, ast.Name):
                plain.add(target)
                if value is not None:
                    found.setdefault(target.id, []).append(value)
    # `|=` adds to what is there, and is followed by whoever follows dictionaries.
    plain |= {
        node.target for node in own_nodes(owner) if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.BitOr)
    }
    for node in own_nodes(owner):
        # Whatever else gives a name a value: a loop, `with`, unpacking, `+=`, `del`; which one, nobody can tell.
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load) and node not in plain:
            found.setdefault(node.id, []).append(None)
        elif isinstance(node, ast.ExceptHandler) and node.name is not None:
            found.setdefault(node.name, []).append(None)
    return found


def _class_value(node: ast.ClassDef, name: str) -> str | None:
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.target.id == name:
            value = each.value
            return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else None
    return None


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
