"""`lychgate audit relay`: what delivers the spools of a machine that has no gateway."""

import typer

from lychgate.commands.report import ConfigOption, LogFormatOption, example
from lychgate.logs import LogFormat, configure


def relay(config: ConfigOption = None, log_format: LogFormatOption = LogFormat.JSON) -> None:
    """Deliver the spool folders below `audit.spool.folder` to the broker, or to the store where none is configured.

    For a service on a machine without a gateway, which does this for the folders of its own machine.
    """
    configure(log_format)
    from audit.relay.run import run
    from lychgate.settings import load

    settings = load(config)
    raise typer.Exit(run(settings.audit, settings.store))


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog=example("lychgate audit relay --config /etc/lychgate.yaml"))(relay)
