"""Labelled handlers -> how often the scanner is right about them.

Reads comments of this form

    # label: shop.create_order changes=yes covered=no -- commit can fail, nothing is emitted then

anywhere in the files of a folder per framework; a name that begins with `@` is of the registration in the next lines.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lychgate.coverage.configuration import targets
from lychgate.coverage.model import Handler, Report, State
from lychgate.coverage.scan import scan
from lychgate.coverage.settings import CoverageSettings

_LABEL: Final = re.compile(r"# label: (\S+) changes=(yes|no) covered=(yes|no|ignored) -- (.+)$")
_NEAR: Final = 2


@dataclass(frozen=True, slots=True)
class Label:
    """What a person says of a handler.

    Attributes:
        framework: The folder's name.
        name: The end of its dotted name; `@` and a word for one that has none.
        file: Where the label stands.
        line: The same.
        changes: Whether it changes something.
        covered: Whether there is an event on every path; none where it is to be ignored.
        why: Why.
    """

    framework: str
    name: str
    file: str
    line: int
    changes: bool
    covered: bool | None
    why: str

    @property
    def uncovered(self) -> bool:
        """Whether it changes something and nobody would know."""
        return self.changes and self.covered is False


@dataclass(frozen=True, slots=True)
class Score:
    """How often a claim is right.

    Attributes:
        right: Claimed and so.
        too_much: Claimed and not so.
        missed: So and not claimed.
    """

    right: int
    too_much: int
    missed: int

    @property
    def precision(self) -> float:
        """Of what is claimed, the share that is so."""
        return self.right / (self.right + self.too_much) if self.right + self.too_much else 1.0

    @property
    def recall(self) -> float:
        """Of what is so, the share that is claimed."""
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """A labelled set and what the scanner says of it.

    Attributes:
        pairs: Each label with the handler; none where the scanner has not found it.
        unlabelled: Handlers that nobody has labelled.
    """

    pairs: tuple[tuple[Label, Handler | None], ...]
    unlabelled: tuple[Handler, ...]

    def uncovered(self, framework: str | None = None) -> Score:
        """Of the claim that a changing handler is uncovered."""
        return _score([(la.uncovered, ha is not None and ha.lacking) for la, ha in self._of(framework)])

    def changing(self, framework: str | None = None) -> Score:
        """Of the claim that a handler changes something."""
        return _score(
            [(la.changes, ha is not None and ha.state is not State.READING) for la, ha in self._of(framework)]
        )

    def wrong(self) -> Iterator[tuple[Label, Handler | None]]:
        """Every label that the scanner contradicts."""
        for label, handler in self.pairs:
            changes = handler is not None and handler.state is not State.READING
            if changes is not label.changes or (handler is not None and handler.lacking) is not label.uncovered:
                yield label, handler

    def _of(self, framework: str | None) -> list[tuple[Label, Handler | None]]:
        return [pair for pair in self.pairs if framework in {None, pair[0].framework}]


def _score(pairs: list[tuple[bool, bool]]) -> Score:
    return Score(
        sum(so and claimed for so, claimed in pairs),
        sum(claimed and not so for so, claimed in pairs),
        sum(so and not claimed for so, claimed in pairs),
    )


def measure(folder: Path) -> Measured:
    """Scan each folder of a labelled set, as a service of its own, and compare."""
    pairs: list[tuple[Label, Handler | None]] = []
    unlabelled: list[Handler] = []
    for service in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(("_", "."))):
        report = scan(targets([service], [], CoverageSettings(), folder), folder)
        labels = list(_labels(service, folder))
        matched = [(label, _matching(label, report)) for label in labels]
        pairs += matched
        known = {handler.name for _, handler in matched if handler is not None}
        unlabelled += [handler for handler in report.handlers if handler.name not in known]
    return Measured(tuple(pairs), tuple(unlabelled))


def _labels(service: Path, folder: Path) -> Iterator[Label]:
    for file in sorted(service.rglob("*.py")):
        shown = file.relative_to(folder).as_posix()
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            if match := _LABEL.search(line):
                covered = None if match[3] == "ignored" else match[3] == "yes"
                yield Label(service.name, match[1], shown, number, match[2] == "yes", covered, match[4])


def _matching(label: Label, report: Report) -> Handler | None:
    for handler in report.handlers:
        if label.name.startswith("@"):
            near = handler.place.file == label.file and 0 <= handler.place.line - label.line <= _NEAR
            if near and ":" in handler.name:
                return handler
        elif handler.name == label.name or handler.name.endswith(f".{label.name}"):
            return handler
    return None
