"""`lychgate audit ...`: the audit's own tools, a module each."""

import typer

from lychgate.commands.audit import spool, verify

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The audit's own tools.")
app.add_typer(spool.app, name="spool")
verify.add_to(app)
