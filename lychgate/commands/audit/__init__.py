"""`lychgate audit ...`: the audit's own tools, a module each."""

import typer

from lychgate.commands.audit import dead_letters, hold, lint, producers, purge, retire, spool, verify

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The audit's own tools.")
app.add_typer(spool.app, name="spool")
retire.add_to(spool.app)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(hold.app, name="hold")
lint.add_to(app)
producers.add_to(app)
purge.add_to(app)
verify.add_to(app)
