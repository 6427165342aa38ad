"""`lychgate audit purge`: what is older than it is kept goes, now."""

from typing import Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_rows


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and take nothing away.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take away rows that are older than they are kept (audit.retention), partitions whole where none of them stays.

    Whoever writes the store does this by itself every audit.retention.every_s. Exit code 1 if something had to be left
    for the next run, or another purge is at it.
    """
    from prometheus_client import CollectorRegistry

    from audit.keeper.jobs import Connection, alone
    from audit.keeper.retention import Outcome, plan
    from audit.keeper.retention import purge as take_away
    from audit.metrics import PurgeMetrics
    from lychgate.keeping import as_keeper
    from lychgate.settings import Settings

    async def work(connection: Connection, settings: Settings) -> Outcome | None:
        if dry_run:
            steps = await plan(connection, settings.audit.retention)
            return Outcome(steps, {step.partition: step.how for step in steps if step.how == "unsealed"})
        async with alone(connection, "purge") as ours:
            if not ours:
                return None
            return await take_away(connection, settings.audit.retention, PurgeMetrics(CollectorRegistry()))

    outcome = as_keeper(config, work)
    if outcome is None:
        typer.echo("another purge is at it", err=True)
        raise typer.Exit(ExitCode.FINDING)
    print_rows("would go" if dry_run else "gone", [step._asdict() for step in outcome.steps], as_json=as_json)
    for partition, reason in outcome.postponed.items():
        typer.echo(f"{partition}: left for the next run: {_WHY[reason]}", err=True)
    raise typer.Exit(ExitCode.FINDING if outcome.postponed else ExitCode.SUCCESS)


_WHY = {"lock": "somebody holds it for longer than 2 s", "unsealed": "it is not sealed yet"}


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=example("lychgate audit purge --dry-run", "lychgate audit purge --json"))(purge)
