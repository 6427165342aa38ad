"""A denied question in, the smallest changes of its context that would have made it an allow out. Pure.

Each change is tried by asking Cedar. Attributes are changed one at a time, then two, then three together; a set of
attributes of which a part is enough is not looked at, so none of what is found can do with less. Of each attribute the
nearest value that works is looked for: among numbers by halving the way to one that does.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations, product
from typing import Final, TypeGuard

import msgspec

from policies.bundle import Bundle
from policies.errors import NoDecision
from policies.literals import Absent, Candidate, candidates
from policies.model import Answer, Json, Question

MOST_TOGETHER: Final = 3
"""Attributes that are changed at once at most: whoever has to change more has asked for something else."""

MOST_ASKED: Final = 3_000
"""Questions that are put for one explanation; each takes about 0.1 ms."""


class Change(msgspec.Struct, frozen=True):
    """One attribute as it would have had to be.

    Attributes:
        attribute: Its name in the context.
        old: What it was; None where it was not there.
        new: What it would have had to be; None where it would have had to be away.
        removed: Whether it would have had to be away.
    """

    attribute: str
    old: Json
    new: Json
    removed: bool = False


class Changes(msgspec.Struct, frozen=True):
    """What was found.

    Attributes:
        sets: Each by itself is enough, and none can do with less; the smallest first.
        complete: False where the bound on questions was reached before everything was tried.
    """

    sets: tuple[tuple[Change, ...], ...]
    complete: bool


class _Exhausted(Exception):
    """No more questions."""


def smallest_changes(
    question: Question,
    bundle: Bundle,
    decide: Callable[[Question], Answer],
    fixed: frozenset[str] = frozenset(),
    most_asked: int = MOST_ASKED,
) -> Changes:
    """Find what would have had to be otherwise.

    Args:
        question: As it was denied.
        bundle: Whose policies denied it; says which values are worth trying.
        decide: Asks them.
        fixed: Attributes of the context that nobody who asks can change.
        most_asked: Where to stop.
    """
    return _Search(question, candidates(question, bundle, fixed), decide, most_asked).run()


class _Search:
    """The bounded work for one question."""

    def __init__(
        self,
        question: Question,
        values: Mapping[str, tuple[Candidate, ...]],
        decide: Callable[[Question], Answer],
        most_asked: int,
    ) -> None:
        self._question = question
        self._values = {name: found for name, found in values.items() if found}
        self._decide = decide
        self._left = most_asked
        self._found: list[dict[str, Candidate]] = []

    def run(self) -> Changes:
        complete = True
        try:
            for size in range(1, MOST_TOGETHER + 1):
                for names in combinations(self._values, size):
                    if not any(found.keys() <= set(names) for found in self._found):
                        self._try(names)
        except _Exhausted:
            complete = False
        return Changes(tuple(self._told(found) for found in self._found), complete)

    def _try(self, names: tuple[str, ...]) -> None:
        for values in self._nearest_first(names):
            changed = dict(zip(names, values, strict=True))
            if self._allows(changed):
                try:
                    for name in names:
                        changed[name] = self._nearer(changed, name)
                    changed = self._least(changed)
                finally:
                    self._found.append(changed)
                return

    def _least(self, changed: dict[str, Candidate]) -> dict[str, Candidate]:
        """Without what is not needed: halving may have come upon a value that is enough by itself."""
        for name in tuple(changed):
            fewer = {other: value for other, value in changed.items() if other != name}
            if fewer and self._allows(fewer):
                changed = fewer
        return changed

    def _nearest_first(self, names: tuple[str, ...]) -> Iterator[tuple[Candidate, ...]]:
        """Values for each name; what is near for all of them comes before what is far for one."""
        places: Iterator[tuple[int, ...]] = product(*(range(len(self._values[name])) for name in names))
        size = 1
        for name in names:
            size *= len(self._values[name])
        if size <= self._left:
            places = iter(sorted(places, key=sum))
        for chosen in places:
            yield tuple(self._values[name][place] for name, place in zip(names, chosen, strict=True))

    def _nearer(self, changed: Mapping[str, Candidate], name: str) -> Candidate:
        """Of a number that works, the nearest to the old one between the two."""
        works, old = changed[name], self._question.context.get(name)
        if not _is_number(works) or not _is_number(old):
            return works
        near, far = old, works
        while abs(far - near) > 1:
            middle = (near + far) // 2
            if self._allows({**changed, name: middle}):
                far = middle
            else:
                near = middle
        return far

    def _allows(self, changed: Mapping[str, Candidate]) -> bool:
        if self._left <= 0:
            raise _Exhausted
        self._left -= 1
        context = {**self._question.context, **changed}
        plain = {name: value for name, value in context.items() if not isinstance(value, Absent)}
        try:
            return self._decide(msgspec.structs.replace(self._question, context=plain)).allows
        except NoDecision:  # a value that the schema does not take, a set of the wrong members for one
            return False

    def _told(self, changed: Mapping[str, Candidate]) -> tuple[Change, ...]:
        old = self._question.context
        return tuple(
            Change(name, old.get(name), None, removed=True)
            if isinstance(value, Absent)
            else Change(name, old.get(name), value)
            for name, value in changed.items()
        )


def _is_number(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
