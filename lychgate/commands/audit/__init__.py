"""`lychgate audit ...`: the audit's own tools, a module each."""

import typer

from lychgate.commands.audit import (
    coverage,
    dead_letters,
    drain,
    hold,
    lint,
    outbox,
    producers,
    purge,
    retire,
    spool,
    verify,
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The audit's own tools.")
app.add_typer(spool.app, name="spool")
retire.add_to(spool.app)
drain.add_to(spool.app)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(hold.app, name="hold")
app.add_typer(outbox.app, name="outbox")
coverage.add_to(app)
lint.add_to(app)
producers.add_to(app)
purge.add_to(app)
verify.add_to(app)
