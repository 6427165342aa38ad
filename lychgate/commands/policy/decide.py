"""`lychgate policy decide`: what policies say to requests, one JSON line each."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, example

if TYPE_CHECKING:
    from policies.bundle import Bundle

_STANDARD_INPUT = Path("-")


def decide(
    requests: Annotated[Path, typer.Argument(help="One request a line, as JSON; `-` for standard input.")],
    policies: Annotated[
        list[Path] | None,
        typer.Option("--policies", help="A `.cedar` file or a folder, repeatable; the configured one if not given."),
    ] = None,
    schema: Annotated[
        Path | None, typer.Option("--schema", help="The schema; `schema.cedarschema` beside the policies if not given.")
    ] = None,
    entities: Annotated[
        Path | None, typer.Option("--entities", help="Cedar's JSON list of entities, for all requests.")
    ] = None,
    loose: Annotated[
        bool,
        typer.Option("--loose", help="Take policies without `@id` (`policy0`, ...) or that do not fit the schema."),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Whether an error of any policy denies.")] = False,
    config: ConfigOption = None,
) -> None:
    """Decide requests by the gateway's own engine: a line in, a line out, in order.

    A request is `{"principal", "action", "resource", "context"}`, with `entities` of its own and an `id` that is handed
    back where given; an answer is `{"decision", "policies", "errors"}`. Ends with 1 where a request could not be
    decided: it is denied, and `no_decision` says why.
    """
    import msgspec

    from lychgate.errors import ConfigurationError
    from policies.decide import Decider, EntitiesRefused
    from policies.errors import PolicyErrors

    try:
        bundle = _bundle(policies or [_configured(config)], schema, loose=loose)
        decider = Decider(bundle, _text(entities) if entities is not None else "[]", strict=strict)
    except (PolicyErrors, EntitiesRefused) as exc:
        raise ConfigurationError(str(exc)) from exc
    undecided = False
    for line in _lines(requests):
        outcome = decider.decide(line)
        undecided = undecided or outcome.no_decision is not None
        typer.echo(msgspec.json.encode(outcome))
    raise typer.Exit(ExitCode.FINDING if undecided else ExitCode.SUCCESS)


def _configured(config: Path | None) -> Path:
    from lychgate.settings import load

    return load(config).policies.folder


def _bundle(places: list[Path], schema: Path | None, *, loose: bool) -> "Bundle":
    """Policies of files and folders, with their schema.

    Raises:
        ConfigurationError: Something is not there, or cannot be read.
        PolicyErrors: Something is wrong with what is there.
    """
    from lychgate.errors import ConfigurationError
    from policies.load import SCHEMA_FILE, build_bundle
    from policies.loose import loose_bundle

    files: list[Path] = []
    for place in places:
        found = sorted(place.glob("*.cedar")) if place.is_dir() else [place]
        if not found:
            raise ConfigurationError(f"{place}: no `.cedar` file here")
        files += found
    beside = places[0] if places[0].is_dir() else places[0].parent
    where = schema or beside / SCHEMA_FILE
    texts = [(file.name, _text(file)) for file in files]
    return (loose_bundle if loose else build_bundle)(texts, (where.name, _text(where)))


def _text(file: Path) -> str:
    """A file's text.

    Raises:
        ConfigurationError: It cannot be read.
    """
    from lychgate.errors import ConfigurationError

    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigurationError(f"{file}: not UTF-8") from exc
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc.strerror}") from exc


def _lines(file: Path) -> Iterator[bytes]:
    """The lines of a file or of standard input that are not blank.

    Raises:
        ConfigurationError: It cannot be read.
    """
    from lychgate.errors import ConfigurationError

    if file == _STANDARD_INPUT:
        yield from (line for line in sys.stdin.buffer if line.strip())
        return
    try:
        with file.open("rb") as lines:
            yield from (line for line in lines if line.strip())
    except OSError as exc:
        raise ConfigurationError(f"{file}: cannot be read: {exc.strerror}") from exc


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=example(
            "lychgate policy decide requests.jsonl --entities entities.json",
            "lychgate policy decide - --policies photos.cedar --schema photos.cedarschema --loose < requests.jsonl",
        )
    )(decide)
