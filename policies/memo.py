"""Decisions remembered, under a key of what can matter to them and nothing else.

INVARIANT: a remembered answer never differs from the one that `Engine.decide` would give, nor is one given where
`Engine.decide` raises. The key has every value that a policy of the action can read (`policies.reach`) and of every
other value its type, because Cedar checks types of what no policy reads, too. The memo belongs to one engine and is
thrown away with it.
"""

from collections.abc import Mapping, MutableMapping
from typing import Final

import msgspec

from policies.engine import Engine
from policies.model import Answer, Entity, Json, Question
from policies.reach import CLOCK, Reach, Read, reach

# At about 600 bytes an entry; a shop with a hundred roles, services and actions each has far fewer.
_CAPACITY: Final = 50_000
_KEY_BYTES: Final = 2048
"""A question with more in it than this is not remembered: whoever asks must not choose how much memory it takes."""
_LONG: Final = range(-(2**63), 2**63)
_ENCODER: Final = msgspec.json.Encoder()


class Memo:
    """An engine that remembers.

    Attributes:
        engine: Who is asked otherwise.
        hits: Decisions that were remembered.
        misses: Decisions that were not, or could not be.
    """

    __slots__ = ("_capacity", "_known", "_reaches", "engine", "hits", "misses")

    def __init__(self, engine: Engine, capacity: int = _CAPACITY) -> None:
        self.engine = engine
        self.hits = self.misses = 0
        self._capacity = capacity
        self._known: dict[bytes, Answer] = {}
        reaches = {uid.id: reach(engine.bundle, uid) for uid in engine.bundle.schema.actions if uid.type == "Action"}
        self._reaches = {action: found for action, found in reaches.items() if not found.reads_time}

    def __repr__(self) -> str:
        return f"Memo({len(self._known)} of {self._capacity}, {self.hits} hits, {self.misses} misses)"

    @property
    def memory(self) -> MutableMapping[bytes, Answer]:
        """All that is remembered, for whoever throws it away."""
        return self._known

    def decide(self, question: Question) -> tuple[Answer, bool]:
        """Answer a question as the engine would.

        Returns:
            The answer, and whether it was remembered. An answer with errors is not: what they say is about one
            question.

        Raises:
            NoDecision: As `Engine.decide`; never remembered.
        """
        found = self._reaches.get(question.action)
        key = _key(question, found) if found is not None else None
        answer = self._known.get(key) if key is not None else None
        if answer is not None:
            self.hits += 1
            return answer, True
        self.misses += 1
        answer = self.engine.decide(question)
        if key is not None and not answer.errors:
            if len(self._known) >= self._capacity:
                del self._known[next(iter(self._known))]  # the oldest
            self._known[key] = answer
        return answer, False

    def remembers(self, action: str) -> bool:
        """Whether answers to questions about an action are remembered at all: none that reads the time is."""
        return action in self._reaches

    def reads_resource(self, action: str) -> bool:
        """Whether a policy of a remembered action can read which resource it is about, beside its attributes."""
        read = self._reaches[action].resource
        return read.whole or read.identity

    def answer(self, question: Question) -> Answer:
        """As `decide`, for those who do not care whether it was remembered (`roles.missing`)."""
        return self.decide(question)[0]


def _key(question: Question, found: Reach) -> bytes | None:
    """What decides, as bytes.

    Returns:
        None where nothing is remembered: a question that cannot be written down, which the engine will refuse, one
        in which the same entity is principal and resource, and is read in two ways, or one that is very long.
    """
    if question.principal == question.resource:
        return None
    parts: list[object] = [question.action]
    for uid, read in ((question.principal, found.principal), (question.resource, found.resource)):
        parts += (uid.type, uid.id if read.whole or read.identity or not uid.id.isascii() else None)
    for entity in question.entities:
        if entity.uid == question.principal:
            parts += ("principal", _more(entity), entity.parents, _values(entity.attrs, found.principal))
        elif entity.uid == question.resource:
            parts += ("resource", _more(entity), entity.parents, _values(entity.attrs, found.resource))
        else:
            parts += ("other", entity)
    parts.append(_values(question.context, found.context, clock=CLOCK))
    try:
        key = _ENCODER.encode(parts)
    except (ValueError, TypeError, OverflowError):
        return None
    return key if len(key) <= _KEY_BYTES else None


def _more(entity: Entity) -> Entity | None:
    """What an entity has beside attributes and parents (tags): all of it, where it has more."""
    return entity if type(entity) is not Entity else None


def _values(values: Mapping[str, Json], read: Read, clock: str | None = None) -> list[object]:
    """Names, with the value of what can be read and the type of what cannot.

    Args:
        values: Attributes.
        read: Which of them can be read.
        clock: The attribute that is a time of our own making, of which neither matters.
    """
    listed: list[object] = []
    for name, value in values.items():
        listed.append(name)
        if read.reads(name):
            listed.append([value])
        elif name != clock:
            listed.append(_type(value))
    return listed


def _type(value: Json) -> object:
    """A word for the type of a value that is valid as one; the value itself where its content decides about that."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str) and value.isascii():
        return "text"
    if isinstance(value, int) and value in _LONG:
        return "long"
    return [value]
