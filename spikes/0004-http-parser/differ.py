"""The same hostile bytes to all of them: where two read different requests, one of them is the road of a smuggler."""

import random
from collections import Counter
from itertools import combinations
from typing import Any

from readers import ALL, Read

SEEDS = (
    b"GET /a?x=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;e=1\r\nhello\r\n0\r\nX: y\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /s HTTP/1.1\r",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"POST /a HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\nhello",
    b"GET http://a/x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PUT /a HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
)
WORDS = (
    b"\r\n", b"\n", b"\r", b" ", b"\t", b"\x0b", b"\x00", b":", b",", b";", b"0\r\n\r\n", b"chunked", b"identity",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer_Encoding: chunked\r\n", b"Content-Length : 3\r\n", b"Host: b\r\n", b"HTTP/1.0", b"HTTP/2.0", b"+5",
    b"0x5", b"5 ", b"00000000000000005", b"ffffffffffffffff", b"Connection: close\r\n", b"Upgrade: x\r\n",
    b"Connection: Upgrade\r\n",
    b"GET /s HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n folded: 1", b"\xff",
)  # fmt: skip
_NAMES = tuple(ALL)


def inputs(count: int, seed: int) -> list[bytes]:
    """Made of good requests and known attacks by a few changes each; the same for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - so that an input can be had again
    return [_changed(dice) for _ in range(count)]


def _changed(dice: random.Random) -> bytes:
    raw = b"".join(dice.choice(SEEDS) for _ in range(dice.randint(1, 3)))
    for _ in range(dice.randint(1, 4)):
        at, to = sorted(dice.randint(0, len(raw)) for _ in range(2))
        to = min(to, at + 12)
        match dice.randrange(5):
            case 0:
                raw = raw[:at] + dice.choice(WORDS) + raw[at:]
            case 1:
                raw = raw[:at] + raw[to:]
            case 2:
                raw = raw[:to] + raw[at:to] + raw[to:]
            case 3:
                raw = raw[:at] + bytes((dice.randrange(256),)) + raw[at + 1 :]
            case _:
                lines = raw.split(b"\r\n")
                lines.insert(dice.randrange(len(lines) + 1), dice.choice(WORDS).strip(b"\r\n"))
                raw = b"\r\n".join(lines)
    return raw


def verdict(one: Read, other: Read) -> str:
    """How two readings compare.

    Returns:
        `alike`: the same requests, and both go on or both stop. `one stops`: the same requests as far as both go, and
        one refuses what the other takes. `one waits`: one sees a whole request where the other has not seen the end of
        a head, and refuses it or not when it comes. `differ`: two different requests in the same place, or a body that
        ends for one and goes on for the other.
    """
    ours, theirs = [it.meaning for it in one.messages], [it.meaning for it in other.messages]
    shared = min(len(ours), len(theirs))
    if ours[:shared] != theirs[:shared]:
        return "differ"
    if len(ours) == len(theirs):
        return "alike" if bool(one.refused) == bool(other.refused) else "one stops"
    short = one if len(ours) < len(theirs) else other
    if short.refused or short.stopped:
        return "one stops"
    return "differ" if short.asks_more else "one waits"


def campaign(count: int, seed: int) -> dict[str, Any]:
    """Every input to every reader, whole and byte by byte."""
    pairs: dict[str, Counter[str]] = {f"{a} / {b}": Counter() for a, b in combinations(_NAMES, 2)}
    torn: Counter[str] = Counter()
    examples: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for raw in inputs(count, seed):
        seen = {name: read([raw]) for name, read in ALL.items()}
        for name, read in ALL.items():
            taken[name] += bool(seen[name].messages)
            again = read([raw[at : at + 1] for at in range(len(raw))])
            torn[name] += verdict(seen[name], again) == "differ"
        for one, other in combinations(_NAMES, 2):
            pair, found = f"{one} / {other}", verdict(seen[one], seen[other])
            pairs[pair][found] += 1
            if found == "differ" and (pair not in examples or len(raw) < len(examples[pair])):
                examples[pair] = raw.decode("latin-1")
    return {
        "inputs": count,
        "seed": seed,
        "taken": dict(taken),
        "otherwise_in_pieces": dict(torn),
        "pairs": {pair: dict(found) for pair, found in pairs.items()},
        "shortest_difference": examples,
    }


def rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a pair."""
    return [
        {
            "pair": pair,
            "alike": it.get("alike", 0),
            "one stops where the other goes on": it.get("one stops", 0),
            "one waits for the end of a head": it.get("one waits", 0),
            "read different requests": it.get("differ", 0),
            "the shortest such input": f"`{found['shortest_difference'][pair]!r}`" if it.get("differ") else "",
        }
        for pair, it in found["pairs"].items()
    ]
