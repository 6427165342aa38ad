"""The modules of a service by name, and what each binds at its top level.

A module that is imported and lies below one of the roots is read when it is first asked for, so that calls can be
followed into it; what lies elsewhere is a stranger's (`External`).
"""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from lychgate.coverage.source import Module, Unreadable, read

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Imported:
    """A name that an import binds.

    Attributes:
        module: `shop.store`.
        name: Of the thing in it; none where the module itself is meant.
    """

    module: str
    name: str | None


@dataclass(frozen=True, slots=True)
class Annotated:
    """A name that has a type and perhaps a value."""

    annotation: ast.expr
    value: ast.expr | None


@dataclass(frozen=True, slots=True)
class Entered:
    """A name that a `with` binds."""

    context: ast.expr


@dataclass(frozen=True, slots=True)
class Unclear:
    """A name that is bound to something nobody can read: a loop's, an unpacked one's."""


Binding: TypeAlias = FunctionNode | ast.ClassDef | Imported | Annotated | Entered | Unclear | ast.expr
"""An expression is the value of an assignment."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a block binds.

    Attributes:
        bound: Name to every binding, in order.
        stars: Modules of which everything is imported.
    """

    bound: dict[str, list[Binding]] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)


class Program:
    """Every module that is looked at.

    Args:
        roots: Folders from which modules are imported.
        shown_from: What shown paths start at.
    """

    def __init__(self, roots: Sequence[Path], shown_from: Path) -> None:
        self._roots = [root.resolve() for root in roots]
        self._shown_from = shown_from.resolve()
        self._modules: dict[str, Module | None] = {}
        self._names: dict[ast.AST, Names] = {}

    def shown(self, file: Path) -> str:
        """A file as the report shows it."""
        whole = file.absolute()
        for path in (whole, whole.resolve()):
            if path.is_relative_to(self._shown_from):
                return path.relative_to(self._shown_from).as_posix()
        return whole.as_posix()

    def add(self, file: Path) -> Module | Unreadable:
        """Read a file of the service."""
        name = self._name(file)
        if known := self._modules.get(name):
            return known
        found = read(file, name, self.shown(file))
        self._modules[name] = found if isinstance(found, Module) else None
        return found

    def module(self, name: str) -> Module | None:
        """The module of that name, if it lies below a root and can be read."""
        if name not in self._modules:
            self._modules[name] = self._find(name)
        return self._modules[name]

    def names(self, module: Module, block: ast.AST) -> Names:
        """What a module, class or function binds."""
        if block not in self._names:
            names = Names()
            body: list[ast.stmt] = getattr(block, "body", [])
            for statement in body:
                _bind(statement, names, module)
            self._names[block] = names
        return self._names[block]

    def _name(self, file: Path) -> str:
        path = file.resolve()
        best = max(
            (root for root in self._roots if path.is_relative_to(root)), key=lambda r: len(r.parts), default=None
        )
        inside = path.relative_to(best) if best else Path(path.name)
        parts = inside.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)

    def _find(self, name: str) -> Module | None:
        parts = name.split(".")
        if not all(part.isidentifier() for part in parts):
            return None
        for root in self._roots:
            for file in (root.joinpath(*parts).with_suffix(".py"), root.joinpath(*parts, "__init__.py")):
                if file.is_file() and file.resolve().is_relative_to(root):
                    found = read(file, name, self.shown(file))
                    return found if isinstance(found, Module) else None
        return None


def package_root(path: Path) -> Path:
    """The folder that a file or a package is imported from: above the last folder with an `__init__.py`."""
    folder = path if path.is_dir() else path.parent
    folder = folder.resolve()
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    return folder


def nested(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A statement and those in its blocks, not those of a function or a class in it."""
    yield statement
    if isinstance(statement, FunctionNode | ast.ClassDef):
        return
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(statement, part, []):
            if isinstance(inner, ast.ExceptHandler | ast.match_case):
                for deeper in inner.body:
                    yield from nested(deeper)
            else:
                yield from nested(inner)


def _bind(statement: ast.stmt, names: Names, module: Module) -> None:
    for node in nested(statement):
        for name, binding in _bindings(node, module, names):
            names.bound.setdefault(name, []).append(binding)


def _bindings(  # noqa: PLR0912, C901 - the language's ways to bind
    node: ast.stmt, module: Module, names: Names
) -> Iterator[tuple[str, Binding]]:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name, node
        case ast.Import():
            for alias in node.names:
                whole = alias.name if alias.asname else alias.name.partition(".")[0]
                yield alias.asname or whole, Imported(whole, None)
        case ast.ImportFrom():
            source = absolute(node, module)
            for alias in node.names:
                if alias.name == "*":
                    names.stars.append(source)
                else:
                    yield alias.asname or alias.name, Imported(source, alias.name)
        case ast.Assign():
            for target in node.targets:
                yield from _targets(target, node.value)
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name, Annotated(node.annotation, node.value)
        case ast.For() | ast.AsyncFor():
            yield from _targets(node.target, None)
        case ast.With() | ast.AsyncWith():
            for item in node.items:
                if isinstance(item.optional_vars, ast.Name):
                    yield item.optional_vars.id, Entered(item.context_expr)
                elif item.optional_vars is not None:
                    yield from _targets(item.optional_vars, None)
        case _:
            pass
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            for walrus in ast.walk(child):
                if isinstance(walrus, ast.NamedExpr) and isinstance(walrus.target, ast.Name):
                    yield walrus.target.id, walrus.value


def _targets(target: ast.expr, value: ast.expr | None) -> Iterator[tuple[str, Binding]]:
    if isinstance(target, ast.Name):
        yield target.id, value if value is not None else Unclear()
    elif isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _targets(part, None)
    elif isinstance(target, ast.Starred):
        yield from _targets(target.value, None)


def imports(module: Module) -> Iterator[str]:
    """Every name that a module imports, anywhere in it, that may be a module's."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = absolute(node, module)
            yield source
            yield from (f"{source}.{alias.name}" if source else alias.name for alias in node.names)


def absolute(node: ast.ImportFrom, module: Module) -> str:
    """The module an import is from, its dots resolved."""
    if not node.level:
        return node.module or ""
    parts = module.name.split(".")
    up = node.level - 1 if module.is_package else node.level
    above = parts[: len(parts) - up] if up <= len(parts) else []
    return ".".join([*above, *([node.module] if node.module else [])])
