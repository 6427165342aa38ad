"""`lychgate gateway | consumer | relay | query | service | issuer | migrate`: each process alone, as in production."""

from typing import Annotated

import typer

from lychgate.commands.report import ConfigOption, LogFormatOption, example
from lychgate.logs import LogFormat, configure


def gateway(config: ConfigOption = None, log_format: LogFormatOption = LogFormat.JSON) -> None:
    """Run the gateway: supervisor, workers, operations."""
    configure(log_format)
    from gateway.supervisor.app import run
    from gateway.supervisor.configuration import Configuration
    from lychgate.settings import load

    settings = load(config)
    configuration = Configuration(
        gateway=settings.gateway,
        ops=settings.ops,
        issuers=settings.issuers,
        context=settings.context,
        tenancy=settings.tenancy,
        policies=settings.policies,
        services=settings.services,
        audit=settings.audit,
        store=settings.store,
        doors=settings.doors,
        decision_api=settings.decision_api,
        shadow=settings.shadow,
        revocation=settings.revocation,
        redis=settings.redis,
        telemetry=settings.telemetry,
    )
    raise typer.Exit(run(configuration, log_format=log_format.value))


def consumer(config: ConfigOption = None, log_format: LogFormatOption = LogFormat.JSON) -> None:
    """Run the consumer: Kafka to the store."""
    configure(log_format)
    from audit.kafka.run import run
    from lychgate.settings import load

    settings = load(config)
    raise typer.Exit(run(settings.audit, settings.store))


def relay(config: ConfigOption = None, log_format: LogFormatOption = LogFormat.JSON) -> None:
    """Run a relay: spool folders to the broker or the store, where no gateway shares the disk."""
    configure(log_format)
    from audit.relay.run import run
    from lychgate.settings import load

    settings = load(config)
    raise typer.Exit(run(settings.audit, settings.store))


def query(config: ConfigOption = None, log_format: LogFormatOption = LogFormat.JSON) -> None:
    """Run the audit query API."""
    configure(log_format)
    from lychgate.settings import load
    from query.app import Rules, run

    settings = load(config)
    rules = Rules(
        policies=settings.policies.origin(),
        roles_file=settings.gateway.roles_file,
        context_issuer=settings.context.issuer,
        cross_tenant=settings.tenancy.cross_tenant,
        strict=settings.policies.strict,
        watch=settings.policies.watch,
        settle_s=settings.policies.settle_s,
        poll_s=settings.policies.poll_s,
    )
    raise typer.Exit(run(settings.query, settings.store, settings.audit, rules))


def service(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Services, or `all`, in one process.")],
    config: ConfigOption = None,
    log_format: LogFormatOption = LogFormat.JSON,
) -> None:
    """Run sample services in this process."""
    configure(log_format)
    from lychgate.settings import load
    from services.run import run

    settings = load(config)
    raise typer.Exit(run(names, samples=settings.samples, audit=settings.audit))


def issuer(config: ConfigOption = None, log_format: LogFormatOption = LogFormat.JSON) -> None:
    """Run the development issuer, on loopback: a token for whoever asks."""
    configure(log_format)
    import uvicorn

    from lychgate.clock import utc_now
    from lychgate.issuer import create_app
    from lychgate.settings import load
    from lychgate.tokens import DevelopmentIssuer

    up = load(config).up
    key = DevelopmentIssuer.open(up.state_folder / "issuer", utc_now, iss=up.iss)
    uvicorn.run(create_app(key), host="127.0.0.1", port=up.issuer_port, log_config=None)


def migrate(config: ConfigOption = None, log_format: LogFormatOption = LogFormat.JSON) -> None:
    """Bring the store forward.

    Numbered SQL, forward only, safe to repeat and from two places at once; runs as the owner.
    """
    configure(log_format)
    from lychgate.settings import load
    from lychgate.store import bring_forward, described

    typer.echo(described(bring_forward(load(config).store)))


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    app.command(epilog=example("lychgate gateway --config /etc/lychgate.yaml"))(gateway)
    app.command(epilog=example("lychgate consumer"))(consumer)
    app.command(epilog=example("lychgate relay"))(relay)
    app.command(epilog=example("lychgate query"))(query)
    app.command(epilog=example("lychgate service order", "lychgate service all"))(service)
    app.command(hidden=True, epilog=example("lychgate issuer"))(issuer)
    app.command(epilog=example("lychgate migrate"))(migrate)
