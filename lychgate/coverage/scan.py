"""Services -> a report: reads the files, finds the handlers, judges each."""

from collections.abc import Sequence
from pathlib import Path

from lychgate.coverage.configuration import Target
from lychgate.coverage.discovery import Found, discover
from lychgate.coverage.judge import Judge
from lychgate.coverage.model import Finding, Place, Report, Service
from lychgate.coverage.program import Program, package_root
from lychgate.coverage.resolve import Resolver
from lychgate.coverage.source import Module, Unreadable, files
from lychgate.coverage.vocabulary import Vocabulary


def scan(targets: Sequence[Target], shown_from: Path) -> Report:
    """Judge every handler of some services.

    Args:
        targets: Which.
        shown_from: The folder that shown paths start at.
    """
    return Report(tuple(_service(target, shown_from) for target in targets))


def _service(target: Target, shown_from: Path) -> Service:
    roots = dict.fromkeys(map(package_root, target.paths))
    program = Program(list(roots), shown_from)
    modules: list[Module] = []
    findings: list[Finding] = []
    for file in files(target.paths, target.told.exclude):
        read = file if isinstance(file, Unreadable) else program.add(file)
        if isinstance(read, Unreadable):
            shown = program.shown(Path(read.file)) if isinstance(file, Unreadable) else read.file
            findings.append(Finding(Place(shown, read.line), "unreadable", read.reason))
        else:
            modules.append(read)
    resolver = Resolver(program)
    judge = Judge(target.name, Vocabulary(resolver, target.own), resolver)
    handlers = [judge.judge(found) for found in _found(resolver, modules, findings)]
    if not handlers and not target.rest:
        place = Place(program.shown(target.paths[0]), 0)
        findings.append(Finding(place, "no-handlers", f"no handler was found in {len(modules)} files"))
    return Service(target.name, tuple(handlers), tuple(findings), len(modules), target.told.fail_under)


def _found(resolver: Resolver, modules: list[Module], findings: list[Finding]) -> list[Found]:
    """The handlers; a module that nests too deep is left out, and said to be."""
    try:
        return discover(resolver, modules)
    except RecursionError:
        kept: list[Module] = []
        for module in modules:
            try:
                discover(resolver, [module])
            except RecursionError:
                findings.append(Finding(Place(module.shown, 0), "unreadable", "nests too deep to be read"))
            else:
                kept.append(module)
        return discover(resolver, kept) if kept != modules else []
