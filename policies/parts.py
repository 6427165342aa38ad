"""A policy's text in, the parts that must all hold for it to apply out, each with its place. Pure.

A policy applies when principal, action and resource are in its scope, every `when` is true and no `unless` is. A
condition that is a conjunction is cut at its `&&`, so that what is false can be named by itself. The text is as Cedar
has accepted it: nothing is checked twice.
"""

from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from typing import Final

import msgspec

from policies.bundle import Policy
from policies.lexer import Span, tokens

_OPEN: Final = frozenset("([{")
_CLOSE: Final = frozenset(")]}")


class Kind(StrEnum):
    """What a part is of."""

    PRINCIPAL = "principal"
    ACTION = "action"
    RESOURCE = "resource"
    WHEN = "when"
    UNLESS = "unless"


class Part(msgspec.Struct, frozen=True, gc=False):
    """One part of a policy.

    Attributes:
        kind: Of the scope, or of which kind of condition.
        clause: Which of the policy's conditions it belongs to, from 0; -1 for the scope.
        text: As written, without blanks and comments around it.
        line: In the file, from 1.
        column: From 1, in characters.
    """

    kind: Kind
    clause: int
    text: str
    line: int
    column: int

    @property
    def asked(self) -> str:
        """A policy that applies exactly when this part, by itself, is true."""
        match self.kind:
            case Kind.PRINCIPAL:
                return f"permit ({self.text}\n, action, resource);"
            case Kind.ACTION:
                return f"permit (principal, {self.text}\n, resource);"
            case Kind.RESOURCE:
                return f"permit (principal, action, {self.text}\n);"
            case Kind.WHEN | Kind.UNLESS:
                return f"permit (principal, action, resource) when {{ {self.text}\n}};"


def parts(policy: Policy) -> tuple[Part, ...]:
    """The parts of a policy, in the order they are written."""
    return tuple(_Reader(policy).read())


class _Reader:
    """Goes through the words of one policy once."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._spans = list(tokens(policy.text))
        self._words = [policy.text[span.start : span.end] for span in self._spans]

    def read(self) -> Iterator[Part]:
        at = 0
        while self._words[at] == "@":
            at += 2
            if self._words[at] == "(":
                at = self._closing(at) + 1
        end = self._closing(at + 1)  # permit or forbid, then its scope
        scope = self._cut(at + 2, end, ",")
        for kind, (first, last) in zip((Kind.PRINCIPAL, Kind.ACTION, Kind.RESOURCE), scope, strict=False):
            yield self._part(kind, -1, first, last)
        at, clause = end + 1, 0
        while self._words[at] != ";":
            kind, close = Kind(self._words[at]), self._closing(at + 1)
            for first, last in self._conjuncts(at + 2, close):
                yield self._part(kind, clause, first, last)
            at, clause = close + 1, clause + 1

    def _conjuncts(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """What must all be true for the words from `first` to before `last` to be; the whole where it is no `&&`."""
        while self._words[first] == "(" and self._closing(first) == last - 1:
            first, last = first + 1, last - 1
        outside = [self._words[at] for at in self._outside(first, last)]
        if "||" in outside or "if" in outside or "&&" not in outside:
            yield first, last
            return
        for inner in self._cut(first, last, "&&"):
            yield from self._conjuncts(*inner)

    def _cut(self, first: int, last: int, separator: str) -> list[tuple[int, int]]:
        """The stretches between separators that stand outside all brackets."""
        at = [place for place in self._outside(first, last) if self._words[place] == separator]
        edges = [first - 1, *at, last]
        return [(one + 1, two) for one, two in pairwise(edges) if one + 1 < two]

    def _outside(self, first: int, last: int) -> Iterator[int]:
        """The places of the words that stand outside all brackets."""
        depth = 0
        for at in range(first, last):
            if self._words[at] in _CLOSE:
                depth -= 1
            if depth == 0:
                yield at
            if self._words[at] in _OPEN:
                depth += 1

    def _closing(self, at: int) -> int:
        """The place of the bracket that closes the one at `at`."""
        depth = 0
        for place in range(at, len(self._words)):
            depth += (self._words[place] in _OPEN) - (self._words[place] in _CLOSE)
            if depth == 0:
                return place
        raise ValueError("a bracket that is not closed")

    def _part(self, kind: Kind, clause: int, first: int, last: int) -> Part:
        span = Span(self._spans[first].start, self._spans[last - 1].end)
        before = self._policy.text[: span.start]
        line = before.count("\n")
        column = len(before) - (before.rfind("\n") + 1) + 1
        return Part(
            kind=kind,
            clause=clause,
            text=self._policy.text[span.start : span.end],
            line=self._policy.line + line,
            column=column if line else column + self._policy.column - 1,
        )
