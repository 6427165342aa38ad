"""The path a router or blueprint is reached by: its own prefix, and those under which it is included."""

import ast
from collections.abc import Sequence
from typing import Final, TypeAlias

from lychgate.coverage.program import Annotated, Imported
from lychgate.coverage.resolve import Resolver
from lychgate.coverage.source import Module
from lychgate.coverage.symbols import ModuleRef, Scope, dotted_text

Home: TypeAlias = tuple[str, str]
"""The module and the name that something was made under."""

_DEPTH: Final = 6
_INCLUDING: Final = {"include_router", "register_blueprint"}


class Prefixes:
    """Knows where what is included.

    Args:
        resolver: The service's names.
        walked: Every call, with its scope.
    """

    def __init__(self, resolver: Resolver, walked: Sequence[tuple[ast.AST, Scope]]) -> None:
        self._resolver = resolver
        self._included: dict[Home, tuple[Home | None, str]] = {}
        for node, scope in walked:
            match node:
                case ast.Call(func=ast.Attribute(attr=word, value=outer), args=[inner, *_]) if word in _INCLUDING:
                    home = self._home(inner, scope)
                    given = next((it.value for it in node.keywords if it.arg in {"prefix", "url_prefix"}), None)
                    if home is not None and home not in self._included:
                        self._included[home] = (self._home(outer, scope), self.text(given, scope) or "")

    def of(self, owner: ast.expr, scope: Scope, path: str | None) -> str | None:
        """The whole path of a route of `owner`; none where its own is not known."""
        if path is None:
            return None
        home = self._home(owner, scope)
        whole = path
        for _ in range(_DEPTH):
            if home is None:
                break
            above, prefix = self._included.get(home, (None, ""))
            whole = f"{prefix}{self._own(home)}{whole}"
            home = above
        return whole

    def around(self, owner: ast.expr, scope: Scope) -> list[tuple[ast.expr, Scope]]:
        """What is given as `dependencies` where a router is made, with the scope it stands in."""
        home = self._home(owner, scope)
        made = self._made(home) if home is not None else None
        if made is None:
            return []
        call, module = made
        return [(it.value, Scope(module)) for it in call.keywords if it.arg == "dependencies"]

    def _own(self, home: Home) -> str:
        """The prefix that is given where a router is made."""
        made = self._made(home)
        if made is None:
            return ""
        call, module = made
        given = next((it.value for it in call.keywords if it.arg in {"prefix", "url_prefix"}), None)
        return self.text(given, Scope(module)) or ""

    def _made(self, home: Home) -> tuple[ast.Call, Module] | None:
        """The call that makes a router; none where two may have made it."""
        module = self._resolver.program.module(home[0])
        if module is None:
            return None
        found = self._resolver.program.names(module, module.tree).bound.get(home[1], [])
        calls = [made for it in found if isinstance(made := it.value if isinstance(it, Annotated) else it, ast.Call)]
        return (calls[0], module) if len(calls) == 1 == len(found) else None

    def _home(self, node: ast.expr, scope: Scope) -> Home | None:
        """Where a name was made, through imports."""
        text = dotted_text(node)
        name, _, rest = text.partition(".")
        module: Module | None = scope.module
        for _ in range(_DEPTH):
            if module is None:
                return None
            found = self._resolver.program.names(module, module.tree).bound.get(name, [])
            if len(found) == 1 and isinstance(found[0], Imported):
                imported = found[0]
                symbol = self._resolver.imported(module, name)
                if isinstance(symbol, ModuleRef) and rest:
                    module, (name, _, rest) = symbol.module, rest.partition(".")
                    continue
                if imported.name is None:
                    return None
                module, name = self._resolver.program.module(imported.module), imported.name
                continue
            return (module.name, name)
        return None

    def constant(self, node: ast.expr, scope: Scope) -> ast.expr | None:
        """The expression that a constant was given, through imports."""
        home = self._home(node, scope)
        module = self._resolver.program.module(home[0]) if home else None
        if home is None or module is None:
            return None
        for function in reversed(scope.functions):
            local = self._resolver.program.names(scope.module, function).bound.get(home[1], [])
            if len(local) == 1 and isinstance(local[0], ast.expr):
                return local[0]
        found = self._resolver.program.names(module, module.tree).bound.get(home[1], [])
        made = [it.value if isinstance(it, Annotated) else it for it in found]
        return made[0] if len(made) == 1 and isinstance(made[0], ast.expr) else None

    def text(self, node: ast.expr | None, scope: Scope) -> str | None:
        """A text, as far as it is one."""
        match node:
            case ast.Constant(value=str(text)):
                return text
            case ast.Name() | ast.Attribute():
                found = self.constant(node, scope)
                return self.text(found, scope) if isinstance(found, ast.Constant | ast.JoinedStr) else None
            case ast.BinOp(op=ast.Add(), left=left, right=right):
                one, two = self.text(left, scope), self.text(right, scope)
                return None if one is None or two is None else one + two
            case ast.JoinedStr(values=values):
                parts = [
                    self.text(it.value if isinstance(it, ast.FormattedValue) else it, scope) or "{...}" for it in values
                ]
                return "".join(parts)
            case _:
                pass
        return None
