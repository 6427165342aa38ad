"""docs/reference/cli.md, from the commands themselves."""

import inspect
from collections.abc import Iterator
from typing import Any

import typer.main

from lychgate.cli import app
from lychgate.commands.report import ExitCode
from lychgate.reference.markdown import page as markdown_page
from lychgate.reference.markdown import table


def page() -> str:
    """The page."""
    codes = ", ".join(f"{code.value} {code.name.lower()}" for code in ExitCode)
    parts = [_command(words, command) for words, command in _commands((), typer.main.get_command(app))]
    return markdown_page("Command line", f"Exit codes: {codes} (or configuration).", *parts)


def _commands(words: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, inner in getattr(command, "commands", {}).items():
        if inner.hidden:
            continue
        if hasattr(inner, "commands"):
            yield from _commands((*words, name), inner)
        else:
            yield (*words, name), inner


def _command(words: tuple[str, ...], command: Any) -> str:
    options = [(f"`{_name(it)}`", getattr(it, "help", "") or "") for it in command.params if it.name != "help"]
    example = (command.epilog or "").replace("\b\n", "").removeprefix("Example:\n")
    parts = [f"## lychgate {' '.join(words)}", inspect.cleandoc(command.help or "")]
    parts += [table(("option", "meaning"), options), f"```console\n{inspect.cleandoc(example)}\n```"]
    return "\n\n".join(parts)


def _name(parameter: Any) -> str:
    """An option's spellings, or an argument's placeholder."""
    if parameter.param_type_name == "option":
        return " ".join(parameter.opts)
    return parameter.metavar or str(parameter.name).upper()
