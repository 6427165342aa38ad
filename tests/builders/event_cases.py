"""The labelled cases of `tests/cases/event_lint`, as files that the linter of events can be sent over."""

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from audit.registry.classes import services, source
from audit.registry.load import packaged, read
from audit.registry.model import Registry
from lychgate.event_lint.run import lint

FOLDER = Path(__file__).parents[1] / "cases" / "event_lint"
_LABEL = re.compile(r"\s*#! (?P<rules>[a-z-]+(?:, [a-z-]+)*)$")
_BEFORE = """\
from audit.event import Actor, AuditEvent, Change, Kind, Outcome, Phase, Producer, Resource, Severity
from audit.producer import AuditProducer
import shop_events
"""


class Case(NamedTuple):
    """A snippet and what is to be found in it.

    Attributes:
        name: The file it stands in, and its place in it.
        why: What it is about.
        code: Without labels.
        wanted: `line: rule` of each finding, counted in the snippet.
        wrong: Why the linter is not up to it, where it is not.
    """

    name: str
    why: str
    code: str
    wanted: frozenset[str]
    wrong: str = ""

    @property
    def held_out(self) -> bool:
        """Whether it was written after the linter."""
        return self.name.startswith("held_out")


@cache
def registry() -> Registry:
    """Of the made-up service."""
    return read((FOLDER / "registry.toml").read_text(encoding="utf-8"), "registry.toml", packaged().common)


@cache
def cases() -> tuple[Case, ...]:
    """Every case."""
    found = []
    for file in sorted(FOLDER.glob("*.yaml")):
        for number, entry in enumerate(yaml.safe_load(file.read_text(encoding="utf-8")), 1):
            wanted, lines = set(), []
            for line, text in enumerate(entry["code"].splitlines(), 1):
                label = _LABEL.search(text)
                wanted |= {f"{line}: {rule}" for rule in label["rules"].split(", ")} if label else set()
                lines.append(_LABEL.sub("", text))
            found.append(
                Case(
                    f"{file.stem}-{number}",
                    entry["why"],
                    "\n".join(lines) + "\n",
                    frozenset(wanted),
                    entry.get("wrong", ""),
                )
            )
    return tuple(found)


def found_in(case: Case, folder: Path) -> frozenset[str]:
    """What the linter finds in a case, in the form of its labels."""
    file = folder / f"{case.name.replace('-', '_')}.py"
    file.write_text(_BEFORE + case.code, encoding="utf-8")
    names = [name for own in services(registry()).values() for name in own]
    (folder / "shop_events.py").write_text(source(registry(), names, "the shop"), encoding="utf-8")
    findings = lint([folder], registry())
    before = _BEFORE.count("\n")
    return frozenset(f"{each.line - before}: {each.code}" for each in findings)
