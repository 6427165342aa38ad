"""A tally in, what is printed out: lines for people, or one JSON object. Pure.

What events say is printed as text that a terminal cannot take for anything else.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from policies.replay.tally import Expectation, Flip, Tally


class Report(msgspec.Struct, frozen=True):
    """What a replay found.

    Attributes:
        candidate: The version of the policies that decided.
        tally: What was counted.
        flips: As `Tally.flips` gave them.
        unmet: Expectations of which nothing came.
    """

    candidate: str
    tally: Tally
    flips: list[Flip]
    unmet: Sequence[Expectation]

    @property
    def incidents(self) -> int:
        """How many decisions came out otherwise that nobody expects to."""
        return sum(flip.count for flip in self.flips if not flip.expected)

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        tally = self.tally
        return {
            "candidate": self.candidate,
            "decisions": tally.decisions,
            "same": tally.same,
            "incidents": self.incidents,
            "flips": msgspec.to_builtins(self.flips),
            "undecidable": msgspec.to_builtins(tally.undecided()),
            "ignored": dict(sorted(tally.ignored.items())),
            "malformed": {
                "count": tally.malformed,
                "first": [{"line": at, "reason": why} for at, why in tally.malformed_at],
            },
            "policy_versions": dict(tally.policy_versions.most_common()),
            "unmet": msgspec.to_builtins(list(self.unmet)),
        }

    def as_lines(self) -> Iterator[str]:
        """For people."""
        tally = self.tally
        undecided = tally.undecided()
        expected = sum(flip.count for flip in self.flips if flip.expected)
        yield (
            f"{tally.decisions} decisions by the candidate {self.candidate}: {tally.same} the same, "
            f"{self.incidents} otherwise, {expected} otherwise as expected, "
            f"{sum(group.count for group in undecided)} undecidable"
        )
        for flip in self.flips:
            yield from _flip(flip)
        if undecided:
            yield "undecidable:"
        for group in undecided:
            detail = f": {printable(group.detail)}" if group.detail else ""
            yield f"  {group.count} x {printable(group.action)}: {group.why}{detail}"
            yield f"      {' '.join(group.examples)}"
        for each in self.unmet:
            yield f"expected and not seen: {each.role} {each.action} {each.resource}: {each.before} to {each.to}"
        if tally.ignored:
            counted = ", ".join(f"{count} {printable(kind)}" for kind, count in sorted(tally.ignored.items()))
            yield f"left out: {counted}"
        if tally.malformed:
            yield f"malformed: {tally.malformed} lines, the first: " + ", ".join(
                f"line {at} ({why})" for at, why in tally.malformed_at
            )


def printable(text: str) -> str:
    """A text without what a terminal would act on."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _flip(flip: Flip) -> Iterator[str]:
    mark = "  expected " if flip.expected else "! "
    who = f"{printable(flip.role)} {printable(flip.action)} {printable(flip.resource)}"
    verdict = flip.verdict.replace("_", " ")
    yield f"{mark}{verdict}: {flip.count} x {who}: {_by(flip.before, flip.was_by)} -> {_by(flip.to, flip.is_by)}"
    yield f"      {' '.join(flip.examples)}"


def _by(effect: str, reasons: tuple[str, ...]) -> str:
    return f"{effect} by {', '.join(map(printable, reasons))}" if reasons else f"{effect} by default"
