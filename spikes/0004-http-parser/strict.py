"""The smuggling tables to each parser: what each lets through, and what has to stand around it."""

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from readers import ALL, ROOT

CASES = ROOT / "tests" / "cases"
VECTORS = ROOT.parent / "shared" / "vectors" / "http" / "llhttp-requests.json"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def rows() -> Iterator[tuple[str, str, bytes, bool]]:
    """Rule, name, bytes, and whether it is a head alone, of all that the gateway refuses by its own tests' tables."""
    heads = {it["name"]: it["raw"] for it in _table("heads")}
    for section in _table("http"):
        for row in section["rows"]:
            for name in row.get("heads", ()):
                yield row["what"], name, heads[name].encode("latin-1"), True
            for after in row.get("after", ()):
                ended = after if after.startswith("0") else after + "0\r\n\r\n"
                yield row["what"], repr(after), CHUNKED + ended.encode("latin-1"), False


def _table(folder: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((CASES / folder / "refused.yaml").read_text(encoding="utf-8"))
    return found


def passes(name: str, raw: bytes, *, head: bool) -> bool:
    """Whether a parser lets an input through: takes the head for good, or the body for whole."""
    read = ALL[name]([raw])
    return read.heads > 0 if head else bool(read.messages)


def strictness() -> dict[str, Any]:
    """What each parser lets through of what must not pass, by rule."""
    let: dict[str, defaultdict[str, list[str]]] = {name: defaultdict(list) for name in ALL}
    count: Counter[str] = Counter()
    for rule, case, raw, head in rows():
        count[rule] += 1
        for name in ALL:
            if passes(name, raw, head=head):
                let[name][rule].append(case)
    return {"rules": dict(count), "let_through": {name: dict(found) for name, found in let.items()}}


def by_rule(found: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a rule: how many of its cases each lets through; rules that all keep are left out."""
    table = []
    for rule, cases in found["rules"].items():
        passed = {name: found["let_through"][name].get(rule, []) for name in ALL}
        if any(passed.values()):
            table.append({"what must not pass": rule, "cases": cases} | {name: len(it) for name, it in passed.items()})
    total: dict[str, Any] = {"what must not pass": "**all of the table**", "cases": sum(found["rules"].values())}
    for name in ALL:
        total[name] = sum(map(len, found["let_through"][name].values()))
    return [*table, total]


def vectors(file: Path = VECTORS) -> dict[str, Any] | None:
    """How many of llhttp's own requests each takes, of those that are good and those that are not; None without."""
    if not file.exists():
        return None
    told: dict[str, Counter[str]] = {name: Counter() for name in ALL}
    count: Counter[str] = Counter()
    for case in json.loads(file.read_text(encoding="utf-8")):
        if not case["expect"].startswith(("accept", "reject")):
            continue  # what a lenient parser may do, or either
        expect = case["expect"].partition("-")[0]
        raw = base64.b64decode(case["raw_b64"])
        count[expect] += 1
        for name, read in ALL.items():
            seen = read([raw])
            told[name][expect] += bool(seen.messages) and not seen.refused
    return {"count": dict(count), "taken": {name: dict(it) for name, it in told.items()}}
