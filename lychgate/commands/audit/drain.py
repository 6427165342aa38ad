"""`lychgate audit spool drain`: emptying a disk before it is deleted."""

from pathlib import Path
from typing import Annotated

import typer

from lychgate.commands.audit.wanted import root_of, unreadable
from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, LogFormatOption, example, print_rows
from lychgate.errors import ConfigurationError
from lychgate.logs import LogFormat, configure


def drain(
    source: Annotated[
        Path | None, typer.Option("--from", help="A spool folder nobody uses.", show_default="the configured one")
    ] = None,
    within_s: Annotated[float, typer.Option(min=1.0, help="How long the store or the broker is tried.")] = 300.0,
    config: ConfigOption = None,
    log_format: LogFormatOption = LogFormat.JSON,
    as_json: JsonOption = False,
) -> None:
    """Deliver everything, end every producer, and say whether the disk may be deleted.

    Numbers that a killed producer left missing are named in an audit.loss event, as its successor would have done.
    Refused while anybody records there. Exit code 1 if something is left or must be looked at first. Repeating it
    is harmless.
    """
    configure(log_format)
    import asyncio

    from audit.errors import AuditError, SpoolBusy, WrongRole
    from audit.relay.drain import drain as empty
    from audit.relay.drain import overlooked
    from lychgate.settings import load

    settings = load(config)
    root = root_of(source or settings.audit.spool.folder, config)
    try:
        found = asyncio.run(empty(root, settings.audit, settings.store, within_s=within_s))
        beside = overlooked(root, found)
    except SpoolBusy as exc:
        typer.echo(f"lychgate: {exc}", err=True)
        raise typer.Exit(ExitCode.FINDING) from exc
    except WrongRole as exc:
        raise ConfigurationError(str(exc)) from exc
    except (AuditError, OSError) as exc:
        raise unreadable(exc) from exc
    print_rows(f"drained {root}", [{**each._asdict(), "clear": each.clear} for each in found], as_json=as_json)
    for folder in beside:
        typer.echo(f"lychgate: {folder}: not drained, because it does not stand in {root}; name its parent", err=True)
    raise typer.Exit(ExitCode.SUCCESS if all(each.clear for each in found) and not beside else ExitCode.FINDING)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(
        epilog=example(
            "lychgate audit spool drain --from /var/lib/lychgate/spool",
            "lychgate audit spool drain --within-s 60 --json",
        )
    )(drain)
