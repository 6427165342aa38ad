"""A set of whole numbers kept as ranges. Pure; how the spool knows which numbers of a sequence it has seen."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""First and last, both included."""


class RangeSet:
    """Numbers as sorted, disjoint, non-touching ranges: a sequence with few holes takes few bytes."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int | None = None) -> None:
        """Add a number, or all from `first` to `last`."""
        last = first if last is None else last
        if last < first:
            raise ValueError("a range that ends before it begins")
        firsts, lasts = self._firsts, self._lasts
        if lasts and first == lasts[-1] + 1:  # the usual case: the next number
            lasts[-1] = last
            return
        # Everything from index `low` up to `high` overlaps or touches the new range.
        low = bisect_right(lasts, first - 2)
        high = bisect_right(firsts, last + 1)
        if low < high:
            first = min(first, firsts[low])
            last = max(last, lasts[high - 1])
        firsts[low:high] = [first]
        lasts[low:high] = [last]

    def update(self, ranges: Iterable[Range]) -> None:
        """Add many."""
        for first, last in ranges:
            self.add(first, last)

    def without(self, other: "RangeSet") -> "RangeSet":
        """The numbers of this set that are not in the other."""
        left: list[Range] = []
        firsts, lasts = other._firsts, other._lasts  # noqa: SLF001  # the same class
        for begin, last in self:
            at = begin
            for index in range(bisect_right(lasts, at - 1), len(firsts)):
                taken_first, taken_last = firsts[index], lasts[index]
                if taken_first > last:
                    break
                if taken_first > at:
                    left.append((at, taken_first - 1))
                at = taken_last + 1
            if at <= last:
                left.append((at, last))
        return RangeSet(left)

    @property
    def last(self) -> int:
        """The greatest number; 0 for an empty set."""
        return self._lasts[-1] if self._lasts else 0

    @property
    def count(self) -> int:
        """How many numbers."""
        return sum(last - first + 1 for first, last in self)

    def __contains__(self, number: int) -> bool:
        index = bisect_right(self._firsts, number) - 1
        return index >= 0 and number <= self._lasts[index]

    def __iter__(self) -> Iterator[Range]:
        return zip(self._firsts, self._lasts, strict=True)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RangeSet) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"
