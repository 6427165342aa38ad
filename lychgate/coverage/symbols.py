"""What an expression can stand for, as far as it is known without running anything."""

import ast
from dataclasses import dataclass
from typing import TypeAlias

from lychgate.coverage.program import FunctionNode
from lychgate.coverage.source import Module


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a name is looked up.

    Attributes:
        module: The module.
        functions: The functions around, outermost first.
        owner: The class whose method the innermost of them is.
    """

    module: Module
    functions: tuple[FunctionNode, ...] = ()
    owner: "Class | None" = None

    def within(self, function: FunctionNode, owner: "Class | None" = None) -> "Scope":
        """Inside a function."""
        return Scope(self.module, (*self.functions, function), owner)


@dataclass(frozen=True, slots=True)
class Class:
    """A class whose code is at hand."""

    module: Module
    node: ast.ClassDef
    scope: Scope

    @property
    def dotted(self) -> str:
        """`shop.store.Store`."""
        return f"{self.module.name}.{self.node.name}"


@dataclass(frozen=True, slots=True)
class Function:
    """A function or method whose code is at hand.

    Attributes:
        scope: Where it is defined.
        owner: Its class.
        by: The class it was asked of, where that is another than `owner`.
    """

    module: Module
    node: FunctionNode
    scope: Scope
    owner: Class | None = None

    @property
    def dotted(self) -> str:
        """`shop.store.Store.put`."""
        return f"{self.owner.dotted if self.owner else self.module.name}.{self.node.name}"

    @property
    def inside(self) -> Scope:
        """The scope of its body."""
        return self.scope.within(self.node, self.owner)

    @property
    def is_async(self) -> bool:
        """Whether a call only makes a coroutine."""
        return isinstance(self.node, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class ModuleRef:
    """A module whose code is at hand."""

    module: Module


@dataclass(frozen=True, slots=True)
class External:
    """Something of a module whose code is not at hand: `sqlalchemy.orm.Session`."""

    dotted: str


@dataclass(frozen=True, slots=True)
class Instance:
    """An object of a class; of an external function, whatever that returns."""

    of: Class | External


Symbol: TypeAlias = Class | Function | ModuleRef | External | Instance


def dotted_text(node: ast.expr) -> str:
    """What is called, as it is written, without arguments: `self.db.session.add`, `get_audit().emit`."""
    parts: list[str] = []
    while True:
        match node:
            case ast.Attribute(value=inner, attr=attr):
                parts.append(attr)
                node = inner
            case ast.Call(func=inner):
                node = inner
            case ast.Subscript(value=inner, slice=ast.Constant(value=str(key))):
                parts.append(key)
                node = inner
            case ast.Subscript(value=inner) | ast.Await(value=inner):
                node = inner
            case ast.Name(id=name):
                parts.append(name)
                return ".".join(reversed(parts))
            case _:
                parts.append("?")
                return ".".join(reversed(parts))
