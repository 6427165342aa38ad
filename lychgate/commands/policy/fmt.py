"""`lychgate policy fmt`: policies in the one layout."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, example

if TYPE_CHECKING:
    from policies.errors import Finding


def fmt(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Files, or folders of `.cedar` files; the configured one if none is given."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 where something would change.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Change nothing; print what would change.")] = False,
    stdin: Annotated[bool, typer.Option("--stdin", help="From standard input to standard output.")] = False,
    config: ConfigOption = None,
) -> None:
    """Lay policies out in one way; nothing but blanks changes, and every comment stays. The schema is left alone.

    A file that Cedar cannot read stays as it is and is named with the place, exit code 1.
    """
    if stdin:
        raise typer.Exit(_from_stdin(paths or [], check=check, diff=diff))
    from lychgate.policy_files import policy_files, read_policies, replace_policies
    from lychgate.settings import load

    files = list(policy_files(paths or [load(config).policies.folder]))
    texts = [(file, read_policies(file)) for file in files]  # all are there before one is changed
    worst, changed = ExitCode.SUCCESS, 0
    for file, text in texts:
        made, findings = _laid_out(str(file), text)
        for finding in findings:
            typer.echo(f"{finding.file}:{finding.line}:{finding.column}: {finding.reason}", err=True)
            worst = ExitCode.FINDING
        if made in {None, text}:
            continue
        changed += 1
        if check or diff:
            worst = ExitCode.FINDING
            _show(str(file), text, made or "", diff=diff)
        else:
            replace_policies(file, made or "")
            typer.echo(f"{file}: laid out")
    if not changed and worst is ExitCode.SUCCESS:
        typer.echo(f"{len(files)} files are in order")
    raise typer.Exit(worst)


def _from_stdin(paths: list[Path], *, check: bool, diff: bool) -> ExitCode:
    from lychgate.errors import ConfigurationError

    if paths:
        raise ConfigurationError("--stdin takes no paths")
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as exc:
        raise ConfigurationError("standard input: not UTF-8") from exc
    made, findings = _laid_out("<stdin>", text)
    for finding in findings:
        typer.echo(f"{finding.file}:{finding.line}:{finding.column}: {finding.reason}", err=True)
    if made is None:
        return ExitCode.FINDING
    if not (check or diff):
        sys.stdout.buffer.write(made.encode("utf-8"))
        return ExitCode.SUCCESS
    if made != text:
        _show("<stdin>", text, made, diff=diff)
    return ExitCode.SUCCESS if made == text else ExitCode.FINDING


def _laid_out(name: str, text: str) -> "tuple[str | None, list[Finding]]":
    """A text in the one layout, or what keeps it from it."""
    from policies.errors import Finding
    from policies.layout import LayoutRefused, laid_out
    from policies.load import parse_findings

    if findings := parse_findings(name, text):
        return None, findings
    try:
        return laid_out(text), []
    except LayoutRefused as exc:
        return None, [Finding(name, 1, 1, str(exc))]


def _show(name: str, text: str, made: str, *, diff: bool) -> None:
    import difflib

    if not diff:
        typer.echo(f"{name}: would be laid out")
        return
    lines = difflib.unified_diff(text.splitlines(keepends=True), made.splitlines(keepends=True), name, name)
    typer.echo("".join(line if line.endswith("\n") else f"{line}\n\\ no line end\n" for line in lines), nl=False)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=example(
            "lychgate policy fmt",
            "lychgate policy fmt --check --diff policies",
            "lychgate policy fmt --stdin < order.cedar",
        )
    )(fmt)
