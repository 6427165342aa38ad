"""What holds for the tree as a whole: sizes, mirrors, forbidden words, generated pages, decisions, the change log."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lychgate.reference import PAGES
from roles.load import load_catalogue

ROOT = Path(__file__).parents[1]
PACKAGES = ("audit", "gateway", "lychgate", "policies", "query", "roles", "services")
CEILING, CONFTEST_CEILING = 400, 100
ADR_PARTS = ["Context", "Decision", "Consequences", "Rejected"]
FRAGMENT_TYPES = {"security", "added", "changed", "fixed", "removed"}


@cache
def tracked() -> tuple[str, ...]:
    """Every file of the repository, and every new one that is not ignored."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return tuple(sorted({name for name in listed if (ROOT / name).is_file()}))


@cache
def text_of(name: str) -> str:
    """A file's text; empty for what is not text, or is gone since it was listed."""
    try:
        return (ROOT / name).read_text(encoding="utf-8")
    except (UnicodeDecodeError, FileNotFoundError):
        return ""


def modules() -> list[str]:
    """Every module of our packages, as a path."""
    return [name for name in tracked() if name.endswith(".py") and name.startswith(tuple(f"{p}/" for p in PACKAGES))]


def dotted(name: str) -> str:
    """`audit/spool/writer.py` -> `audit.spool.writer`."""
    return name.removesuffix(".py").replace("/", ".")


def lines_with(pattern: str, names: Iterator[str] | tuple[str, ...] | list[str]) -> list[str]:
    """`file:line: text` of every line that matches."""
    wanted = re.compile(pattern)
    return [
        f"{name}:{number}: {line.strip()}"
        for name in names
        for number, line in enumerate(text_of(name).splitlines(), 1)
        if wanted.search(line)
    ]


def test_modules_are_small() -> None:
    """No module has more than 400 lines, no conftest more than 100."""
    sizes = {name: text_of(name).count("\n") for name in modules()}
    assert {name: size for name, size in sizes.items() if size > CEILING} == {}
    conftests = {name: text_of(name).count("\n") for name in tracked() if Path(name).name == "conftest.py"}
    assert {name: size for name, size in conftests.items() if size > CONFTEST_CEILING} == {}


def test_no_module_is_named_for_nothing() -> None:
    """A name says what is in it; these say that nobody knew."""
    empty = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
    assert [name for name in modules() if empty & set(Path(name).with_suffix("").parts)] == []


def test_every_module_is_known_to_a_test() -> None:
    """A module has its mirror `tests/<package>/test_<module>.py`, a test names it, or the list says which runs it."""
    through = tomllib.loads(text_of("tests/tested_through.toml"))["through"]
    tests = [name for name in tracked() if name.startswith("tests/") and name.endswith(".py")]
    named = "\n".join(text_of(name) for name in tests)
    unknown = []
    for name in modules():
        path = Path(name)
        parent, _, leaf = dotted(name).rpartition(".")
        if leaf in {"__init__", "__main__"} or f"tests/{path.parent}/test_{path.name}" in tests:
            continue
        by_name = rf"(?:from|import) {re.escape(dotted(name))}\b|from {re.escape(parent)} import [^\n]*\b{leaf}\b"
        if not re.search(by_name, named) and dotted(name) not in through:
            unknown.append(dotted(name))
    assert unknown == []
    assert [f"{module}: {test}" for module, test in through.items() if test not in tests] == []
    known = {dotted(name) for name in modules()}
    assert [module for module in through if module not in known] == []


def test_every_test_stands_where_its_module_does() -> None:
    """`tests/a/b/test_c.py` tests `a/b/c.py` or the package `a/b/c`; suites over several modules are named as such."""
    suites = re.compile(
        r"^tests/(?:e2e|servers|contract|builders|docs)/|_(?:vectors|story|chaos|kill)\.py$|/test_init\.py$"
    )
    whole = {"tests/test_repository.py", "tests/test_environment.py", "tests/policies/test_decisions.py"}
    lost = []
    for name in tracked():
        if not re.search(r"^tests/.*test_[^/]+\.py$", name) or suites.search(name) or name in whole:
            continue
        path = Path(name).relative_to("tests")
        source = path.with_name(path.name.removeprefix("test_"))
        if not (ROOT / source).exists() and not (ROOT / source.with_suffix("")).is_dir():
            lost.append(name)
    assert lost == []


def test_role_names_stand_in_the_catalogue_and_the_policies_only() -> None:
    """No code, configuration or route names a role; tests, documents, and policies in whichever language may."""
    names = load_catalogue(text_of("roles/roles.toml"), "roles.toml").names
    pattern = re.compile(rf"\b(?:{'|'.join(names)})\b")
    allowed = re.compile(
        r"^(?:tests|docs|changelog\.d)/|^(?:README|CHANGELOG|CONTRIBUTING)\.md$|^LICENSE$|\.cedar$|^spikes/.*\.polar$"
    )
    found = []
    for name in tracked():
        if allowed.search(name) or name == "roles/roles.toml":
            continue
        if name.endswith(".py"):
            found += [f"{name}:{line}: {text}" for line, text in _literals(text_of(name)) if pattern.search(text)]
        elif not name.endswith(".lock"):
            found += lines_with(pattern.pattern, [name])
    kubernetes = re.compile(r"^deploy/helm/\S+ .*(?:kind: Service$|\.Release\.Service\b)")  # its words, not our role
    assert [line for line in found if not kubernetes.search(line)] == []


def _literals(source: str) -> Iterator[tuple[int, str]]:
    """The string literals of a module; strings that stand alone are documentation."""
    tree = ast.parse(source)
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in alone:
            yield node.lineno, node.value


def test_nothing_is_left_to_do() -> None:
    """No reminder, no stub."""
    words = "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Error"])
    skipped = {"tests/test_repository.py", "LICENSE", "pyproject.toml"}
    names = [name for name in tracked() if name not in skipped and not name.endswith(".lock")]
    assert lines_with(rf"\b(?:{words})\b", names) == []


def test_exceptions_from_the_rules_are_narrow() -> None:
    """Each suppression names what it suppresses; no module leaves the type checker; nothing is swallowed."""
    names = [name for name in tracked() if name.endswith((".py", ".toml")) and name != "tests/test_repository.py"]
    assert (
        lines_with(r"#\s*noqa(?!:)|#\s*(?:ruff|flake8):\s*noqa\s*$|#\s*type:\s*ignore(?!\[)|^ignore_errors", names)
        == []
    )
    assert lines_with(r"except (?:Base)?Exception:\s*pass|except:\s", names) == []


def test_no_package_index_is_named() -> None:
    """Where packages come from is each machine's own business."""
    hosts = "|".join(["py" + r"pi\.org", "python" + r"hosted\.org", "index" + "-url", "simple" + r"/?['\"]?$"])
    skipped = {"tests/test_repository.py", "Makefile"}  # the Makefile asks the resolver to leave the address out
    assert lines_with(hosts, [name for name in tracked() if name not in skipped and not name.endswith(".md")]) == []
    assert "uv.lock" not in tracked()
    assert "--require-hashes" in text_of(".ci/setup")
    assert all("--hash=" in block for block in re.split(r"\n(?=[a-z])", text_of("requirements.lock")) if "==" in block)


def test_nothing_names_this_machine() -> None:
    """A path of one machine means nothing on another."""
    assert (
        lines_with(
            r"/(?:home|Users)/[a-z]+/|/work/" + r"main\b", [n for n in tracked() if n != "tests/test_repository.py"]
        )
        == []
    )


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_reference_is_up_to_date(name: str) -> None:
    """`make docs` would change nothing."""
    assert text_of(f"docs/reference/{name}") == PAGES[name](), "run `make docs`"


def test_decisions_are_numbered_and_complete() -> None:
    """One number a decision; each page has its four parts in order and a status, and fits about one page."""
    pages = [name for name in tracked() if name.startswith("docs/adr/") and name.endswith(".md")]
    numbers = [re.fullmatch(r"docs/adr/(\d{4})-[a-z0-9-]+\.md", name) for name in pages]
    assert pages
    assert [name for name, match in zip(pages, numbers, strict=True) if match is None] == []
    found = [match[1] for match in numbers if match is not None]
    assert len(set(found)) == len(found)
    for name, number in zip(pages, found, strict=True):
        text = text_of(name)
        assert re.match(rf"# (?:{number}|{int(number)}\.) \S", text), name
        assert re.search(r"^(?:\*\*)?Status:(?:\*\*)? (?:accepted|superseded by \d{4})", text, re.MULTILINE), name
        assert re.findall(r"^## (\w+)", text, re.MULTILINE) == ADR_PARTS, name
        assert text.count("\n") <= 80, name


def test_changelog_fragments_are_sentences() -> None:
    """`<word>.<type>.md`, one sentence a line."""
    for name in tracked():
        if not name.startswith("changelog.d/") or name.endswith(".gitkeep"):
            continue
        match = re.fullmatch(r"changelog\.d/[a-z0-9-]+\.([a-z]+)\.md", name)
        assert match, name
        assert match[1] in FRAGMENT_TYPES, name
        for line in text_of(name).splitlines():
            assert re.search(r"^\S.*(?:\.|\. \(\*\)|\.\))$", line), f"{name}: {line}"


def test_every_promise_of_the_audit_has_its_evidence() -> None:
    """The tests that `docs/explanation/the-way-of-an-event.md` names exist, and each row of its promises names one."""
    page = text_of("docs/explanation/the-way-of-an-event.md")
    promises = page.partition("## What is promised")[2].partition("## What it costs")[0]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and line != "| promise | shown by |"]
    assert rows
    for row in rows:
        found = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", row)
        assert found, row
        for file, name in found:
            assert (ROOT / file).exists(), row
            assert not name or f"def {name}(" in text_of(file), row
