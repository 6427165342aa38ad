"""Every alert has its page, and what the page tells somebody to type at night exists: commands, options, metrics."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import asyncpg
import click
import pytest
import typer.main
import yaml

from gateway.ops import actions
from lychgate.cli import app
from lychgate.reference.metrics import described
from tests.builders.pages import blocks
from tests.servers.postgres import Logins
from tests.servers.programs import promtool

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/runbook/alerts"
RULES = [
    rule
    for file in sorted((ROOT / "deploy/prometheus").glob("*.rules.yml"))
    for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in RULES if "alert" in rule}
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
PARTS = ["Who is hurt", "Look", "Do", "It is over when", "When it is false"]
SQL = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "audit/sql").glob("*.sql")))
PATHS = {"/healthz", "/readyz"} | {route.template for route in vars(actions).values() if hasattr(route, "template")}


def text_of(name: str) -> str:
    """An alert's page."""
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def test_alerts_and_pages_match() -> None:
    """One page an alert, and none for what alerts nobody."""
    assert {page.stem for page in FOLDER.glob("*.md")} == set(ALERTS)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_an_alert_leads_to_its_page(name: str) -> None:
    """A severity, a summary, and the page's path."""
    rule = ALERTS[name]
    assert rule["labels"]["severity"] in {"warn", "page"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook_url"] == f"docs/runbook/alerts/{name}.md"


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_page_has_its_parts(name: str) -> None:
    """What it means, and the five questions in their order, each answered in more than a word."""
    title, *rest = re.split(r"^#+ ", text_of(name), flags=re.MULTILINE)[1:]
    assert title.startswith(f"{name}\n")
    assert len(title.split()) > 8
    assert [part.partition("\n")[0] for part in rest] == PARTS
    for part in rest:
        heading, _, body = part.partition("\n")
        assert len(body.split()) >= (10 if heading in {"Look", "Do"} else 5), f"{name}: {heading}"
    assert ALERTS[name]["annotations"]["summary"] not in title  # it says more than the alert does


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_page_shows_how_to_look(name: str) -> None:
    """At least one thing to type, and each block is of a kind that is checked here."""
    found = [block.language for block in blocks(FOLDER / f"{name}.md")]
    assert {"console", "promql", "sql"} & set(found)
    assert set(found) <= {"console", "promql", "sql"}


def commands() -> list[tuple[str, str]]:
    """Every line that a page has somebody type into a shell."""
    found = []
    for name in sorted(ALERTS):
        for fence in re.findall(r"^ *```console\n(.*?)^ *```", text_of(name), re.MULTILINE | re.DOTALL):
            found += [(name, line.strip().removeprefix("$ ")) for line in fence.splitlines() if line.strip()]
    return found


@pytest.mark.parametrize(("name", "command"), commands())
def test_a_command_is_one(name: str, command: str) -> None:
    """Ours is parsed by the command line itself; curl goes to a path that a port of ours has; the rest is `ls`."""
    words = shlex.split(command.split(" | ", maxsplit=1)[0])
    if words[0] == "lychgate":
        assert accepted(words[1:]), command
    elif words[0] == "curl":
        url = next(word for word in words if word.startswith("http"))
        path = re.sub(r"^http://127\.0\.0\.1:\d+", "", url).partition("?")[0]
        assert path in PATHS | {"/audit/events"}, command
    else:
        assert words[0] == "ls", command


def accepted(words: list[str]) -> bool:
    """Whether the command line takes these words; nothing is run."""
    command: click.Command = typer.main.get_command(app)
    context = click.Context(command)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
        context = click.Context(command, parent=context)
    command.make_context(command.name, list(words), parent=context)
    return True


def test_what_no_command_takes_is_seen() -> None:
    """The check itself: an unknown command, an unknown option, a missing argument."""
    for words in ("audit spool heal", "audit purge --wet-run", "audit spool retire"):
        with pytest.raises((KeyError, Exception), match=r"heal|wet-run|[Mm]issing"):
            accepted(words.split())


def queries() -> list[str]:
    """Every PromQL line of the pages."""
    return [line for name in sorted(ALERTS) for b in blocks(FOLDER / f"{name}.md") if b.language == "promql"
            for line in b.text.splitlines() if line]  # fmt: skip


def test_queries_are_promql(tmp_path: Path) -> None:
    """Prometheus' own parser reads each."""
    rules = [{"record": f"tried:{number}", "expr": query} for number, query in enumerate(queries())]
    file = tmp_path / "tried.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "tried", "rules": rules}]}))
    done = subprocess.run([promtool(), "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_sql_runs(migrated_database: Logins) -> None:
    """Every statement, as whoever the pages say: the database's owner."""
    found = [(name, b.text) for name in sorted(ALERTS) for b in blocks(FOLDER / f"{name}.md") if b.language == "sql"]
    assert found
    connection = await asyncpg.connect(migrated_database.owner)
    try:
        for name, text in found:
            for statement in text.split(";")[:-1]:
                assert await connection.fetch(statement) is not None, name
    finally:
        await connection.close()


def test_metrics_that_are_named_exist() -> None:
    """In queries and in sentences."""
    known = {metric.name for metrics in described().values() for metric in metrics} | RECORDED
    gone = set()
    for name in ALERTS:
        for metric in re.findall(r"\b(?:(?:job|instance):)?(?:audit|lychgate)_[a-z_0-9]+(?::\w+)?", text_of(name)):
            bare = re.sub(r"_(?:bucket|count|sum)$", "", metric)
            if bare not in known and not logged(metric) and not re.search(rf"\b{metric}\b", SQL):
                gone.add(f"{name}: {metric}")
    assert gone == set()


def logged(word: str) -> bool:
    """Whether it is the name of a line in our logs, an answer's code, or a login of the store."""
    return bool(re.search(rf'"{word}"', LOGGED))


LOGGED = "\n".join(
    path.read_text(encoding="utf-8") for folder in ("audit", "gateway") for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_settings_that_are_named_exist(name: str) -> None:
    """`audit.relay.adopt_after_s` and the like stand in the reference."""
    reference = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    prefixes = r"audit\.(?:spool|kafka|redaction|retention|integrity|relay|clock|sinks)"
    prefixes += "|store|ops|gateway|policies|revocation|redis|context|doors|shadow|telemetry|decision_api"
    named = re.findall(rf"`((?:{prefixes})\.[a-z_.]+)`?", text_of(name))
    assert [key for key in named if f"`{key}" not in reference] == []
