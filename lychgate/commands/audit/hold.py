"""`lychgate audit hold add | list | release`: what is kept whatever its age."""

from datetime import datetime
from typing import Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json, print_rows
from lychgate.errors import LychgateError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Legal holds: kept whatever its age.")

_BY = typer.Option(help="Who says so.", show_default="the user logged in")


@app.command(
    epilog=example(
        'lychgate audit hold add acme --reason "case 17/26"',
        'lychgate audit hold add acme --reason "case 17/26" --actor u-17 --from 2026-10-01T00:00:00Z',
    )
)
def add(
    tenant: Annotated[str, typer.Argument(help="Whose rows; `-` for those of no tenant.")],
    reason: Annotated[str, typer.Option(help="Why; it stands in the event.")],
    since: Annotated[str | None, typer.Option("--from", help="From, inclusive: RFC 3339.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="To, exclusive: RFC 3339.")] = None,
    actor: Annotated[str | None, typer.Option(help="Only rows in which they acted.")] = None,
    resource_type: Annotated[str | None, typer.Option(help="Only rows about such a resource.")] = None,
    resource_id: Annotated[str | None, typer.Option(help="Only rows about this one.")] = None,
    by: Annotated[str | None, _BY] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Place a hold: from now on no purge takes what it names. The tenant's log tells of it."""
    from audit.keeper.holds import Scope, place
    from audit.keeper.jobs import Connection
    from lychgate.keeping import as_keeper, operator
    from lychgate.settings import Settings

    if not reason.strip():
        raise LychgateError("--reason: say why")
    if resource_id is not None and resource_type is None:
        raise LychgateError("--resource-id needs --resource-type")
    scope = Scope(tenant, _moment("--from", since), _moment("--to", until), actor, resource_type, resource_id)
    if scope.since is not None and scope.until is not None and scope.since >= scope.until:
        raise LychgateError("--to: not after --from")

    async def work(connection: Connection, _: Settings) -> int:
        return await place(connection, scope, reason=reason.strip(), by=operator(by))

    number = as_keeper(config, work)
    if as_json:
        print_json({"hold": number})
    else:
        typer.echo(f"hold {number} on {tenant}")


@app.command("list", epilog=example("lychgate audit hold list", "lychgate audit hold list --all --json"))
def show(
    everything: Annotated[bool, typer.Option("--all", help="Also those that were released.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the holds that stand: what each is on, who placed it, when and why."""
    from audit.keeper.holds import standing
    from audit.keeper.jobs import Connection
    from lychgate.keeping import as_keeper
    from lychgate.settings import Settings

    async def work(connection: Connection, _: Settings) -> list[dict[str, object]]:
        return await standing(connection, released=everything)

    print_rows("holds", as_keeper(config, work), as_json=as_json)


@app.command(epilog=example("lychgate audit hold release 3"))
def release(
    number: Annotated[int, typer.Argument(help="As `list` shows it.")],
    by: Annotated[str | None, _BY] = None,
    config: ConfigOption = None,
) -> None:
    """End a hold: the next purge takes what is too old. Exit code 1 if none of that number stands."""
    from audit.keeper.holds import release as end
    from audit.keeper.jobs import Connection
    from lychgate.keeping import as_keeper, operator
    from lychgate.settings import Settings

    async def work(connection: Connection, _: Settings) -> bool:
        return await end(connection, number, by=operator(by))

    if not as_keeper(config, work):
        typer.echo(f"hold {number}: none of that number stands", err=True)
        raise typer.Exit(ExitCode.FINDING)
    typer.echo(f"hold {number} released")


def _moment(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise LychgateError(f"{name}: not an RFC 3339 time") from None
    if moment.tzinfo is None:
        raise LychgateError(f"{name}: needs an offset, as in 2026-11-25T08:00:00Z")
    return moment
