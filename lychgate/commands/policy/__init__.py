"""`lychgate policy`: everything that is done with Cedar policies from the command line, one module a verb."""

import typer

from lychgate.commands.policy import bundle, check, decide, explain, fmt, matrix, replay, test

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The Cedar policies.")
for verb in (check, fmt, test, matrix, explain, replay, decide, bundle):
    verb.add_to(app)
