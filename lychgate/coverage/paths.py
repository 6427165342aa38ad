"""The values that flow analysis computes with: how far a path has come, and how it leaves a block."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from lychgate.coverage.model import Place


class Emitted(IntEnum):
    """What is recorded on a path so far."""

    NO = 0
    YES = 1
    REFUSED = 2
    """The emitter failed: as long as the path ends in an error nothing happened that nobody knows of."""


class At(NamedTuple):
    """How far a path has come.

    Attributes:
        emitted: What is recorded.
        wrote: Whether something may have been changed.
        phase: In a context manager, 1 after its `yield` and 2 where the block raised; in a decorator, 1 once it has
            called what it decorates.
    """

    emitted: Emitted = Emitted.NO
    wrote: bool = False
    phase: int = 0

    def then(self, other: "At") -> "At":
        """After something whose own effect, from nothing, is `other`."""
        emitted = self.emitted if self.emitted is Emitted.YES or not other.emitted else other.emitted
        return At(emitted, self.wrote or other.wrote, self.phase)


START = At()


class Kind(IntEnum):
    """How an exception came about."""

    SILENT = 0
    """Anything may raise; that alone is nothing to be recorded before something was changed."""
    FAILED = 1
    """Something raises when something may have been changed."""
    RAISED = 2
    """The code refuses by itself."""
    UNRECORDED = 3
    """The emitter raises."""


class Raised(NamedTuple):
    """A way to leave by an exception.

    Attributes:
        at: Where the path stands.
        exc: The class as it is written; none where it can be any.
        kind: How it came about.
        place: Where.
        text: What raises, in words.
    """

    at: At
    exc: str | None
    kind: Kind
    place: Place
    text: str


class Returned(NamedTuple):
    """A way to leave by an answer."""

    at: At
    place: Place
    text: str


@dataclass(slots=True)
class Frame:
    """The ways out of a block, other than its end."""

    returns: set[Returned] = field(default_factory=set)
    raises: set[Raised] = field(default_factory=set)
    breaks: set[At] = field(default_factory=set)
    continues: set[At] = field(default_factory=set)

    def take(self, other: "Frame") -> None:
        """All of another's ways too."""
        self.returns |= other.returns
        self.raises |= other.raises
        self.breaks |= other.breaks
        self.continues |= other.continues


class Effect(NamedTuple):
    """What running a function, or entering and leaving a context, does to a path that comes to it.

    Attributes:
        ends: How far paths have come that end normally.
        returns: The same with their places.
        raises: Those that leave by an exception.
    """

    ends: frozenset[At]
    returns: frozenset[Returned]
    raises: frozenset[Raised]


class Context(NamedTuple):
    """What a `with` does beside its block.

    Attributes:
        enter: On the way in.
        leave: After a block that ends, returns, breaks.
        fail: After a block that raises; where it goes on raising.
        swallow: The same, where it goes on after the block as if nothing had been.
        raises_in: Exceptions on the way in.
        raises_out: Exceptions after a block that did not raise.
    """

    enter: frozenset[At] = frozenset({START})
    leave: frozenset[At] = frozenset({START})
    fail: frozenset[At] = frozenset({START})
    swallow: frozenset[At] = frozenset()
    raises_in: frozenset[Raised] = frozenset()
    raises_out: frozenset[Raised] = frozenset()


RECORDING = Context(leave=frozenset({At(Emitted.YES)}), fail=frozenset({At(Emitted.YES)}))
"""What `with audit.recording(...)` does."""


def after(paths: Iterable[At], effects: Iterable[At]) -> set[At]:
    """Each path, then each effect."""
    kept = tuple(effects)
    return {path.then(effect) for path in paths for effect in kept}
