"""What the site needs beyond Markdown: a menu from the folders, pages for what is linked outside `docs/`, the diagrams.

A menu that is written by hand would be a second list of pages. A section is a folder; its pages come in the order that
`FIRST` names and then by title. Decisions are many and short, so the menu has their index only.

A page that links to a file of the repository outside `docs/` must work in the repository and on the site. On the site,
Markdown from there is a page under `project/`, with its own links followed the same way; any other file is a page under
`source/` that shows its text.
"""

import os
import posixpath
import re
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
RULES = ROOT / "deploy" / "prometheus"
MERMAID = ROOT / ".lychgate" / "site" / "mermaid.min.js"
SECTIONS = {
    "tutorial": "Tutorial",
    "guides": "How-to",
    "reference": "Reference",
    "explanation": "Explanation",
    "runbook": "Runbook",
    "adr": "Decisions",
}
"""Folder to what the menu calls it, in the menu's order."""
FIRST = {
    "guides": [
        *("put-a-service-behind-it", "import-routes", "add-a-route", "event-types", "coverage"),
        *("policies", "decision-tables", "replay-and-shadow", "add-a-role", "add-a-tenant"),
        *("connect-an-identity-provider", "tls", "other-proxies", "decision-api"),
        *("who-did-this", "retention", "redaction", "sinks", "kafka"),
        *("compose", "kubernetes", "tracing", "read-the-logs"),
    ],
    "explanation": ["the-way-of-a-request", "the-way-of-an-event", "audit-pipeline"],
    "runbook": ["metrics-and-alerts", "spool", "store", "backup-and-restore", "upgrade", "keys"],
}

_LINK = re.compile(r"(?<!\\)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]*)?\)")
_FENCE = re.compile(r"^```(?P<language>[\w+-]+)(?P<rest> [^\n`]+)$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def title_of(page: Path) -> str:
    """A page's heading; its file's name when it has none."""
    heading = re.search(r"^# (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return heading[1].replace("`", "").strip() if heading else page.stem


def menu() -> list[Any]:
    """What stands in `docs/`, as mkdocs wants its `nav`."""
    found: list[Any] = [{"Home": "index.md"}]
    for folder, called in SECTIONS.items():
        if folder == "adr":
            found.append({called: ["adr/index.md"]})
            continue
        pages = _in_order(folder, sorted((DOCS / folder).glob("*.md")))
        listed: list[Any] = [f"{folder}/index.md"] if f"{folder}/index.md" in MADE else []
        listed += [{title_of(page): f"{folder}/{page.name}"} for page in pages]
        for inner in sorted(path for path in (DOCS / folder).iterdir() if path.is_dir() and any(path.glob("*.md"))):
            below = _in_order(f"{folder}/{inner.name}", sorted(inner.glob("*.md")))
            index = [f"{folder}/{inner.name}/index.md"] if f"{folder}/{inner.name}/index.md" in MADE else []
            named = [f"{folder}/{inner.name}/{page.name}" for page in below]
            listed.append({inner.name.capitalize(): [*index, *named]})
        if listed:
            found.append({called: listed})
    return [*found, {"Threat model": "threat-model.md"}, {"Backlog": "backlog.md"}]


def _in_order(folder: str, pages: list[Path]) -> list[Path]:
    first = ["index", *FIRST.get(folder, [])]
    if gone := set(first[1:]) - {page.stem for page in pages}:
        raise PluginError(f"docs/_site/hooks.py: {folder}/{min(gone)}.md comes first, and is not there")
    return sorted(pages, key=lambda page: (first.index(page.stem) if page.stem in first else 99, title_of(page)))


def decisions() -> str:
    """The index of decision records: number, title, state."""
    rows = ["# Decisions", "", "What was chosen, why, and what was not. Never edited, only superseded.", ""]
    rows += ["| | decision | |", "|---|---|---|"]
    for page in sorted((DOCS / "adr").glob("0*.md")):
        number, _, title = title_of(page).partition(" ")
        status = re.search(r"^(?:\*\*)?Status:(?:\*\*)? ([a-z]+(?: by \d+)?)", page.read_text("utf-8"), re.MULTILINE)
        rows.append(f"| {int(number.rstrip('.'))} | [{title}]({page.name}) | {status[1] if status else ''} |")
    return "\n".join(rows) + "\n"


def alert_rules() -> dict[str, dict[str, Any]]:
    """Each alert's rule, from the files that Prometheus reads."""
    read = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(RULES.glob("*.rules.yml"))]
    rules = [rule for file in read for group in file["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def alerts() -> str:
    """The index of alerts: how urgent each is, and what it says."""
    rows = ["# Alerts", "", "`page` wakes somebody up; `warn` can wait for the morning.", ""]
    rows += ["| alert | | says |", "|---|---|---|"]
    for name, rule in sorted(alert_rules().items()):
        rows.append(f"| [{name}]({name}.md) | {rule['labels']['severity']} | {rule['annotations']['summary']} |")
    return "\n".join(rows) + "\n"


def condition(name: str) -> str:
    """What an alert's page shows of its rule, so that no page repeats a threshold."""
    rule = alert_rules()[name]
    lasting = f" for {rule['for']}" if "for" in rule else ""
    return f"`{rule['labels']['severity']}`{lasting}:\n\n```promql\n{rule['expr'].strip()}\n```\n"


def contents(folder: str) -> str:
    """A section's own page: what is in it, each with its first sentence."""
    pages = _in_order(folder, sorted((DOCS / folder).glob("*.md")))
    rows = [f"# {SECTIONS[folder]}", "", "| page | begins |", "|---|---|"]
    rows += [f"| [{title_of(page)}]({page.name}) | {opening(page)} |" for page in pages]
    return "\n".join(rows) + "\n"


def opening(page: Path) -> str:
    """The first sentence under a page's heading, without its links; nothing where it begins with a table or a block."""
    text = re.sub(r"<!--.*?-->", "", page.read_text(encoding="utf-8"))
    below = re.split(r"^# .+\n+", text, maxsplit=1, flags=re.MULTILINE)[-1]  # the first: later ones stand in code
    paragraph = below.partition("\n\n")[0]
    if not re.match(r"[\w*`\[]", paragraph) or paragraph.startswith("```"):
        return ""
    text = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", " ".join(paragraph.split()))
    return re.split(r"(?<=[.?])\s", text)[0].rstrip(":").replace("|", "&#124;")


MADE = {
    "adr/index.md": decisions,
    "runbook/alerts/index.md": alerts,
    **{f"{folder}/index.md": partial(contents, folder) for folder in ("guides", "reference", "explanation", "runbook")},
}
"""Pages of the site that no file is: what makes each."""


def place(target: Path) -> str:
    """Where on the site a file or folder of the repository stands."""
    inside = target.relative_to(ROOT)
    if target.is_dir():
        index = Path(os.path.relpath(target / "index.md", DOCS)).as_posix()
        if (target / "index.md").exists() or index in MADE:
            return index
        if not (target / "README.md").exists():
            raise PluginError(f"{inside}/ is linked to, and has no page of its own")
        return place(target / "README.md")
    if inside.parts[0] == "docs":
        return inside.relative_to("docs").as_posix()
    name = inside.as_posix()
    return f"project/{name}" if name.endswith(".md") else f"source/{name}.md"


def linked(text: str, here: Path) -> list[Path]:
    """The files of the repository that a page links to; code is no link."""
    found = []
    for link in _LINK.finditer(_FENCED.sub("", text)):
        target = Path(os.path.normpath(here.parent / link["target"]))
        if target.is_relative_to(ROOT) and target.exists():
            found.append(target)
    return found


def rewritten(text: str, here: Path) -> str:
    """A page's links as they must read on the site."""
    base = posixpath.dirname(place(here))

    def led(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(here.parent / link["target"]))
        if not (target.is_relative_to(ROOT) and target.exists()):
            return link[0]  # an address, or mkdocs' business to complain
        if DOCS in here.parents and DOCS in target.parents and target.is_file():
            return link[0]
        return f"]({posixpath.relpath(place(target), base or '.')}{link['anchor'] or ''})"

    def fence(opening: re.Match[str]) -> str:
        if "title=" in opening["rest"]:
            return opening[0]
        named = re.search(r"\b(?:file|append)=(\S+)", opening["rest"])
        return f"```{opening['language']}" + (f' title="{named[1]}"' if named else "")

    parts = re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL)
    return "".join(_FENCE.sub(fence, part) if part.startswith("```") else _LINK.sub(led, part) for part in parts)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The menu."""
    config.nav = menu()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the index of decisions, what is linked outside `docs/`, and the program that draws diagrams."""
    for name, made in MADE.items():
        if (DOCS / name).exists():
            raise PluginError(f"docs/{name} is a page that the site makes")
        files.append(File.generated(config, name, content=made()))
    if not MERMAID.exists():
        raise PluginError(f"{MERMAID.relative_to(ROOT)} is missing: run .ci/site")
    files.append(File.generated(config, "assets/mermaid.min.js", abs_src_path=str(MERMAID)))
    waiting = [DOCS / file.src_uri for file in files.documentation_pages() if file.src_uri not in MADE]
    seen = set(waiting)
    while waiting:
        here = waiting.pop()
        for target in linked(here.read_text(encoding="utf-8"), here):
            if target in seen or target.is_dir() or DOCS in target.parents:
                continue
            seen.add(target)
            text = target.read_text(encoding="utf-8")
            if target.suffix == ".md":
                waiting.append(target)
                text = rewritten(text, target)
            else:
                text = f"# `{target.relative_to(ROOT)}`\n\n~~~~~~{target.suffix[1:]}\n{text}\n~~~~~~\n"
            files.append(File.generated(config, place(target), content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links out of `docs/`, and fences that say which file they are."""
    source = DOCS / page.file.src_uri
    if not source.exists():
        return markdown
    if source.parent == DOCS:  # a section of one page: its tables have more use for the room
        page.meta["hide"] = ["navigation"]
    if source.parent == DOCS / "runbook" / "alerts":
        title, _, rest = markdown.partition("\n")
        markdown = f"{title}\n\n{condition(source.stem)}\n{rest}"
    return rewritten(markdown, source)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A diagram may be wider than its column; a test's name may be broken where its parts meet."""
    html = re.sub(r"<code>[^<\n]{37,}</code>", lambda code: re.sub("((?<!<)/|::|_)", r"\1<wbr>", code[0]), html)
    return re.sub(r'<pre class="mermaid">.*?</pre>', r'<div class="diagram">\g<0></div>', html, flags=re.DOTALL)


def on_post_build(config: MkDocsConfig) -> None:
    """The theme would fetch two programs from elsewhere, should they be missing; they are not, and it shall not."""
    site = Path(config.site_dir)
    for script in (site / "assets" / "javascripts").glob("*.js"):
        text = script.read_text(encoding="utf-8")
        script.write_text(re.sub(r"https://unpkg\.com/[\w@./-]*", "about:blank", text), encoding="utf-8")
    for leftover in (site / "assets" / "javascripts").rglob("*.map"):
        leftover.unlink()
