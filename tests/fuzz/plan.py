"""What one input is: the steps of a client and the answers of a service. Made from a seed and a number, or read back.

A plan is data, so that a finding is a line of YAML in `tests/cases/fuzz/`.
"""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import dataclass, field
from typing import Any, Final

from tests.fuzz import corpus

SEND, END, RESET, BLOCK, UNBLOCK, WAIT = "send", "end", "reset", "block", "unblock", "wait"
KEEP, CLOSE, CUT, SILENT = "keep", "close", "cut", "silent"


@dataclass
class Reply:
    """What the service says to one request.

    Attributes:
        raw: Its bytes.
        then: `keep` the connection, `close` it after them, `cut` it with a reset, or stay `silent` (and say nothing).
        early: Whether it answers the head and does not wait for the body.
        pieces: How many bytes it sends at a time; 0 for all.
    """

    raw: bytes = corpus.OK
    then: str = KEEP
    early: bool = False
    pieces: int = 0


@dataclass
class Plan:
    """One input.

    Attributes:
        steps: What the client does: `(send, bytes)`, or an act without bytes.
        replies: The service's, one a request; after the last it answers with `corpus.OK`.
        refuses: Whether the service's first connection is refused.
        stops: Whether the service stops reading after a head.
    """

    steps: list[tuple[str, bytes]]
    replies: list[Reply] = field(default_factory=list)
    refuses: bool = False
    stops: bool = False

    def sent(self) -> bytes:
        """Every byte the client sends."""
        return b"".join(data for act, data in self.steps if act == SEND)

    def listed(self) -> dict[str, Any]:
        """As a case of YAML."""
        return {
            "steps": [[act, data.decode("latin-1")] if act == SEND else [act] for act, data in self.steps],
            "replies": [
                {"raw": reply.raw.decode("latin-1"), "then": reply.then, "early": reply.early, "pieces": reply.pieces}
                for reply in self.replies
            ],
            "refuses": self.refuses,
            "stops": self.stops,
        }

    @classmethod
    def of(cls, listed: dict[str, Any]) -> Plan:
        """From a case of YAML; credentials of this run stand for their marks."""
        return cls(
            [(step[0], corpus.filled(step[1].encode("latin-1")) if len(step) > 1 else b"") for step in listed["steps"]],
            [Reply(**{**reply, "raw": reply["raw"].encode("latin-1")}) for reply in listed.get("replies", [])],
            listed.get("refuses", False),
            listed.get("stops", False),
        )


_DELIVERIES: Final = ("whole", "whole", "whole", "whole", "two", "two", "two", "few", "few", "bytes")


def plan(seed: int, number: int) -> Plan:
    """Input `number` of run `seed`: the same again, each time."""
    dice = random.Random(seed * 1_000_003 + number)
    kind = dice.random()
    if kind < 0.3:  # the service is the hostile one
        sent = b"".join(corpus.good(dice) for _ in range(dice.choice((1, 1, 2, 3))))
        replies = [_reply(dice) for _ in range(dice.choice((1, 2, 3)))]
    elif kind < 0.6:  # what was judged before, and something that looks like it
        before = [corpus.good(dice) for _ in range(dice.choice((1, 2, 2)))]
        again = [_crossed(dice, *dice.choices(before, k=2)) for _ in range(dice.choice((1, 2)))]
        sent = b"".join([*before, dice.choice(before), *again, dice.choice(before)])
        reply = dice.choice(corpus.answers())
        replies = [Reply(dice.choice((reply, reply, mutated(dice, reply)))) for _ in range(4)]
    else:
        sent = mutated(dice, b"".join(dice.choice(corpus.requests()) for _ in range(dice.choice((1, 1, 1, 2, 3)))))
        if dice.random() < 0.5:
            sent += corpus.good(dice)  # what a smuggled request would hide behind, or in front of
        replies = [_reply(dice) if dice.random() < 0.1 else Reply(dice.choice(corpus.answers())) for _ in range(2)]
    return Plan(_steps(dice, corpus.filled(sent)), replies, dice.random() < 0.02, dice.random() < 0.03)


def _crossed(dice: random.Random, one: bytes, other: bytes) -> bytes:
    """The line of one request over the fields of another, both judged before; or one of them a little changed."""
    if dice.random() < 0.5:
        one = one[: one.index(b"\r\n")] + other[other.index(b"\r\n") :]
    return mutated(dice, one) if dice.random() < 0.5 else one


def _reply(dice: random.Random) -> Reply:
    raw = dice.choice(corpus.answers())
    if dice.random() < 0.8:
        raw = mutated(dice, raw)
    if dice.random() < 0.2:
        raw += dice.choice(corpus.answers())
    then = dice.choice((KEEP, KEEP, KEEP, CLOSE, CLOSE, CUT, SILENT))
    return Reply(raw, then, dice.random() < 0.1, dice.choice((0, 0, 0, 1, 7)))


def _steps(dice: random.Random, sent: bytes) -> list[tuple[str, bytes]]:
    """The bytes in pieces, and what else a client does between them."""
    delivery = dice.choice(_DELIVERIES)
    if delivery == "bytes" and len(sent) < 1_200:
        cuts = list(range(1, len(sent)))
    elif delivery in {"two", "bytes"}:
        cuts = [dice.randrange(len(sent) + 1)]
    elif delivery == "few":
        cuts = sorted(dice.randrange(len(sent) + 1) for _ in range(4))
    else:
        cuts = []
    edges = [0, *cuts, len(sent)]
    steps = [(SEND, sent[start:end]) for start, end in itertools.pairwise(edges)]
    if dice.random() < 0.25:
        act = dice.choice((END, END, RESET, BLOCK, WAIT))
        at = len(steps) if dice.random() < 0.5 else dice.randrange(len(steps) + 1)
        steps.insert(at, (act, b""))
        if act == BLOCK and dice.random() < 0.5:
            steps.append((UNBLOCK, b""))
    return steps


def mutated(dice: random.Random, data: bytes) -> bytes:
    """The same with a few changes, most of them where HTTP has its seams."""
    for _ in range(dice.choice((0, 1, 1, 1, 2, 2, 3, 5, 8))):
        data = dice.choice(_CHANGES)(dice, data)
    return data


def _at(dice: random.Random, data: bytes) -> int:
    """A place: often beside a seam."""
    if data and dice.random() < 0.6:
        seam = dice.choice(corpus.SEAMS)
        at = data.find(seam, dice.randrange(len(data)))
        if at >= 0:
            return at + dice.choice((0, len(seam)))
    return dice.randrange(len(data) + 1)


def _insert(dice: random.Random, data: bytes) -> bytes:
    at = _at(dice, data)
    return data[:at] + dice.choice(corpus.WORDS) + data[at:]


def _replace(dice: random.Random, data: bytes) -> bytes:
    at = _at(dice, data)
    word = dice.choice(corpus.WORDS)
    return data[:at] + word + data[at + len(word) :]


def _byte(dice: random.Random, data: bytes) -> bytes:
    at = _at(dice, data)
    return data[:at] + bytes((dice.randrange(256),)) + data[at + 1 :]


def _remove(dice: random.Random, data: bytes) -> bytes:
    at = _at(dice, data)
    return data[:at] + data[at + dice.choice((1, 1, 2, 5, 20)) :]


def _swap_word(dice: random.Random, data: bytes) -> bytes:
    """One thing the grammar has for another of its kind."""
    kind = dice.choice(corpus.KINDS)
    found = [word for word in kind if word in data]
    return data.replace(dice.choice(found), dice.choice(kind), dice.choice((1, 1, 2))) if found else data


def _field(dice: random.Random, data: bytes) -> bytes:
    """A field more, behind some line of some head."""
    ends = [at for at in range(len(data)) if data.startswith(b"\r\n", at)]
    if not ends:
        return data
    at = dice.choice(ends)
    return data[:at] + b"\r\n" + dice.choice(corpus.FIELDS) + data[at:]


def _lines(dice: random.Random, data: bytes) -> bytes:
    """A line twice, gone, or elsewhere."""
    lines = data.split(b"\r\n")
    at = dice.randrange(len(lines))
    line = lines[at]
    act = dice.randrange(3)
    if act != 0:
        del lines[at]
    if act != 1:
        lines.insert(dice.randrange(len(lines) + 1), line)
    return b"\r\n".join(lines)


def _ends(dice: random.Random, data: bytes) -> bytes:
    """Line ends of another kind."""
    end = dice.choice((b"\n", b"\r", b"\n\r", b"\r\r\n", b"\r\n\r\n", b"\r\n ", b"\r\n\t", b""))
    at = data.find(b"\r\n", _at(dice, data))
    if at < 0 or dice.random() < 0.3:
        return data.replace(b"\r\n", end, dice.choice((1, 2, -1)))
    return data[:at] + end + data[at + 2 :]


_SIZE_LINE: Final = re.compile(rb"\r\n([0-9a-fA-F]+)((?:;[^\r\n]*)?\r\n)")


def _chunk(dice: random.Random, data: bytes) -> bytes:
    """A chunk's size line that is none, or another's."""
    lines = list(_SIZE_LINE.finditer(data))
    if not lines:
        return data
    line = dice.choice(lines)
    size, rest = line[1], line[2]
    worse = (
        *(size + b"\n", size + b"\r", size + b" \r\n", b" " + size + rest, size + b";\r\n", size + b";x=\n\r\n"),
        *(
            b"0x" + size + rest,
            b"+" + size + rest,
            b"0" * 20 + size + rest,
            size + b"\r\n\r\n",
            size + b";" + size + rest,
        ),
        *(size + b"\r\r\n", b"0\r\n" + size + rest, b"f" * 16 + rest, size + b"_0" + rest, size + b';"\n"\r\n', rest),
    )
    return data[: line.start(1)] + dice.choice(worse) + data[line.end() :]


def _number(dice: random.Random, data: bytes) -> bytes:
    """Another number where one stands."""
    places = [at for at in range(len(data)) if 48 <= data[at] <= 57]
    if not places:
        return data
    at = dice.choice(places)
    return data[:at] + dice.choice(corpus.NUMBERS) + data[at + 1 :]


def _splice(dice: random.Random, data: bytes) -> bytes:
    other = dice.choice(corpus.requests())
    return data[: _at(dice, data)] + other[_at(dice, other) :]


def _repeat(dice: random.Random, data: bytes) -> bytes:
    """A piece many times over, so that limits are met."""
    at = _at(dice, data)
    piece = data[at : at + dice.choice((1, 1, 4, 30))]
    return data[:at] + piece * dice.choice((2, 20, 200, 9_000 // max(1, len(piece)))) + data[at:]


def _cut(dice: random.Random, data: bytes) -> bytes:
    return data[: _at(dice, data)]


_CHANGES: Final = (
    _insert,
    _insert,
    _replace,
    _byte,
    _byte,
    _remove,
    _swap_word,
    _swap_word,
    _field,
    _field,
    _field,
    _lines,
    _lines,
    _ends,
    _chunk,
    _chunk,
    _number,
    _number,
    _splice,
    _repeat,
    _cut,
)
