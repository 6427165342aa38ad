"""`lychgate policy`: everything that is done with Cedar policies from the command line, one module a verb."""

import typer

from lychgate.commands.policy import check, fmt

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The Cedar policies.")
for verb in (check, fmt):
    verb.add_to(app)
