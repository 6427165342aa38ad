"""The documentation's site: it builds strictly, asks no other host for anything, and a browser shows it."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.servers.browser import Browser, browser

ROOT = Path(__file__).parents[2]
DRAWN = [
    "explanation/audit-pipeline",
    "explanation/the-way-of-a-request",
    "explanation/the-way-of-an-event",
    "threat-model",
]

_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc\s*=\s*["']?(?P<src>[^"'\s>]+)"""
    r"""|<link\b[^>]*\bhref\s*=\s*["']?(?P<link>[^"'\s>]+)"""
    r"""|url\(\s*["']?(?P<url>[^"')]+)|@import\s+["'](?P<import>[^"']+)""",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    if not (ROOT / ".lychgate/site/mermaid.min.js").exists():
        if os.environ.get("CI"):
            pytest.fail(".ci/site has not run")
        pytest.skip(".ci/site has not run")
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout
    return folder


def build(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`mkdocs build --strict`; with what it said."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder), *words],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder, without a line for each."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the library
        """Say nothing."""


@pytest.fixture(scope="module")
def served(site: Path) -> Iterator[str]:
    """The site at a port of loopback; its URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def tab(served: str) -> Iterator[Browser]:
    """A browser that reaches nothing but loopback."""
    with browser() as opened:
        yield opened


def test_every_page_is_built(site: Path) -> None:
    """No page of `docs/` is left out, nor one that is linked outside of it; what builds the site is not in it."""
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert [str(page) for page in sorted(pages) if not (site / page).exists()] == []
    assert (site / "adr/index.html").read_text().count('href="0') >= len(list((ROOT / "docs/adr").glob("0*.md")))
    for page in ("CONTRIBUTING", "SECURITY", "index", "load/index"):
        assert (site / f"project/{page}.html").exists()
    assert not (site / "_site").exists()
    assert list(site.rglob("*.py")) == []


def test_a_block_says_which_file_it_is(site: Path) -> None:
    """Whether the page names it for its readers or for the test that writes it."""
    for page, names in (
        ("put-a-service-behind-it", ["app.py (before)", "routes.toml (added)"]),
        ("add-a-route", ["routes.toml"]),
    ):
        text = (site / f"guides/{page}.html").read_text("utf-8")
        assert [name for name in names if f'<span class="filename">{name}</span>' not in text] == []


@pytest.mark.parametrize("folder", ["guides", "reference", "explanation", "runbook"])
def test_a_sections_page_says_how_each_page_begins(site: Path, folder: str) -> None:
    """A reader chooses by that; a heading inside a block is none."""
    rows = re.findall(r"<tr>\s*<td><a .*?</tr>", (site / f"{folder}/index.html").read_text("utf-8"), re.DOTALL)
    assert len(rows) == len(list((ROOT / "docs" / folder).glob("*.md")))
    assert [row for row in rows if re.search(r"<td>\s*</td>", row)] == []


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    """No page, style or script names an address that a browser would fetch; links that a reader follows may."""
    found = []
    for file in sorted(site.rglob("*")):
        if file.suffix not in {".html", ".css", ".svg"}:
            continue
        for match in _LOADED.finditer(re.sub(r"<pre>.*?</pre>", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)):
            target = next(value for value in match.groups() if value is not None)
            if re.match(r"(?:[a-z][a-z0-9+.-]*:)?//", target, re.IGNORECASE):
                found.append(f"{file.relative_to(site)}: {target}")
    assert found == []
    scripts = [path for path in site.rglob("*.js") if path.name != "mermaid.min.js"]
    assert scripts
    assert [
        path.name for path in scripts if re.search(r"unpkg|jsdelivr|cdnjs|googleapis|gstatic", path.read_text())
    ] == []


def test_each_page_forbids_the_browser_to_go_elsewhere(site: Path) -> None:
    """Should a page ask for something all the same, its policy refuses it."""
    for page in site.rglob("*.html"):
        assert "default-src 'self'" in page.read_text(encoding="utf-8"), page


def test_links_lead_somewhere(site: Path) -> None:
    """Every relative link of every page is a file of the site, and its anchor stands there."""
    ids = {page: set(re.findall(r'\bid="([^"]+)"', page.read_text(encoding="utf-8"))) for page in site.rglob("*.html")}
    broken = []
    for page in ids:
        for link in re.findall(r'<a\b[^>]*\bhref="([^"]+)"', page.read_text(encoding="utf-8")):
            path, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            target = (site / path[1:] if path.startswith("/") else page.parent / path).resolve() if path else page
            target = target / "index.html" if target.is_dir() else target
            if not target.exists() or (anchor and anchor not in ids.get(target, {anchor}) and anchor != "__search"):
                broken.append(f"{page.relative_to(site)}: {link}")
    assert broken == []


def test_make_and_ci_build_it_strictly() -> None:
    """The words of `make docs` are those that are tried here; `--quiet` would count no warning."""
    said = subprocess.run(["make", "-n", "docs"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (command,) = [line for line in said.splitlines() if "mkdocs build" in line]
    assert "--strict" in command.partition("#")[0]
    assert "--quiet" not in command.partition("#")[0]
    assert "\nmake docs\n" in (ROOT / ".ci/run").read_text(encoding="utf-8")


def test_a_broken_link_fails_the_build(tmp_path: Path) -> None:
    """Strict means strict: to a page, and to an anchor."""
    for link in ("nowhere.md", "errors.md#nowhere"):
        docs = tmp_path / "docs"
        docs.mkdir(exist_ok=True)
        (docs / "index.md").write_text(f"# Home\n\n[there]({link})\n")
        (docs / "errors.md").write_text("# Errors\n")
        settings = tmp_path / "mkdocs.yml"
        strict = (ROOT / "mkdocs.yml").read_text().partition("validation:")[2]
        settings.write_text(f"site_name: x\ntheme: null\nvalidation:{strict}")
        done = build(tmp_path / "out", "--config-file", str(settings))
        assert done.returncode != 0, done.stdout
        assert link in done.stdout


@pytest.mark.parametrize("page", DRAWN)
def test_diagrams_are_drawn(page: str, served: str, tab: Browser) -> None:
    """As many pictures as the page has diagrams, nothing on the console, nothing asked of anybody else."""
    wanted = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8").count("```mermaid")
    assert wanted
    tab.open(f"{served}/{page}.html")
    tab.wait("document.querySelectorAll('pre.mermaid').length === 0")

    def drawn() -> bool:
        names = tab.outlines()
        return names.count("svg") - tab.value("document.querySelectorAll('svg').length") >= wanted

    tab.until(drawn, f"{wanted} diagrams")
    assert not tab.value("document.body.innerText.includes('Syntax error')")
    assert tab.complaints == []
    assert [url for url in tab.asked if not url.startswith((served, "data:", "blob:"))] == []


def test_the_search_finds_a_page(served: str, tab: Browser) -> None:
    """What a reader types, in the index that the site carries."""
    tab.open(f"{served}/index.html")
    tab.value("document.querySelector('[data-md-toggle=search]').click()")
    tab.value("document.querySelector('input[name=query]').focus()")
    tab.tell("Input.insertText", text="watermark")
    tab.wait("document.querySelectorAll('.md-search-result__item a').length > 2")
    assert tab.complaints == []
    assert [url for url in tab.asked if not url.startswith((served, "data:", "blob:"))] == []


def test_a_narrow_screen_has_no_page_that_is_wider(served: str, tab: Browser) -> None:
    """Tables and diagrams scroll in themselves at 400 pixels."""
    tab.tell("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=True)
    try:
        for page in ("index", "reference/metrics", "threat-model", "explanation/audit-pipeline", "backlog"):
            tab.open(f"{served}/{page}.html")
            assert tab.value("document.documentElement.scrollWidth") <= 400, page
    finally:
        tab.tell("Emulation.clearDeviceMetricsOverride")
