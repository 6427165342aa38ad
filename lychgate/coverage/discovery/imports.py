"""Which packages a module imports: what framework its handlers are of where nothing else says."""

import ast

from lychgate.coverage.source import Module

_GUESSES = ("fastapi", "flask", "aiohttp", "starlette", "django")


class Imports:
    """Looks through each module once: a module has as many functions as it likes."""

    def __init__(self) -> None:
        self._known: dict[int, set[str]] = {}

    def any_of(self, module: Module, *roots: str) -> bool:
        """Whether a module imports something of one of these packages, anywhere in it."""
        if id(module) not in self._known:
            found: set[str] = set()
            for node in ast.walk(module.tree):
                if isinstance(node, ast.ImportFrom):
                    found.add((node.module or "").partition(".")[0])
                elif isinstance(node, ast.Import):
                    found |= {it.name.partition(".")[0] for it in node.names}
            self._known[id(module)] = found
        return not self._known[id(module)].isdisjoint(roots)

    def guess(self, module: Module) -> str:
        """The framework that a module imports; `?` where it is none of ours."""
        return next((name for name in _GUESSES if self.any_of(module, name)), "?")
