"""`lychgate up`: everything on one machine."""

import sys
from typing import Annotated

import typer

from lychgate.commands.report import ConfigOption, LogFormatOption, example
from lychgate.logs import LogFormat, configure


def up(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the facts as one JSON line, then keep running.")
    ] = False,
    free_ports: Annotated[
        bool, typer.Option("--free-ports", help="Take free ports instead of the configured.")
    ] = False,
    config: ConfigOption = None,
    log_format: LogFormatOption = LogFormat.CONSOLE,
) -> None:
    """Run everything on one machine.

    PostgreSQL from the wheel, the development issuer, the sample services, the gateway and the query API. Prints
    URLs, one token per role and three requests to try. Ctrl-C stops all of it.
    """
    configure(log_format)
    from lychgate.settings import load, or_built_in
    from lychgate.up.stack import Stack, stop_signals
    from lychgate.up.summary import Summary

    def say(line: str) -> None:
        sys.stderr.write(f"up: {line}\n")
        sys.stderr.flush()

    def ready(summary: Summary) -> None:
        if as_json:
            sys.stdout.write(summary.json() + "\n")
            sys.stdout.flush()
        else:
            from rich.console import Console

            summary.show(Console())

    found = or_built_in(config)
    if found != config:
        say(f"no lychgate.yaml here: running with {found}; `lychgate init` writes what it names here, to be edited")
    with stop_signals() as stop:
        Stack(load(found), found, free_ports=free_ports, say=say, stop=stop).run(ready)


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=example("lychgate up", "lychgate up --json --free-ports"))(up)
