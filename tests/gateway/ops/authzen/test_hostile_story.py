"""Bodies that nobody meant: an answer or a 400, never a fault of ours, never an allow that the good one was not."""

import copy
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from tests.builders.decisions import OWN, decisions, question
from tests.gateway.ops.port import service

SEED = 20261126
ROUNDS = 400
ODD: list[Any] = [
    None, True, False, 0, -1, 2**63, -(2**63) - 1, 10**40, 1.5, 1e308, "", " ", "a" * 2000, "\x00", "\u202e", "é", "😀",
    "`", '"', "\\", "__entity", "__extn", [], {}, [[]], {"": ""}, {"type": "user", "id": "zed"},
    {"__entity": {"type": "user", "id": "zed"}}, {"__extn": {"fn": "datetime", "arg": "soon"}},
    {"__extn": {"fn": "unknown", "arg": "x"}}, {"__entity": 1}, {"__expr": 'User::"x"'}, ["a", 1, None],
]  # fmt: skip
GOOD = [
    ("evaluation", question(("user", "bob", {"role": "x"}), ("write", {"soft": False}), ("record", "record-1"))),
    (
        "evaluation",
        question(
            ("user", "keeper", {"since": "2020-01-01"}),
            "open",
            ("vault", "v-2", {"level": 1, "seal": {"colour": "red"}, "opens": "2020-01-01"}),
            context={"pin": 8, "from": "10.0.0.1", "deputy": {"type": "user", "id": "bob"}},
        ),
    ),
    (
        "evaluations",
        {
            **question(("user", "bob"), "write", ("record", "record-1")),
            "evaluations": [{}, {"context": {"a": 1}}],
            "options": {"evaluations_semantic": "execute_all"},
        },
    ),
    ("search/subject", question({"type": "user"}, "delete", ("record", "record-1"), page={"limit": 2})),
    ("search/resource", question(("user", "nobody"), "read", {"type": "record"}, page={"limit": 2})),
    ("search/action", {"subject": {"type": "user", "id": "n"}, "resource": {"type": "record", "id": "record-1"}}),
]
"""Each a deny, or nothing found; and no odd value makes an allow of it."""


async def test_odd_values_anywhere(tmp_path: Path) -> None:
    """Any part of a good body replaced by something odd, a part twice, or a key nobody knows."""
    dice = random.Random(SEED)
    counts: Counter[int] = Counter()
    async with decisions(tmp_path, **OWN) as api:
        for _ in range(ROUNDS):
            path, good = dice.choice(GOOD)
            body = _odd(copy.deepcopy(good), dice)
            text = json.dumps(body)
            headers = {**service(), "content-type": "application/json"}
            answer = await api.client.post(f"/access/v1/{path}", content=text, headers=headers)
            counts[answer.status_code] += 1
            assert answer.status_code in {200, 400}, f"{path} {text}: {answer.text}"
            said = answer.json()
            if answer.status_code == 400:
                assert isinstance(said, str)
                continue
            told = said.get("evaluations", [said]) if path.startswith("evaluation") else []
            assert not any(one["decision"] for one in told), text
            assert not said.get("results"), text
    assert min(counts.values()) > ROUNDS / 10, counts


def _odd(body: Any, dice: random.Random) -> Any:
    """The same with one value replaced or added."""
    places: list[tuple[Any, Any]] = []
    waiting = [body]
    while waiting:
        inner = waiting.pop()
        for key in list(inner) if isinstance(inner, dict) else range(len(inner)):
            places.append((inner, key))
            if isinstance(inner[key], dict | list):
                waiting.append(inner[key])
    inner, key = dice.choice(places)
    if isinstance(inner, dict) and dice.random() < 0.2:
        key = dice.choice(["", "properties", "context", "page", "options", "extra", "__entity", "status", "role"])
    inner[key] = copy.deepcopy(dice.choice(ODD))
    return body
