"""`lychgate routes import`: the routes of a service from its OpenAPI document, and what a person has to decide."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, plain, print_json, print_rows
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from lychgate.routes_import.merge import Merged
    from lychgate.routes_import.model import Question
    from lychgate.routes_import.propose import Wish
    from lychgate.settings import Settings
    from policies.bundle import Bundle

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The routes file.")


@app.callback()
def _routes() -> None:
    """The routes file."""


@app.command(
    "import",
    epilog=example(
        "lychgate routes import openapi.json --service order --out order.toml",
        "lychgate routes import openapi.json --service order --against routes.toml --out routes.toml",
        "curl -s http://127.0.0.1:9002/openapi.json | lychgate routes import - --service order --json",
    ),
)
def import_(
    document: Annotated[str, typer.Argument(help="An OpenAPI 3.0 or 3.1 document, JSON or YAML; - is standard input.")],
    service: Annotated[str, typer.Option(help="The service, as `services` of the configuration names it.")],
    out: Annotated[Path | None, typer.Option(help="Where the routes go; to standard output if not given.")] = None,
    against: Annotated[
        Path | None, typer.Option(help="A routes file to add to; what stands in it stays. --out may name it again.")
    ] = None,
    action_prefix: Annotated[
        str | None, typer.Option(help="What actions begin with, before the colon.", show_default="the service's name")
    ] = None,
    base_path: Annotated[
        str | None, typer.Option(help="What stands before every path.", show_default="what the document's servers say")
    ] = None,
    schema_out: Annotated[
        Path | None, typer.Option(help="Where to suggest actions and types that the Cedar schema lacks.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the routes of a service, and list what needs a decision by a person.

    What is undecided is closed: such a route has the action `undecided`, or one that the schema does not declare; the
    gateway refuses its requests and `config check` names it. Exit code 1 while anything waits for a decision.
    """
    from lychgate.routes_import.document import read_document
    from lychgate.routes_import.files import place, read_text, require_free
    from lychgate.routes_import.merge import Existing, existing, merge
    from lychgate.routes_import.propose import propose
    from lychgate.routes_import.written import declarations
    from lychgate.settings import load

    settings = load(config)
    wish = _wish(service, action_prefix, base_path)
    require_free(out, against)
    require_free(schema_out, None)
    bundle = _bundle(settings)
    old = Existing("")
    if against is not None:
        old = existing(str(against), read_text(against), service, bundle, settings.services)
    read = read_document("input" if document == "-" else document, _document(document))
    made = propose(read, wish, bundle)
    merged = merge(old, made, wish, bundle)
    existing(str(out or "the routes"), merged.text, service, bundle, settings.services)  # what is written can be read
    questions = [*_about_service(service, settings), *merged.questions]
    if out is not None:
        place(out, merged.text)
    if schema_out is not None:
        place(schema_out, declarations(made.proposals, bundle))
    _say(merged, questions, wish, out, as_json=as_json)
    raise typer.Exit(ExitCode.FINDING if questions else ExitCode.SUCCESS)


def _wish(service: str, prefix: str | None, base: str | None) -> "Wish":
    """What is asked for.

    Raises:
        ConfigurationError: A name that no service, action or path could have.
    """
    import re

    from gateway.settings import NAME
    from lychgate.routes_import.naming import snake
    from lychgate.routes_import.propose import Wish
    from lychgate.routes_import.templates import template_of

    if re.fullmatch(NAME, service) is None:
        raise ConfigurationError("--service: small letters, digits and hyphens, beginning with a letter")
    chosen = snake(service) if prefix is None else prefix
    if re.fullmatch(r"[a-z][a-z0-9_]{0,47}", chosen) is None:
        raise ConfigurationError("--action-prefix: small letters, digits and underscores, beginning with a letter")
    if base is not None:
        base = base.rstrip("/")
        if base and not base.startswith("/"):
            raise ConfigurationError("--base-path: begins with a slash")
        try:
            if base and template_of(base).params:
                raise ConfigurationError("--base-path: a parameter in it")
        except ValueError as exc:
            raise ConfigurationError(f"--base-path: {exc}") from None
    return Wish(service=service, prefix=chosen, base=base)


def _bundle(settings: "Settings") -> "Bundle":
    """The policies that a gateway so configured would take.

    Raises:
        ConfigurationError: They cannot be read, are refused, or declare the action that nothing may declare.
    """
    from lychgate.findings import rules_of
    from lychgate.routes_import.model import UNDECIDED

    bundle, _ = rules_of(settings, None)
    if UNDECIDED in bundle.actions:
        raise ConfigurationError(f"the schema declares the action `{UNDECIDED}`, which closes what nobody has decided")
    return bundle


def _document(name: str) -> bytes:
    """The document's bytes, one more than is allowed at most."""
    from lychgate.routes_import.document import MAX_BYTES
    from lychgate.routes_import.files import read_bytes

    return sys.stdin.buffer.read(MAX_BYTES + 1) if name == "-" else read_bytes(Path(name), MAX_BYTES + 1)


def _about_service(service: str, settings: "Settings") -> "list[Question]":
    from lychgate.routes_import.model import About, Question

    if service in settings.services:
        return []
    text = f"`{service}` is not configured: `services.{service}` says where it is"
    return [Question("the configuration", About.SERVICE, text, closed=True)]


def _say(merged: "Merged", questions: "list[Question]", wish: "Wish", out: Path | None, *, as_json: bool) -> None:
    """What was written and what is open: with the routes themselves on standard output, the questions go beside it."""
    rows = [{"where": it.where, "about": it.about.value, "closed": it.closed, "question": it.text} for it in questions]
    added = [
        {"id": it.id, "method": it.method, "path": it.template, "action": it.written_action} for it in merged.added
    ]
    if as_json:
        text = {"text": merged.text} if out is None else {}
        print_json({"service": wish.service, "routes": added, "questions": rows, **text})
        return
    if out is None:
        typer.echo(merged.text, nl=False)
        for it in questions:
            typer.echo(plain(f"{it.where}: {it.about}{' (closed)' if it.closed else ''}: {it.text}"), err=True)
        return
    closed = sum(any(question.closed for question in it.questions) for it in merged.added)
    typer.echo(f"{out}: {len(merged.added)} new routes, {closed} of them closed; {len(rows)} questions for a person")
    if rows:
        shown = [{**row, "closed": "closed" if row["closed"] else ""} for row in rows]
        print_rows("To decide", shown, as_json=False)
