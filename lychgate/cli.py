"""`lychgate`: the composition of the commands, and what their exit codes mean.

0  success
1  a finding
2  usage or configuration
"""

import sys
from typing import Annotated

import typer

from audit.private_file import NotPrivate
from lychgate.commands import audit, config, init, keys, policy, processes, routes, token
from lychgate.commands import up as up_command
from lychgate.commands.report import ExitCode
from lychgate.errors import LychgateError

app = typer.Typer(
    name="lychgate",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: importing Rich's Markdown costs as much as the rest of `--help` together
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 success, 1 a finding, 2 usage or configuration.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("lychgate"))
        raise typer.Exit


@app.callback()
def _lychgate(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """An authorization gateway: Cedar decides, every decision is audited."""


up_command.add_to(app)
init.add_to(app)
processes.add_to(app)
app.add_typer(config.app, name="config")
app.add_typer(keys.app, name="keys")
app.add_typer(token.app, name="token")
app.add_typer(policy.app, name="policy")
app.add_typer(routes.app, name="routes")
app.add_typer(audit.app, name="audit")


def main() -> int:
    """Run a command; the exit code."""
    try:
        app(standalone_mode=True)
    except LychgateError as exc:
        sys.stderr.write(f"lychgate: {exc}\n")
        return exc.exit_code
    except NotPrivate as exc:  # of a file that no command words better
        sys.stderr.write(f"lychgate: {exc}\n")
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return 130
    return ExitCode.SUCCESS
