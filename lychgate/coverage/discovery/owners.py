"""What handlers are registered at: an application, a router, or something that may be one. Pure."""

import ast

from lychgate.coverage.discovery import frameworks
from lychgate.coverage.resolve import Resolver
from lychgate.coverage.symbols import Class, External, Instance, Symbol


def framework_of(resolver: Resolver, owner: Symbol | None) -> str | None:
    """The framework of what handlers are registered at; none where it is not known to be one."""
    match owner:
        case External(dotted=dotted):  # app.router, app.router.routes
            return next((it for name, it in frameworks.APPS.items() if dotted.startswith(f"{name}.")), None)
        case Instance(of=Class() as cls):
            names = [it.dotted for it in resolver.lineage(cls) if isinstance(it, External)]
            return next((frameworks.APPS[name] for name in names if name in frameworks.APPS), None)
        case Instance(of=External(dotted=dotted)):
            return frameworks.APPS.get(dotted)
        case _:
            return None


def may_be_an_app(resolver: Resolver, owner: Symbol | None) -> bool:
    """Whether handlers may be registered at something that nobody knows: better one too many than one unseen."""
    match owner:
        case None:
            return True
        case External(dotted=dotted) | Instance(of=External(dotted=dotted)):
            return not f"{dotted}.".startswith((*frameworks.TEST_TOOLS, "builtins."))
        case Instance(of=Class() as cls):  # of the service's own, with a base that is not at hand
            lineage = resolver.lineage(cls)
            unread = any(len(resolver.bases(it)) < len(it.node.bases) for it in lineage if isinstance(it, Class))
            return unread or any(
                isinstance(it, External) and not f"{it.dotted}.".startswith("builtins.") for it in lineage
            )
        case _:
            return False


def owner_of(decorator: ast.expr) -> ast.expr | None:
    """`app` of `@app.post("/")`."""
    match decorator:
        case ast.Call(func=ast.Attribute(value=owner)):
            return owner
        case _:
            return None


def has_path(node: ast.Call) -> bool:
    """Whether a call is given something that may be a path: the first argument, or one that is named so."""
    return bool(node.args) or keyword(node, "path", "rule") is not None


def keyword(call: ast.Call, *names: str) -> ast.expr | None:
    """What a call is given by one of these names."""
    return next((it.value for it in call.keywords if it.arg in names), None)
