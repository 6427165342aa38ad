"""`lychgate audit outbox ...`: the outbox of a service with a database of its own."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from lychgate.commands.report import (
    ConfigOption,
    ExitCode,
    JsonOption,
    LogFormatOption,
    example,
    print_json,
    print_rows,
)
from lychgate.errors import ConfigurationError, PostgresFailed
from lychgate.logs import LogFormat, configure

if TYPE_CHECKING:
    import asyncpg

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The outbox of a service with its own database.")

T = TypeVar("T")


def sql(
    producer: Annotated[str, typer.Option(help="Whose records these will be, `outbox-order`; no other outbox has it.")],
    schema: Annotated[str, typer.Option(help="Where in the service's database; it must be there.")] = "public",
    writer: Annotated[str | None, typer.Option(help="The role the service logs in as: it may add events.")] = None,
    relay_role: Annotated[str | None, typer.Option("--relay", help="The role the relay logs in as.")] = None,
    notify: Annotated[bool, typer.Option(help="Wake the relay at each commit.")] = True,
    transaction: Annotated[
        bool, typer.Option(help="Print BEGIN and COMMIT; not for migrations that run in one.")
    ] = True,
) -> None:
    """Print the SQL that makes the outbox, or brings an older one forward: for the service's own migrations."""
    from audit.outbox.install import outbox_sql

    try:
        text = outbox_sql(
            producer, schema=schema, writer=writer, relay=relay_role, notify=notify, transaction=transaction
        )
    except ValueError as exc:
        raise ConfigurationError(str(exc)) from exc
    typer.echo(text, nl=False)


def relay(config: ConfigOption = None, log_format: LogFormatOption = LogFormat.JSON) -> None:
    """Empty the outbox of `audit.outbox` into the broker, or into the store where none is configured.

    Any number of relays may work on one outbox.
    """
    configure(log_format)
    from audit.outbox.run import run
    from lychgate.settings import load

    settings = load(config)
    raise typer.Exit(run(settings.audit, settings.store))


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show whose the outbox is, what waits, and which rows are set apart. Exit code 1: some are."""

    async def look(
        connection: "asyncpg.Connection[Any]", schema: str
    ) -> tuple[dict[str, object], list[dict[str, object]]]:
        from audit.outbox.access import refused_rows, standing

        return await standing(connection, schema), await refused_rows(connection, schema)

    stands, rows = _in_outbox(config, look)
    if as_json:
        print_json({**stands, "refused_rows": rows})
    else:
        print_rows("outbox", [stands], as_json=False)
        if rows:
            print_rows("set apart", rows, as_json=False)
    if rows:
        raise typer.Exit(ExitCode.FINDING)


def retry(config: ConfigOption = None) -> None:
    """Offer the rows that are set apart to the relay again."""
    from audit.outbox.access import retry as offer

    typer.echo(f"offered again: {_in_outbox(config, offer)}")


def _in_outbox(config: Path | None, work: Callable[["asyncpg.Connection[Any]", str], Awaitable[T]]) -> T:
    """Do something in the service's database.

    Raises:
        ConfigurationError: None is configured, or there is no outbox in it.
        PostgresFailed: It cannot be reached, or refuses.
    """
    import asyncpg

    from audit.errors import OutboxUnusable
    from audit.outbox.access import connecting
    from lychgate.settings import load

    settings = load(config).audit.outbox

    async def run() -> T:
        connection = await connecting(settings)()
        try:
            return await work(connection, settings.db_schema)
        finally:
            await connection.close()

    try:
        return asyncio.run(run())
    except asyncpg.UndefinedTableError:
        raise ConfigurationError(
            f"schema {settings.db_schema}: there is no outbox; see `lychgate audit outbox sql`"
        ) from None
    except OutboxUnusable as exc:
        raise ConfigurationError(str(exc)) from exc
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as exc:
        # The class alone: a driver's text may hold the address, and with it a password.
        raise PostgresFailed(f"the service's database cannot be asked ({type(exc).__name__})") from exc


app.command(epilog=example("lychgate audit outbox sql --producer outbox-order --writer order_app > 0007_outbox.sql"))(
    sql
)
app.command(epilog=example("lychgate audit outbox relay --config /etc/lychgate.yaml"))(relay)
app.command(epilog=example("lychgate audit outbox status", "lychgate audit outbox status --json | jq .waiting"))(status)
app.command(epilog=example("lychgate audit outbox retry"))(retry)
