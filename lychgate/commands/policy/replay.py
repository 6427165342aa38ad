"""`lychgate policy replay`: what a set of policies would have answered to the requests there were."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json
from lychgate.commands.since import moment_of
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import datetime

    from lychgate.replay.recast import Recast
    from lychgate.replay.report import Report
    from lychgate.replay.run import Run
    from lychgate.settings import Settings
    from policies.bundle import Bundle

_EXAMPLES = example(
    "lychgate policy replay --policies candidate events.ndjson",
    "lychgate policy replay --policies candidate --store --since 24h --textfile /var/lib/node_exporter/replay.prom",
    "lychgate audit spool dump | lychgate policy replay --policies candidate --expected expected.yaml -",
)


def replay(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Recorded events, one JSON a line; - to read here.")
    ] = None,
    policies: Annotated[
        Path | None,
        typer.Option(
            "--policies",
            help="The candidate: a folder, or a bundle signed by a configured key.",
            show_default="what is configured",
        ),
    ] = None,
    roles: Annotated[
        Path | None, typer.Option("--roles", help="A role catalogue that comes with it; roles are resolved anew.")
    ] = None,
    store: Annotated[bool, typer.Option("--store", help="Read decisions from the store instead of files.")] = False,
    tenant: Annotated[
        list[str] | None,
        typer.Option("--tenant", help="Of these tenants; - for events of none.", show_default="all configured"),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help="From then, inclusive: RFC 3339, or 90m, 24h, 7d before now.")
    ] = None,
    until: Annotated[str | None, typer.Option("--until", help="To then, exclusive; as --since.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="The newest so many of each tenant.")] = None,
    expected: Annotated[Path | None, typer.Option("--expected", help="Flips that are meant, as YAML.")] = None,
    reasons: Annotated[
        bool, typer.Option("--reasons", help="Other policies behind the same answer are a flip.")
    ] = False,
    examples: Annotated[int, typer.Option("--examples", min=0, max=1000, help="Ids shown of each group.")] = 5,
    textfile: Annotated[
        Path | None, typer.Option("--textfile", help="Write auth_regression_incidents here, for node_exporter.")
    ] = None,
    record: Annotated[bool, typer.Option("--record", help="Write the result to the audit, as an event.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Decide recorded requests again by a candidate set of policies and show every decision that comes out otherwise.

    Exit code 1 if any does that --expected does not list. What cannot be decided from the record is listed, and never
    guessed.
    """
    from lychgate.clock import utc_now
    from lychgate.replay.expected import read_expected
    from lychgate.replay.report import Report
    from lychgate.replay.run import Run, known_bundles, make_replay
    from lychgate.settings import load
    from policies.replay.tally import Tally

    if store == bool(files):
        raise ConfigurationError("give either files with recorded events or --store")
    if not store and (tenant or since or until or limit):
        raise ConfigurationError("--tenant, --since, --until and --limit choose from the store: give --store")
    settings = load(config)
    expectations = read_expected(expected) if expected is not None else []
    candidate, recast = _candidate(settings, policies, roles)
    known = known_bundles(settings.policies.origin())
    decide = make_replay(candidate, known, strict=settings.policies.strict, same_reasons=reasons)
    tally = Tally(examples)
    run = Run(decide, tally, recast)
    now = utc_now()
    if store:
        begin, end = moment_of(since, now, "--since"), moment_of(until, now, "--until")
        _from_store(run, settings, tenant or [], begin, end, limit)
    else:
        from lychgate.replay.lines import lines

        run.take_all(lines(files or []))
    if not tally.decisions:  # who compares nothing must not be told that nothing differs
        others = sum(tally.ignored.values())
        raise ConfigurationError(f"no decision was found: {others} other events, {tally.malformed} malformed lines")
    report = Report(candidate.version, tally, tally.flips(expectations), tally.unmet(expectations))
    _leave(report, settings, textfile, record=record)
    if as_json:
        print_json(report.as_json())
    else:
        for line in report.as_lines():
            typer.echo(line)
    raise typer.Exit(ExitCode.FINDING if report.incidents else ExitCode.SUCCESS)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=_EXAMPLES)(replay)


def _candidate(settings: "Settings", policies: Path | None, roles: Path | None) -> "tuple[Bundle, Recast | None]":
    """The candidate; and what gives callers their roles anew, where it comes with a catalogue of its own."""
    from msgspec.structs import replace

    from lychgate.findings import catalogue_of
    from lychgate.replay.recast import Recast
    from lychgate.replay.run import candidate_rules

    origin = settings.policies.origin()
    if policies is not None:
        if policies.is_file() and origin.bundle is None:
            raise ConfigurationError(
                f"--policies {policies}: a file; to read bundles, `policies.bundle` must be configured"
            )
        origin = replace(origin, folder=policies, bundle=policies if policies.is_file() else None)
    given = catalogue_of(roles) if roles is not None else None
    candidate, packed = candidate_rules(origin, given, settings.gateway.roles_file)
    if policies is None:
        packed = None  # what is configured has decided with its own
    own = given or packed
    return candidate, Recast(own) if own is not None else None


def _from_store(
    run: "Run",
    settings: "Settings",
    named: list[str],
    since: "datetime | None",
    until: "datetime | None",
    limit: int | None,
) -> None:
    import asyncio

    from lychgate.replay.store import decisions, tenants_of

    tenants = tenants_of(settings.issuers, named)
    asyncio.run(run.take_from(decisions(settings.store, tenants, since, until, limit)))


def _leave(report: "Report", settings: "Settings", textfile: Path | None, *, record: bool) -> None:
    """Write the metric and the event, where they are wanted; before anything is printed, so that an error ends it."""
    import asyncio

    from lychgate.clock import utc_now
    from lychgate.replay.entry import deliver, replay_event
    from lychgate.replay.metrics import write_textfile

    now = utc_now()
    if textfile is not None:
        write_textfile(textfile, report.tally.decisions, report.flips, report.tally.undecided(), now.timestamp())
    if record:
        made = lambda event_id: replay_event(report.tally, report.flips, report.candidate, now, event_id)  # noqa: E731
        asyncio.run(deliver(made, settings.audit, settings.store))
