"""`lychgate config check`: the whole configuration, routes, roles and policies, with places."""

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The configuration file and what it names.")


@app.command(epilog=example("lychgate config check", "lychgate config check --config /etc/lychgate.yaml --json"))
def check(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check the configuration, the routes, the roles and the policies; name each finding's place."""
    from lychgate.findings import configuration_findings
    from lychgate.settings import load, or_built_in

    found = or_built_in(config)
    if found != config:
        typer.echo(f"no lychgate.yaml here: checking {found}; `lychgate init` writes one", err=True)
    findings = configuration_findings(load(found))
    if as_json:
        print_json({"findings": findings})
    else:
        for finding in findings:
            typer.echo(finding)
        if not findings:
            typer.echo("the configuration is in order")
    raise typer.Exit(ExitCode.FINDING if findings else ExitCode.SUCCESS)
