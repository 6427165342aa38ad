"""`lychgate keys list | new | rotate | retire`: which keys there are, and the next one that signs security contexts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json, print_rows
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from lychgate.settings import Settings

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The keys of this installation.")

_YEAR_S = 31_536_000
_SERVICE = typer.Option(help="Whose shared secret, with `context.alg: HS256`; may be given several times.")


@app.command("list", epilog=example("lychgate keys list", "lychgate keys list --json"))
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List every key and other secret in a file: id, whose turn it is, dates, file, mode, who uses it.

    Never anything of a key itself. Exit code 1 if one cannot be used, or others may read it.
    """
    import msgspec

    from lychgate.clock import utc_now
    from lychgate.keys.inventory import inventory
    from lychgate.settings import load

    rows = inventory(load(config), utc_now().timestamp())
    print_rows("keys", [msgspec.structs.asdict(row) for row in rows], as_json=as_json)
    raise typer.Exit(ExitCode.FINDING if any(row.problem for row in rows) else ExitCode.SUCCESS)


@app.command(
    epilog=example("lychgate keys new context.jwk", "lychgate keys new order.jwk --alg HS256"),
)
def new(
    file: Annotated[Path, typer.Argument(help="Where to; must not be there yet.")],
    alg: Annotated[Literal["EdDSA", "ES256", "HS256"], typer.Option(help="What it is for: `context.alg`.")] = "EdDSA",
    as_json: JsonOption = False,
) -> None:
    """Make a first key that security contexts are signed with, where a gateway is not to make it by itself.

    For a fleet, whose gateways must have the same one, and for a secret shared with a service. Its file is its owner's
    alone.
    """
    from lychgate.keys.rotation import write_new

    kid = write_new(file, alg)
    if as_json:
        print_json({"file": str(file), "kid": kid, "alg": alg})
    else:
        typer.echo(f"{file}: {kid}, {alg}")


@app.command(
    epilog=example(
        "lychgate keys rotate", "lychgate keys rotate --service order --in 3600", "lychgate keys rotate --now"
    )
)
def rotate(
    service: Annotated[list[str] | None, _SERVICE] = None,
    in_s: Annotated[
        int | None,
        typer.Option(
            "--in", min=1, max=_YEAR_S, help="Seconds until the next key signs.", show_default="a little over ttl_s"
        ),
    ] = None,
    at_once: Annotated[
        bool, typer.Option("--now", help="The new key signs at once and no other is believed: one was stolen.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Write the new set to this file instead, for whoever puts it in place.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the next key that security contexts are signed with.

    It is published now and signs from a moment on that stands in the file; the current one is believed until every
    context it signed has ended and every service has asked again. A gateway that runs sees the file by itself. Gateways
    that do not share it need a copy before that moment: give them time with --in. With --now what the other keys
    signed is refused: requests under way, and at services that share a secret all of them until they have the file.
    """
    from lychgate.clock import utc_now
    from lychgate.keys.rotation import NotRotated, Rotation, rewrite
    from lychgate.settings import load
    from roles.security_context.key_source import MIN_INTERVAL_S

    settings = load(config)
    if at_once and in_s is not None:
        raise ConfigurationError("--now and --in: one or the other")
    files = _files(settings, service or [])
    stayed = False
    if out is not None and len(files) > 1:
        raise ConfigurationError("--out: name one --service")
    context, now = settings.context, int(utc_now().timestamp())
    lead_s = in_s or round(max(context.ttl_s, MIN_INTERVAL_S) + 2 * context.poll_s + 0.5)
    signs_from = now if at_once else now + lead_s
    rotation = Rotation(now, context.alg, signs_from, signs_from + context.ttl_s + context.services_cache_s)
    for name, file in files.items():
        try:
            ring = rewrite(file, rotation.replace if at_once else rotation.follow, out=out)
        except NotRotated as exc:  # the others must not wait for it
            stayed = True
            typer.echo(f"lychgate: {exc}", err=True)
        else:
            _say(name, out or file, ring.keys[-1].kid, signs_from, None if at_once else ring.keys[-2], as_json=as_json)
    raise typer.Exit(ExitCode.FINDING if stayed else ExitCode.SUCCESS)


@app.command(epilog=example("lychgate keys retire", "lychgate keys retire --service order"))
def retire(
    service: Annotated[list[str] | None, _SERVICE] = None,
    config: ConfigOption = None,
) -> None:
    """Take out of the files what is over, and the private halves of keys that only verify. Rotating does it, too."""
    from lychgate.clock import utc_now
    from lychgate.keys.rotation import Rotation, rewrite
    from lychgate.settings import load

    settings, now = load(config), int(utc_now().timestamp())
    for name, file in _files(settings, service or []).items():
        ring = rewrite(file, Rotation(now, settings.context.alg, now, now).retire)
        typer.echo(f"{name}: {len(ring.keys)} of them stay in {file}")


def _files(settings: "Settings", services: list[str]) -> dict[str, Path]:
    """What each is called, and its file."""
    context = settings.context
    if context.alg != "HS256":
        if services:
            raise ConfigurationError(f"--service: context.alg is {context.alg}, and no service has a key of its own")
        return {"context": context.key_file}
    if unknown := [name for name in services if name not in context.hs256_key_files]:
        raise ConfigurationError(f"--service {unknown[0]}: context.hs256_key_files names no file for it")
    return {name: file for name, file in context.hs256_key_files.items() if not services or name in services}


def _say(name: str, file: Path, kid: str, signs_from: int, before: object, *, as_json: bool) -> None:
    from datetime import UTC, datetime

    from roles.security_context.key_ring import HeldKey

    def time(seconds: int) -> str:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    until = before.believed_until if isinstance(before, HeldKey) else None
    if as_json:
        print_json(
            {
                "key": name,
                "file": str(file),
                "kid": kid,
                "signs_from": time(signs_from),
                "last_believed_until": None if until is None else time(until),
            }
        )
    elif until is None:
        typer.echo(
            f"{name}: {kid} signs now; no other key in {file} is believed. Services answer 401"
            " to what was signed before: requests under way, and everything until a service has the new key"
        )
    else:
        typer.echo(
            f"{name}: {kid} is published now and signs from {time(signs_from)}; "
            f"the one before is believed until {time(until)} ({file})"
        )
