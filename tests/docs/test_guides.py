"""The short guides: their files are put in place and their commands run, on a copy of the shipped files."""

import os
import re
import shutil
from pathlib import Path

import click
import pytest
import typer.main

from lychgate.cli import app
from lychgate.reference.metrics import described
from tests.builders.pages import blocks, run

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs/guides"
PACKAGES = ("audit", "gateway", "lychgate", "query")
PAGES = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CONTRIBUTING.md")),
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if not {"adr", "reference"} & set(page.parts)),
]
RUN = ["add-a-route", "add-a-role", "connect-an-identity-provider", "tls"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files that the guides speak of."""
    for folder, pattern in (("policies", "*.cedar*"), ("roles", "*.toml"), ("tests/cases/decisions", "*.yaml")):
        (tmp_path / folder).mkdir(parents=True)
        for file in (ROOT / folder).glob(pattern):
            shutil.copy(file, tmp_path / folder)
    for name in ("routes.toml", "lychgate.yaml", "tests/cases/mutants_allowed.yaml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", RUN)
def test_a_guide_does_what_it_says(name: str, checkout: Path) -> None:
    """In order; what is only shown is marked as text or as a query."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("LYCHGATE_")}
    found = [block for block in blocks(GUIDES / f"{name}.md") if block.language not in {"text", "promql"}]
    assert found
    for block in found:
        run(block, checkout, kept)


def test_log_lines_that_are_explained_exist() -> None:
    """Each word in the table of docs/guides/read-the-logs.md is one that some module logs; no error is missing."""
    code = "\n".join(path.read_text("utf-8") for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    page = (GUIDES / "read-the-logs.md").read_text("utf-8").partition("| `event` |")[2]
    words = {
        word for row in page.splitlines() if row.startswith("| `") for word in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    assert [word for word in sorted(words) if f'"{word}"' not in code] == []
    grave = set(re.findall(r'_log\.(?:error|exception|critical)\(\s*"(\w+)"', code))
    assert len(grave) > 20
    assert grave - words == set()


def typed(page: Path) -> list[list[str]]:
    """What a page shows of our command line, word by word: in blocks, indented or fenced, and in the text."""
    code = re.findall(r"^```.*?^```$|(?:^ {4}\S.*\n)+|`[^`\n]+`", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    shown = r"(?:^|[\s`/(])lychgate ([a-z][^`\n|;>#)]*)"
    return [words.split() for piece in code for words in re.findall(shown, piece.replace("\\\n", " "))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_has_somebody_type_exists(page: Path) -> None:
    """Each command is one, and has the options it is shown with."""
    for words in typed(page):
        command: click.Command = typer.main.get_command(app)
        rest = iter(words)
        while hasattr(command, "commands") and (word := next(rest, "-")) not in {"...", "…"} and word[0] != "-":
            assert word in command.commands, words
            command = command.commands[word]
        options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        named = {word.partition("=")[0].rstrip(".,:") for word in rest if re.match(r"--?[a-z]", word)}
        assert named <= options | {"--help"}, words


def test_what_pages_show_is_seen() -> None:
    """The check itself: a good many commands are found, more than one of them with options."""
    found = [words for page in PAGES for words in typed(page)]
    assert len(found) > 150
    assert sum(any(word.startswith("--") for word in words) for words in found) > 40


def _looked_up(page: str) -> set[str]:
    """The keys of a generated page's tables, and those they are below of: `audit.spool` of `audit.spool.folder`."""
    text = (ROOT / "docs" / "reference" / page).read_text("utf-8")
    keys = set(re.findall(r"^\| `([\w.]+)`", text.replace("[N]", ""), re.MULTILINE))
    return keys | {key.rsplit(".", count)[0] for key in keys for count in (1, 2, 3)}


SETTINGS = _looked_up("settings.md")
VALUES = _looked_up("chart.md")
METRICS = {metric.name for metrics in described().values() for metric in metrics}
TYPES = {path.stem for path in (ROOT / "docs/reference/schemas").glob("*.json")}
FILES = (".toml", ".yml", ".yaml", ".jwk", ".env", ".py", ".md")
ELSEWHERE = {"context.error.message", "audit.held_by", "audit.checkpoints", "audit.watermark", "audit.unreadable"}
"""A field of OpenID AuthZEN's, one of `/internal/status`, topics, and the types of what travels there beside events."""
SECTIONS = "|".join(sorted({key.partition(".")[0] for key in SETTINGS | VALUES}))


def _code(key: str) -> bool:
    """Whether it is a package, a module, or a name in one."""
    place = ROOT / key.replace(".", "/")
    module, package = place.parent.with_suffix(".py"), place.parent / "__init__.py"
    inside = "".join(each.read_text("utf-8") for each in (module, package) if each.exists())
    return place.is_dir() or place.with_suffix(".py").exists() or bool(re.search(rf"\b{place.name}\b", inside))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page: Path) -> None:
    """Settings, values of the chart, variables and metrics, wherever a page speaks of one."""
    text = page.read_text("utf-8")
    keys = set(re.findall(rf"`((?:{SECTIONS})\.[A-Za-z_.]+)[`:=]", text))
    known = SETTINGS | VALUES | TYPES | ELSEWHERE
    assert sorted(key for key in keys - known if not key.endswith(FILES) and not _code(key)) == []
    variables = {name.lower().replace("__", ".") for name in re.findall(r"\bLYCHGATE_([A-Z0-9]+__[A-Z0-9_]+)\b", text)}
    assert {each for each in variables if each not in SETTINGS and each.rpartition(".")[0] not in SETTINGS} == set()
    named = re.findall(r"(?<![\w:])(?:audit|lychgate|auth)_[a-z0-9_]+_(?:total|seconds|bytes|ratio|incidents)\b", text)
    assert set(named) - METRICS == set()
