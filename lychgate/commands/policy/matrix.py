"""`lychgate policy matrix`: who may do what, and what a change of the policies changes about it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json
from lychgate.errors import ConfigurationError

if TYPE_CHECKING:
    from lychgate.matrix.layout import Grid
    from roles.matrix_model import Matrix


def matrix(
    folder: Annotated[
        Path | None, typer.Argument(help="The policies' folder; the configured one if not given.")
    ] = None,
    role: Annotated[list[str] | None, typer.Option(help="Only this role; may be given several times.")] = None,
    action: Annotated[
        list[str] | None, typer.Option(help="Only this action, or all that match a pattern like `order:*`.")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="table, markdown, csv or json.")] = "table",
    diff: Annotated[
        str | None, typer.Option("--diff", metavar="REV", help="Print only what has changed since a git revision.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Print only what differs from another folder of policies.")
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="With --diff or --against: end with 1 when something differs.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask Cedar about every role and every action, and print who may do what.

    A cell holds for any tenant and its own resources, whatever the request's context; `if` says on what of the context
    it depends. With --diff or --against only the cells that change are printed, the older answer first.
    """
    from lychgate.findings import policies_of, rules_of
    from lychgate.matrix.layout import Format, changes, changes_json
    from lychgate.matrix.layout import as_json as whole
    from lychgate.settings import load
    from roles.matrix_diff import differences

    if form not in set(Format):
        raise ConfigurationError(f"--format: `{form}` is none of {', '.join(Format)}")
    if diff is not None and against is not None:
        raise ConfigurationError("--diff and --against: one of them")
    chosen = Format.JSON if as_json else Format(form)
    settings = load(config)
    place = folder or settings.policies.folder
    bundle, catalogue = rules_of(settings, folder)
    strict = settings.policies.strict
    before = None
    if diff is not None:
        from lychgate.matrix.revision import at_revision

        before = at_revision(diff, place, settings.gateway.roles_file)
    elif against is not None:
        before = (policies_of(against), catalogue)
    known = [bundle, *([before[0]] if before is not None else [])]
    wanted = _Wanted(role or [], action or [], [catalogue, *([before[1]] if before is not None else [])], known)
    now = wanted.asked(bundle, catalogue, strict)
    if before is None:
        if chosen is Format.JSON:
            print_json(whole(now))
        else:
            _print(now, chosen)
        return
    found = differences(wanted.asked(*before, strict), now)
    if chosen is Format.JSON:
        print_json({"changes": changes_json(found)})
    else:
        _print_changes(changes(found, code=chosen is Format.MARKDOWN), chosen)
    raise typer.Exit(ExitCode.FINDING if found and exit_code else ExitCode.SUCCESS)


class _Wanted:
    """Which roles and actions are asked about."""

    def __init__(self, roles: list[str], actions: list[str], catalogues: list[Any], bundles: list[Any]) -> None:
        from fnmatch import fnmatchcase

        names = dict.fromkeys(name for catalogue in catalogues for name in catalogue.names)
        for name in roles:
            if name not in names:
                raise ConfigurationError(f"there is no role `{name}`; there are {', '.join(names)}")
        ids = dict.fromkeys(name for bundle in bundles for name in bundle.actions)
        matching = {pattern: [name for name in ids if fnmatchcase(name, pattern)] for pattern in actions}
        for pattern, found in matching.items():
            if not found:
                raise ConfigurationError(f"the schema declares no action `{pattern}`")
        self._roles = roles
        self._actions = {name for found in matching.values() for name in found}

    def asked(self, bundle: Any, catalogue: Any, strict: bool) -> "Matrix":
        from policies.engine import Engine
        from roles.matrix import matrix as ask

        actions = [name for name in bundle.actions if not self._actions or name in self._actions]
        return ask(Engine(bundle, strict=strict), catalogue, roles=self._roles, actions=actions)


def _print(asked: "Matrix", form: str) -> None:
    from lychgate.matrix.layout import Format, cells, crossings
    from lychgate.matrix.terminal import show

    if form == Format.CSV:
        typer.echo(cells(asked).csv(), nl=False)
    elif form == Format.MARKDOWN:
        typer.echo(f"{cells(asked, code=True).markdown()}\n\n{crossings(asked, code=True).markdown()}")
    else:
        show(asked)


def _print_changes(found: "Grid", form: str) -> None:
    from lychgate.matrix.layout import Format
    from lychgate.matrix.terminal import table

    if form == Format.CSV:
        typer.echo(found.csv(), nl=False)
    elif not found.rows:
        typer.echo("nothing changes")
    elif form == Format.MARKDOWN:
        typer.echo(found.markdown())
    else:
        table(f"changes: {len(found.rows)}", found)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=example(
            "lychgate policy matrix",
            "lychgate policy matrix --format markdown --action 'order:*'",
            "lychgate policy matrix --diff origin/main --exit-code",
        )
    )(matrix)
