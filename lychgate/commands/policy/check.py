"""`lychgate policy check`: what is wrong with the policies, and with the routes and roles that lead to them."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json

if TYPE_CHECKING:
    from policies.errors import Finding


class Form(StrEnum):
    """How findings are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def check(
    folder: Annotated[
        Path | None, typer.Argument(help="The policies' folder; the configured one if not given.")
    ] = None,
    routes: Annotated[
        bool, typer.Option("--routes/--no-routes", help="Hold the policies against the configured routes, too.")
    ] = True,
    allow: Annotated[
        list[str] | None, typer.Option("--allow", metavar="CODE", help="Leave one kind of warning out; repeatable.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="For people, for scripts, or for code hosts.")] = Form.TEXT,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check policies against the schema, each other, the roles and the routes; name file, line, column and reason."""
    from lychgate.findings import origin_findings, policy_findings, routes_of
    from lychgate.settings import load

    allowed = _allowed(allow or ())
    settings = load(config)
    asked = routes_of(settings) if routes else None
    origin, roles = settings.policies.origin(), settings.gateway.roles_file
    if folder is None and origin.bundle is not None:
        found = origin_findings(origin, roles, asked)
    else:
        found = policy_findings(folder or origin.folder, roles, asked)
    findings = [finding for finding in found if finding.code not in allowed]
    _print(findings, Form.JSON if as_json else form)
    raise typer.Exit(ExitCode.FINDING if findings else ExitCode.SUCCESS)


def _allowed(codes: Sequence[str]) -> frozenset[str]:
    """The codes to leave out.

    Raises:
        ConfigurationError: One is unknown, or of what the gateway refuses.
    """
    import difflib

    from lychgate.errors import ConfigurationError
    from policies.lint.codes import KINDS, Severity

    for code in codes:
        if code not in KINDS:
            close = difflib.get_close_matches(code, KINDS, n=1)
            hint = f"; the nearest is `{close[0]}`" if close else ""
            raise ConfigurationError(f"--allow: there is no finding of the code `{code}`{hint}")
        if KINDS[code].severity is Severity.ERROR:
            raise ConfigurationError(f"--allow: `{code}` cannot be allowed: the gateway refuses it")
    return frozenset(codes)


def _print(findings: Sequence["Finding"], form: Form) -> None:
    from lychgate.sarif import sarif
    from policies.lint.codes import KINDS

    if form is Form.SARIF:
        print_json(sarif(findings))
    elif form is Form.JSON:
        rows = [
            {
                "file": it.file,
                "line": it.line,
                "column": it.column,
                "severity": KINDS[it.code].severity,
                "code": it.code,
                "reason": it.reason,
            }
            for it in findings
        ]
        print_json({"findings": rows})
    else:
        for it in findings:
            place = f"{it.file}:{it.line}:{it.column}" if it.line else it.file
            typer.echo(f"{place}: {KINDS[it.code].severity}: {it.reason} [{it.code}]")
        if not findings:
            typer.echo("the policies are in order")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=example(
            "lychgate policy check",
            "lychgate policy check policies --allow shadowed --json",
            "lychgate policy check --format sarif > findings.sarif",
        )
    )(check)
