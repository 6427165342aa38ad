"""Services -> a report: reads the files, finds the handlers, judges each."""

from collections.abc import Sequence
from pathlib import Path

from lychgate.coverage.configuration import Target
from lychgate.coverage.discovery import Found, discover
from lychgate.coverage.judge import Judge
from lychgate.coverage.model import Finding, Place, Report, Service
from lychgate.coverage.program import Program, imports, package_root
from lychgate.coverage.resolve import Resolver
from lychgate.coverage.source import Module, Unreadable, files, named
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
    seen = list(files(target.paths, target.told.exclude))
    for file in seen:
        read = file if isinstance(file, Unreadable) else program.add(file)
        if isinstance(read, Unreadable):
            shown = program.shown(Path(read.file)) if isinstance(file, Unreadable) else read.file
            findings.append(Finding(Place(shown, read.line), "unreadable", read.reason))
        else:
            modules.append(read)
    modules += _imported(program, modules, target)
    resolver = Resolver(program)
    judge = Judge(target.name, Vocabulary(resolver, target.own), resolver)
    handlers = [judge.judge(found) for found in _found(resolver, modules, findings)]
    if not handlers and not target.rest:
        place = Place(program.shown(target.paths[0]), 0)
        findings.append(Finding(place, "no-handlers", f"no handler was found in {len(modules)} files"))
    excluded = _excluded(target, len(seen)) if target.told.exclude and not target.rest else 0
    return Service(target.name, tuple(handlers), tuple(findings), len(modules), target.told.fail_under, excluded)


def _excluded(target: Target, seen: int) -> int:
    """How many files would be looked at besides, if the service's configuration did not exclude them."""
    return sum(1 for _ in files(target.paths)) - seen


def _imported(program: Program, modules: Sequence[Module], target: Target) -> list[Module]:
    """What is called like a test or a migration, and is imported by what runs: it runs too."""
    known = {module.file.resolve() for module in modules}
    folders = [path.resolve() for path in target.paths if path.is_dir()]
    more: list[Module] = []
    waiting = [*modules]
    while waiting:
        module = waiting.pop()
        for name in imports(module):
            found = program.module(name)
            file = found.file.resolve() if found is not None else None
            if found is None or file is None or file in known:
                continue
            within = [it for it in folders if file.is_relative_to(it)]
            if within and not any(_is_left_out(file, it, target.told.exclude) for it in within):
                known.add(file)
                more.append(found)
                waiting.append(found)
    return more


def _is_left_out(file: Path, folder: Path, exclude: Sequence[str]) -> bool:
    """Whether a file or a folder on the way to it is excluded by the service's configuration."""
    way = [file, *(it for it in file.parents if it != folder and it.is_relative_to(folder))]
    return any(named(it, folder, exclude) for it in way)


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
