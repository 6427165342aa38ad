"""`lychgate audit dead-letters list | show | replay | dismiss`: records that could not become rows."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json, print_rows
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from audit.insert import Connection

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Records that could not become rows.")
T = TypeVar("T")
_WHY_CHARS = 500


def _asked(config: Path | None, work: "Callable[[Connection], Awaitable[T]]") -> T:
    """Do something on a connection of the keeper's."""
    import asyncpg

    from audit.driver import described
    from audit.errors import AuditError
    from audit.keeper.jobs import opened
    from lychgate.settings import load

    store = load(config).store

    async def ask() -> T:
        async with opened(store.dsn(store.keeper)) as connection:
            return await work(connection)

    try:
        return asyncio.run(ask())
    except (OSError, AuditError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        where = f"{store.host}:{store.port}/{store.database}"
        raise ConfigurationError(f"the store {where} cannot be asked: {described(exc)}") from exc


def _reason(text: str | None) -> str | None:
    from audit.ingest import DeadReason

    known = [reason.value for reason in DeadReason]
    if text is not None and text not in known:
        raise ConfigurationError(f"--reason {text!r} is none of {', '.join(known)}")
    return text


ReasonOption = Annotated[str | None, typer.Option("--reason", help="Of this reason only.")]


@app.command(
    "list",
    epilog=example("lychgate audit dead-letters list", "lychgate audit dead-letters list --reason schema --json"),
)
def list_(
    reason: ReasonOption = None,
    newest: Annotated[int, typer.Option("--newest", min=1, max=10_000, help="At most so many.")] = 100,
    ended: Annotated[bool, typer.Option("--ended", help="Also those replayed or expired.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, the newest first; without what stands in them."""
    from audit.dead_letters import letters

    wanted = _reason(reason)
    rows = _asked(config, lambda connection: letters(connection, newest=newest, with_ended=ended, reason=wanted))
    printable = [_printable(row) for row in rows]
    print_rows("dead letters", printable if as_json else [_short(row) for row in printable], as_json=as_json)


@app.command(
    epilog=example("lychgate audit dead-letters show 17", "lychgate audit dead-letters show 17 --payload > record.bin")
)
def show(
    letter_id: Annotated[int, typer.Argument(metavar="ID")],
    payload: Annotated[bool, typer.Option("--payload", help="Write the record itself, byte for byte.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter. What stands in it nobody has redacted: it is written only when asked for."""
    import sys

    from audit.dead_letters import letter

    found = _asked(config, lambda connection: letter(connection, letter_id))
    if found is None:
        typer.echo(f"there is no dead letter {letter_id}", err=True)
        raise typer.Exit(ExitCode.FINDING)
    content: bytes = found.pop("payload")
    if payload:
        # On a terminal a hostile record could give orders to it.
        sys.stdout.buffer.write(repr(content).encode() + b"\n" if sys.stdout.isatty() else content)
        return
    row = _printable({**found, "payload_hash": found["payload_hash"].hex()})
    if as_json:
        print_json(row)
        return
    fields = [{"field": name, "value": "" if value is None else value} for name, value in row.items()]
    print_rows(f"dead letter {letter_id}", fields, as_json=False)


@app.command(
    epilog=example(
        "lychgate audit dead-letters replay --all --dry-run",
        "lychgate audit dead-letters replay --reason out_of_range",
        "lychgate audit dead-letters replay 17 18",
    )
)
def replay(
    ids: Annotated[list[int] | None, typer.Argument(metavar="ID")] = None,
    reason: ReasonOption = None,
    everything: Annotated[bool, typer.Option("--all", help="Every pending one.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would become of each; write nothing.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send pending dead letters through the ingest again; exit code 1 if any is still dead.

    One that is older than the oldest partition has expired: it is closed, and no error.
    """
    from audit.dead_letters import PENDING
    from audit.dead_letters import replay as again

    if sum((bool(ids), reason is not None, everything)) != 1:
        raise ConfigurationError("say which: ids, --reason or --all")
    wanted = _reason(reason)
    done = _asked(config, lambda connection: again(connection, ids=ids or None, reason=wanted, dry_run=dry_run))
    handled = {letter.id for letter in done.letters}
    missing = [each for each in ids or [] if each not in handled]
    if as_json:
        print_json({"dry_run": dry_run, "counts": done.counts, "letters": [_plain(letter) for letter in done.letters],
                    "not_pending": missing})  # fmt: skip
    else:
        print_rows("would become" if dry_run else "became", [_plain(letter) for letter in done.letters], as_json=False)
        typer.echo(", ".join(f"{count} {outcome}" for outcome, count in done.counts.items()))
        for each in missing:
            typer.echo(f"no pending dead letter {each}", err=True)
    raise typer.Exit(ExitCode.FINDING if done.counts[PENDING] or missing else ExitCode.SUCCESS)


@app.command(epilog=example('lychgate audit dead-letters dismiss 17 --why "a port scan wrote to the topic"'))
def dismiss(
    ids: Annotated[list[int], typer.Argument(metavar="ID...")],
    why: Annotated[str, typer.Option("--why", help="Stands in the event that tells of it.")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Close pending dead letters that nobody will ever replay; they stay in the store.

    Exit code 1 if one of them was not pending.
    """
    from audit.dead_letters import dismiss as close

    if not why.strip() or len(why) > _WHY_CHARS:
        raise ConfigurationError(f"--why is a reason of 1 to {_WHY_CHARS} characters")
    closed = _asked(config, lambda connection: close(connection, ids, why))
    missing = [each for each in ids if each not in closed]
    if as_json:
        print_json({"dismissed": closed, "not_pending": missing})
    else:
        typer.echo(f"{len(closed)} dismissed")
        for each in missing:
            typer.echo(f"no pending dead letter {each}", err=True)
    raise typer.Exit(ExitCode.FINDING if missing else ExitCode.SUCCESS)


def _plain(letter: Any) -> dict[str, Any]:
    return {"id": letter.id, "outcome": letter.outcome, "reason": letter.reason, "error": letter.error}


def _short(row: dict[str, Any]) -> dict[str, Any]:
    """What fits a terminal; --json and `show` have the rest."""
    return {
        "id": row["id"],
        "received": row["received_at"][:19],
        "reason": row["reason"],
        "error": row["error"],
        "source": row["source"],
        "outcome": row["outcome"] or "pending",
    }


def _printable(row: dict[str, Any]) -> dict[str, Any]:
    """Times as RFC 3339."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()}
