"""`lychgate config`: check the whole configuration, with places; and list what may stand in it."""

from typing import Annotated

import typer

from lychgate.commands.report import ConfigOption, ExitCode, JsonOption, example, print_json, print_rows
from lychgate.errors import ConfigurationError

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


@app.command(epilog=example("lychgate config keys audit.spool", "lychgate config keys --json | jq -r '.[].key'"))
def keys(
    prefix: Annotated[str, typer.Argument(help="Only keys that begin so.", show_default="all")] = "",
    as_json: JsonOption = False,
) -> None:
    """List the keys of `lychgate.yaml`: type, default and meaning of each."""
    from lychgate.reference.settings import keys as all_keys

    found = [
        {name: text.replace("`", "") for name, text in each._asdict().items()}
        for each in all_keys()
        if each.key.startswith(prefix)
    ]
    if not found:
        raise ConfigurationError(f"no key begins with `{prefix}`; `lychgate config keys` lists all")
    print_rows("Keys of lychgate.yaml", found, as_json=as_json)
