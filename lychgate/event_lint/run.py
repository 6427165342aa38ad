"""From paths to findings: reads, follows every emit to its callers, judges, and hears the comments."""

import ast
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from audit.redact.names import KeyNames
from audit.registry.classes import attribute, services
from audit.registry.model import Registry
from lychgate.event_lint.emits import Emit, emits
from lychgate.event_lint.fields import said
from lychgate.event_lint.ignore import unsilenced
from lychgate.event_lint.index import Module, Project
from lychgate.event_lint.judge import Judge, finding
from lychgate.event_lint.scope import Place, Scope, Untold, event_types, is_typed
from lychgate.event_lint.source import read_sources
from policies.errors import Finding

_TOLD_HOPS: Final = 2
"""So far are values followed that callers of a function hand over to an event that it names itself."""
_HOPS: Final = 6
"""Functions that hand an event's type on, one to the next: ours have three. Beyond this it cannot be told."""


def lint(
    paths: Sequence[Path],
    registry: Registry,
    *,
    ways: Collection[str] = (),
    secrets: Collection[str] = (),
    complete: bool = False,
) -> list[Finding]:
    """What is wrong with the emits in some files.

    Args:
        paths: Files and folders.
        registry: What events there are.
        ways: Functions besides ours whose first argument is an event's type.
        secrets: Names of secrets besides the built-in ones.
        complete: Whether the files are all that emit: then a type that none emits is a finding.

    Returns:
        Findings, sorted by place, each once, without those a comment silences.
    """
    sources, findings = read_sources(paths)
    run = _Run(Project(sources, registry), registry, KeyNames(secrets))
    findings += run.findings(ways)
    if complete:
        findings += run.idle()
    return unsilenced(findings, sources)


class _Run:
    def __init__(self, project: Project, registry: Registry, names: KeyNames) -> None:
        self._project = project
        self._registry = registry
        self._judge = Judge(registry, names)
        self._emitted: set[str] = set()

    def findings(self, ways: Collection[str]) -> Iterator[Finding]:
        """Of every emit, every change, every typed class."""
        for emit in emits(self._project, ways):
            yield from self._judge.leaks(emit, emit.scope)
            yield from self._follow(emit, emit.scope, (emit.call, emit.scope))
        for module in self._project.modules:
            for call in module.calls:
                scope = Scope(self._project, module, module.function_of(call))
                if module.qualified(call.func).endswith("audit.event.Change"):
                    yield from self._judge.changes(module, call, scope)
                typed = self._project.typed_class(call, module)
                if typed is not None:
                    self._emitted.add(typed)
            for name in self._named(module):
                self._emitted.add(name)
        for module, node, event in self._project.typed:
            yield from self._of_class(module, node, event)

    def idle(self) -> Iterator[Finding]:
        """Registered types that nothing emits."""
        for name, entry in self._registry.types.items():
            if name not in self._emitted and entry.retired is None:
                file, line = self._registry.places.get(name, ("", 0))
                yield Finding(file, line, 1 if line else 0, f"nothing here emits `{name}`", "never-emitted")

    def _follow(self, emit: Emit, scope: Scope, site: Place, hops: int = 0, *, told: bool = False) -> Iterator[Finding]:
        """Judge an emit where its type is known, and what it is handed at each caller of the function it is in.

        Args:
            emit: The call that emits.
            scope: Where it stands, with the callers on the way bound.
            site: The outermost call on the way.
            hops: How many callers there are on the way.
            told: Whether it has been judged already: then its callers only answer for what they hand over.
        """
        node, place = site
        names = event_types(emit.event, scope) if emit.event is not None else Untold.UNKNOWN
        handed = "details" in emit.said and said(emit.said["details"], scope).handed
        outer = scope.outermost().function
        sites = list(self._project.sites(outer)) if outer is not None else []
        if hops:
            yield from self._judge.leaks(emit, scope)
        if isinstance(names, frozenset):
            self._emitted |= names
            known = names & self._registry.types.keys()
            if told:
                yield from self._judge.handed(emit, known, scope)
            else:
                yield from self._judge.unregistered(names, site)
            if not told and not (handed and sites):
                told = True
                yield from self._judged(emit, known, scope, site)
                if handed and outer is not None and not outer.is_open:
                    yield finding(place.module, node, "details-untold", "what the details are, nobody here says")
        elif names is Untold.UNKNOWN:
            yield finding(place.module, node, "event-untold", "of which type this is cannot be told")
            return
        elif not sites and outer is not None and not outer.is_open:
            yield finding(place.module, node, "event-untold", f"nobody here says what `{outer.name}` emits")
        for module, call in sites if outer is not None and hops < (_TOLD_HOPS if told else _HOPS) else ():
            bindings = outer.bind(call) if outer is not None else None
            caller = Scope(self._project, module, module.function_of(call))
            if bindings is not None:
                yield from self._follow(emit, scope.bound(bindings, caller), (call, caller), hops + 1, told=told)

    def _judged(self, emit: Emit, known: Collection[str], scope: Scope, site: Place) -> Iterator[Finding]:
        """An emit whose type is known, at the call that says so."""
        typed = self._is_typed(emit.call, emit.scope) or self._is_typed(*site)
        yield from self._judge.emit(emit, known, scope, site, typed=typed)
        if emit.untold:
            yield finding(emit.scope.module, emit.call, "details-untold", "what `**` brings cannot be told")

    def _is_typed(self, node: ast.AST, scope: Scope) -> bool:
        """Whether a call is handed a typed event, or its class."""
        given = [*node.args, *(each.value for each in node.keywords)] if isinstance(node, ast.Call) else []
        return any(is_typed(each, scope) for each in given)

    def _named(self, module: Module) -> Iterator[str]:
        """Types whose class is handed to something: `desk.changing(OrderCreated)`."""
        for call in module.calls:
            for value in (*call.args, *(each.value for each in call.keywords)):
                if isinstance(value, ast.Name | ast.Attribute):
                    typed = self._project.typed_class(value, module)
                    if typed is not None:
                        yield typed

    def _of_class(self, module: Module, node: ast.ClassDef, event: str | None) -> Iterator[Finding]:
        """A typed class that is not, or no longer, the registry's."""
        if event is None:
            if any(isinstance(each, ast.AnnAssign) for each in node.body):
                yield finding(module, node, "event-untold", f"`{node.name}` does not say of which type it is")
            return
        if event not in self._registry.types:
            yield from self._judge.unregistered([event], (node, Scope(self._project, module)))
            return
        generated = {name for names in services(self._registry).values() for name in names}
        wanted = {attribute(name) for name in self._registry.types[event].details}
        found = {
            each.target.id
            for each in node.body
            if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and not _is_class_wide(each)
        }
        for name in sorted(found ^ wanted) if event in generated else ():
            said_where = "registered and not in" if name in wanted else "not registered and in"
            yield finding(module, node, "stale-class", f"`{name}` is {said_where} `{node.name}`")


def _is_class_wide(each: ast.AnnAssign) -> bool:
    annotation = each.annotation
    return isinstance(annotation, ast.Subscript) and getattr(annotation.value, "id", "") == "ClassVar"
