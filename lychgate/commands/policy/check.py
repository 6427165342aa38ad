"""`lychgate policy check`: what is wrong with the policies, with file and line."""

from pathlib import Path
from typing import Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json


def check(
    folder: Annotated[
        Path | None, typer.Argument(help="The policies' folder; the configured one if not given.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Parse the policies, check them against the schema and the role catalogue; name file, line and reason."""
    from lychgate.findings import policy_findings
    from lychgate.settings import load

    settings = load(config)
    findings = policy_findings(folder or settings.policies.folder, settings.gateway.roles_file)
    if as_json:
        rows = [{"file": f.file, "line": f.line, "column": f.column, "reason": f.reason} for f in findings]
        print_json({"findings": rows})
    else:
        for finding in findings:
            typer.echo(finding)
        if not findings:
            typer.echo("the policies are in order")
    raise typer.Exit(ExitCode.FINDING if findings else ExitCode.SUCCESS)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=example("lychgate policy check", "lychgate policy check policies --json"))(check)
