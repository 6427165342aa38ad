"""`lychgate policy test`: decision tables against the policies, and against mistakes in them."""

import time
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json, print_rows
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from lychgate.settings import Settings
    from policies.bundle import Bundle
    from roles.tables.case import Case
    from roles.tables.coverage import Covered
    from roles.tables.mutation import Mutation
    from roles.tables.report import Line, Reporter
    from roles.tables.run import Outcome


def run_tables(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Tables, or folders of them.", show_default="the configured one")
    ] = None,
    policies: Annotated[
        Path | None, typer.Option(help="The policies' folder.", show_default="the configured one")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--filter", metavar="PATTERN", help="Cases whose name has this in it, or fits it (*, ?, [a-z])."),
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a JUnit report as well.")] = None,
    coverage: Annotated[bool, typer.Option("--coverage", help="Which policies the cases saw decide, and not.")] = False,
    min_coverage: Annotated[
        float | None,
        typer.Option(min=0, max=100, metavar="PERCENT", help="Fail where fewer policies are seen both ways."),
    ] = None,
    mutate: Annotated[bool, typer.Option("--mutate", help="Which mistakes in policies no case would notice.")] = False,
    max_survivors: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Fail where more mistakes go unnoticed.")
    ] = None,
    allowed: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mistakes that may go unnoticed.", show_default="the configured list"),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell of every case.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run decision tables: who must be allowed what, by which policies, and which role a refusal names.

    A failure is shown as what was expected (-) and what came out (+), with the places of the case and the policies.
    Exit code 1 also stands for coverage below --min-coverage and for more unnoticed mistakes than --max-survivors;
    2 for tables or policies that cannot be read.
    """
    from lychgate.settings import load
    from roles.tables.report import Reporter, document

    settings = load(config)
    folder = policies or settings.policies.folder
    began = time.monotonic()
    bundle, cases, outcomes = _ran(settings, folder, paths or [settings.policies.tables], only)
    reporter = Reporter(bundle, folder)
    if junit is not None:
        _write_junit(junit, outcomes, reporter, time.monotonic() - began)
    # The configured list is about the configured policies.
    explained = _explained(allowed or (settings.policies.mutants_allowed if policies is None else None))
    failed = [outcome for outcome in outcomes if not outcome.passed]
    covered = _covered(outcomes, bundle, part=only is not None) if coverage or min_coverage is not None else None
    # With a case that fails anyway every mistake would be noticed.
    wanted = (mutate or max_survivors is not None) and not failed
    found = _mutated(settings, cases, bundle, part=only is not None) if wanted else None
    findings = [*_low(covered, min_coverage), *_survived(found, max_survivors, explained, part=only is not None)]
    if as_json:
        print_json({**document(outcomes, covered, found, explained[1]), "findings": findings})
    else:
        _tell(reporter, outcomes, verbose=verbose)
        _tell_more(reporter, outcomes, covered, found, explained[1])
        for finding in findings:
            typer.secho(finding, fg="red")
        if failed and (mutate or max_survivors is not None):
            typer.echo("mistakes were not tried: they are held against cases that pass")
    raise typer.Exit(ExitCode.FINDING if failed or findings else ExitCode.SUCCESS)


def _ran(
    settings: "Settings", folder: Path, paths: Iterable[Path], only: str | None
) -> "tuple[Bundle, list[Case], list[Outcome]]":
    """Everything that was asked.

    Raises:
        ConfigurationError: Policies or tables cannot be used, or no case fits the filter.
    """
    from lychgate.findings import catalogue_of
    from lychgate.tables import table_texts
    from policies.engine import Engine
    from policies.errors import PolicyErrors
    from policies.load import load_bundle
    from roles.errors import TableErrors
    from roles.tables.read import read_tables
    from roles.tables.run import run

    catalogue = catalogue_of(settings.gateway.roles_file)
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}: there is no such folder")
    try:
        bundle = load_bundle(folder)
        read = read_tables(table_texts(paths), bundle, catalogue)
        cases = [case for case in read if only is None or _fits(case.name, only)]
        if not cases:
            raise ConfigurationError(f"no case fits `{only}`")
        return bundle, cases, run(cases, Engine(bundle, strict=settings.policies.strict), catalogue)
    except (PolicyErrors, TableErrors) as exc:
        raise ConfigurationError(str(exc)) from exc


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern) if set("*?[") & set(pattern) else pattern in name


def _write_junit(file: Path, outcomes: "Sequence[Outcome]", reporter: "Reporter", seconds: float) -> None:
    from roles.tables.junit import junit

    def told(outcome: "Outcome") -> str:
        return "\n".join(text for text, _ in reporter.failure(outcome))

    try:
        file.write_text(junit(outcomes, told, seconds), encoding="utf-8")
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be written: {exc.strerror}") from exc


def _explained(file: Path | None) -> tuple[str, dict[str, str]]:
    """The list of mistakes that may go unnoticed, and its name."""
    from lychgate.tables import text_of
    from roles.errors import TableErrors
    from roles.tables.allowed import read_allowed

    if file is None:
        return "", {}
    try:
        return str(file), read_allowed(str(file), text_of(file))
    except TableErrors as exc:
        raise ConfigurationError(str(exc)) from exc


def _covered(outcomes: "Sequence[Outcome]", bundle: "Bundle", *, part: bool) -> "list[Covered]":
    """What was seen of each policy; of a part of the cases only what they ask about is expected."""
    from roles.tables.coverage import coverage

    return [each for each in coverage(outcomes, bundle) if each.asked or not part]


def _mutated(settings: "Settings", cases: "Sequence[Case]", bundle: "Bundle", *, part: bool) -> "Mutation":
    from lychgate.findings import catalogue_of
    from roles.tables.mutation import mutation

    catalogue = catalogue_of(settings.gateway.roles_file)
    return mutation(cases, bundle, catalogue, strict=settings.policies.strict, part=part)


def _low(covered: "Sequence[Covered] | None", least: float | None) -> list[str]:
    from roles.tables.coverage import percentage

    if covered is None or least is None or percentage(covered) >= least:
        return []
    return [f"coverage is {percentage(covered):.1f} %, below {least:g} %"]


def _survived(
    found: "Mutation | None", most: int | None, explained: tuple[str, Mapping[str, str]], *, part: bool
) -> list[str]:
    """What is wrong with what went unnoticed, and with the list that explains it: of a part, not all of it survives."""
    from roles.tables.allowed import stale, unexpected

    if found is None:
        return []
    file, allowed = explained
    findings = [] if part else [str(finding) for finding in stale(found.survivors, allowed, file)]
    left = len(unexpected(found.survivors, allowed))
    if most is not None and left > most:
        findings.append(f"{left} mistakes would go unnoticed, more than {most}")
    return findings


def _tell(reporter: "Reporter", outcomes: "Sequence[Outcome]", *, verbose: bool) -> None:
    from roles.tables.report import visible

    for outcome in outcomes:
        if not outcome.passed:
            for line in reporter.failure(outcome):
                _print(line)
        elif verbose:
            typer.echo(visible(f"ok   {outcome.case.place}: {outcome.case.name}"))


def _tell_more(
    reporter: "Reporter",
    outcomes: "Sequence[Outcome]",
    covered: "Sequence[Covered] | None",
    found: "Mutation | None",
    allowed: Mapping[str, str],
) -> None:
    """Coverage, mistakes and the summary."""
    from roles.tables.report import coverage_rows, summary

    if covered is not None:
        print_rows("coverage", coverage_rows(covered), as_json=False)
        for hole in reporter.holes(covered):
            typer.echo(hole)
    for mutant in found.survivors if found else ():
        place = reporter.place(mutant.file, mutant.line)
        why = f" (allowed: {allowed[mutant.name]})" if mutant.name in allowed else ""
        typer.echo(f"unnoticed {place}: {mutant.name}{why}")
    _print(summary(outcomes, covered, found))


def _print(line: "Line") -> None:
    from roles.tables.report import Tone, visible

    text, tone = line
    looks: dict[Tone, dict[str, Any]] = {Tone.BAD: {"fg": "red"}, Tone.GOOD: {"fg": "green"}, Tone.ASIDE: {"dim": True}}
    typer.secho(visible(text), **looks.get(tone, {}))  # without a terminal the colours are left out


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    lines = (
        "lychgate policy test",
        "lychgate policy test --coverage --min-coverage 100 --junit report.xml",
        "lychgate policy test tests/cases/decisions/order.yaml --filter discount -v",
        "lychgate policy test --mutate --max-survivors 0",
    )
    app.command("test", epilog=example(*lines))(run_tables)
