"""`lychgate audit coverage`: which changes of a service nobody would know of."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, plain, print_json, print_rows
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lychgate.coverage.configuration import Target
    from lychgate.coverage.model import Finding, Report

_EXAMPLES: Final = example(
    "lychgate audit coverage services --fail-under 0.90",
    "lychgate audit coverage --service shop=src/shop --diff origin/main --sarif coverage.sarif",
    "lychgate audit coverage services --observed runs.jsonl --textfile /var/lib/node_exporter/coverage.prom",
)


def coverage(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Folders or files, a service each; the configured services if none.")
    ] = None,
    service: Annotated[list[str] | None, typer.Option(help="NAME=PATH: a service with another name.")] = None,
    fail_under: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="The least ratio, of each service and all.", show_default="configured, or 1"
        ),
    ] = None,
    diff: Annotated[
        str | None,
        typer.Option(help="A git revision, or a report of --json: a handler that is newly uncovered is a finding."),
    ] = None,
    observed: Annotated[
        list[Path] | None,
        typer.Option(help="Runs that `lychgate.coverage.observer` saw; a contradiction is one."),
    ] = None,
    sarif: Annotated[Path | None, typer.Option(help="Write the findings here as SARIF 2.1.0.")] = None,
    textfile: Annotated[Path | None, typer.Option(help="Write audit_coverage_ratio here, for node_exporter.")] = None,
    handlers: Annotated[bool, typer.Option("--handlers", help="Show every handler, also those in order.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the handlers that change something, and the paths through them that emit no audit event.

    Nothing of the service is imported or run. What cannot be known counts as uncovered. Exit code 1 if the ratio is too
    low, a handler is newly uncovered, or a run contradicts what is claimed.
    """
    from lychgate.coverage.configuration import targets
    from lychgate.coverage.scan import scan
    from lychgate.coverage.written import as_json as whole
    from lychgate.settings import load

    settings = load(config).coverage
    here = Path.cwd()
    base = config.parent if config is not None else here
    found = targets(paths or [], service or [], settings, base)
    report, unseen = _compared(scan(found, here), found, diff, observed or [])
    _write(report, sarif, textfile)
    least = fail_under if fail_under is not None else settings.fail_under
    low = _too_low(report, least, told=fail_under is None)
    if as_json:
        print_json({**whole(report), "fail_under": least, "failed": [*low, *(it.code for it in report.more)]})
    else:
        _print(report, low, unseen, handlers=handlers)
    raise typer.Exit(ExitCode.FINDING if low or report.more else ExitCode.SUCCESS)


def _compared(
    report: "Report", found: "Sequence[Target]", diff: str | None, observed: list[Path]
) -> "tuple[Report, tuple[str, ...]]":
    """The report with what comparisons find."""
    from dataclasses import replace

    from lychgate.coverage.against import newly_uncovered
    from lychgate.coverage.observed import check, read_runs
    from lychgate.coverage.revision import checked_out
    from lychgate.coverage.scan import scan
    from lychgate.coverage.written import read_report

    more: list[Finding] = []
    unseen: tuple[str, ...] = ()
    if diff is not None:
        if Path(diff).is_file():
            more += newly_uncovered(read_report(Path(diff)), report)
        else:
            with checked_out(diff, found, Path.cwd()) as (former, folder):
                more += newly_uncovered(scan(former, folder), report)
    if observed:
        checked = check(report, read_runs(observed))
        if not checked.runs:
            raise ConfigurationError("--observed: no run was seen, which proves nothing")
        more += checked.findings
        unseen = checked.unseen
    return replace(report, more=tuple(more)), unseen


def _write(report: "Report", sarif: Path | None, textfile: Path | None) -> None:
    """Leave the files before anything is printed, so that an error ends the command."""
    from lychgate.clock import utc_now
    from lychgate.coverage.metrics import write_textfile
    from lychgate.coverage.written import as_sarif

    if sarif is not None:
        try:
            sarif.write_text(json.dumps(as_sarif(report), indent=2), encoding="utf-8")
        except OSError as exc:
            raise ConfigurationError(f"{sarif}: cannot be written: {exc.strerror}") from exc
    if textfile is not None:
        write_textfile(textfile, report, utc_now().timestamp())


def _too_low(report: "Report", least: float, *, told: bool) -> list[str]:
    """The services, and all, whose ratio is below what is asked of them.

    Args:
        report: The scan.
        least: Of each service and of all.
        told: Whether a service's own configuration may ask for another.
    """
    from lychgate.coverage.model import tally
    from lychgate.coverage.written import percent

    low = []
    own = False
    for service in report.services:
        wanted = service.fail_under if told and service.fail_under is not None else least
        own |= wanted != least
        if (ratio := tally(service).ratio) < wanted:
            low.append(f"{service.name}: {percent(ratio)} is below {wanted:.1%}")
    if len(report.services) > 1 and not own and (ratio := report.total.ratio) < least:
        low.append(f"all: {percent(ratio)} is below {least:.1%}")
    return low


def _print(report: "Report", low: list[str], unseen: tuple[str, ...], *, handlers: bool) -> None:
    from lychgate.coverage.codes import KINDS
    from lychgate.coverage.model import State
    from lychgate.coverage.written import service_rows

    print_rows("audit coverage", service_rows(report), as_json=False)
    if handlers:
        rows = [
            {"handler": it.name, "routes": ", ".join(map(str, it.routes)), "state": it.state.value, "place": it.place}
            for it in report.handlers
        ]
        print_rows("handlers", rows, as_json=False)
    routes = {it.name: ", ".join(map(str, it.routes)) for it in report.handlers}
    for finding in report.findings:
        of = f"{finding.handler} ({routes[finding.handler]}): " if finding.handler in routes else ""
        typer.echo(plain(f"{finding.place}: {finding.code}: {of}{finding.reason}"))
    for code in dict.fromkeys(it.code for it in report.findings):
        typer.echo(f"help: {code}: {KINDS[code].remedy}")
    for handler in report.handlers:
        if handler.state is State.IGNORED:
            typer.echo(plain(f"ignored: {handler.place}: {handler.name}: {handler.ignored}"))
    for service in report.services:
        if service.excluded:
            typer.echo(
                plain(f"not looked at: {service.name}: files that its configuration excludes: {service.excluded}")
            )
    for text in unseen:
        typer.echo(plain(f"not seen: {text}"))
    for text in low:
        typer.echo(plain(f"too low: {text}"))


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=_EXAMPLES)(coverage)
