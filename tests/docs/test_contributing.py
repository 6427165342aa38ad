"""CONTRIBUTING.md and SECURITY.md: the snippet on emitting an event is run; settings and commands they name exist."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main

from audit.spool.inspect import dump
from lychgate.cli import app
from roles.security_context import RequestContext
from roles.security_context.context import on_behalf_of
from tests.builders.pages import blocks

ROOT = Path(__file__).parents[2]
CALLER = RequestContext(
    tenant_id="acme",
    sub="u-17",
    idp="acme-idp",
    roles=("Cashier",),
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    decision_id="",
    policy_version="",
    act=None,
    token="",
)


def snippet() -> str:
    """The page's Python."""
    (found,) = [block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.language == "python"]
    return found


def emitted(tmp_path: Path, code: str) -> list[dict[str, Any]]:
    """What stands on the disk after the code has run with a real producer, while a caller's request is served."""
    found: dict[str, Any] = {"SPOOL": tmp_path, "order_id": "o-1"}
    try:
        with on_behalf_of(CALLER):
            exec(compile(code, "CONTRIBUTING.md", "exec"), found)  # noqa: S102 - our own page
    finally:
        found["audit"].close()
    return [json.loads(record) for record in dump(tmp_path)]


def test_the_snippet_records_what_it_says(tmp_path: Path) -> None:
    """One domain event with its change, as a success."""
    (event,) = emitted(tmp_path, snippet())
    assert (event["event_type"], event["kind"], event["outcome"]) == ("order.order.cancelled", "domain", "success")
    assert (event["tenant_id"], event["trace_id"], event["actor"]["id"]) == ("acme", CALLER.trace_id, "u-17")
    assert event["changes"] == [{"path": "/status", "old": "paid", "new": "cancelled"}]


def test_a_failure_in_it_is_recorded_and_goes_on(tmp_path: Path) -> None:
    """As its comment says."""
    body = re.sub(r"^    \.\.\..*$", '    raise LookupError("gone")', snippet(), flags=re.MULTILINE)
    assert body != snippet()
    with pytest.raises(LookupError):
        emitted(tmp_path, textwrap.dedent(body))
    (event,) = [json.loads(record) for record in dump(tmp_path)]
    assert event["outcome"] == "failure"


@pytest.mark.parametrize("page", ["SECURITY.md", "CONTRIBUTING.md", "README.md"])
def test_settings_and_commands_that_are_named_exist(page: str) -> None:
    """Dotted keys stand in the reference; `lychgate ...` is a command."""
    text = (ROOT / page).read_text(encoding="utf-8")
    reference = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8").replace("issuers[N]", "issuers[]")
    sections = "gateway|ops|query|audit|store|doors|tenancy|services|issuers\\[\\]|redis|revocation"
    for key in re.findall(rf"`((?:{sections})\.[A-Za-z_.]+)(?::[^`]*)?`", text):
        known = f"`{key}" in reference or (ROOT / key.replace(".", "/")).with_suffix("").exists()
        module = key.rpartition(".")[0].replace(".", "/")
        assert known or (ROOT / f"{module}.py").exists(), f"{page}: {key}"
    for words in re.findall(r"`(?:\.venv/bin/)?lychgate ([a-z -]+?)(?:`| \.\.\.)", text):
        command: click.Command = typer.main.get_command(app)
        for word in words.split():
            if not word.startswith("-"):
                assert word in getattr(command, "commands", {}), f"{page}: lychgate {words}"
                command = command.commands[word]  # type: ignore[attr-defined]
