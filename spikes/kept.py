"""How the studies of libraries measure in turns, and keep it: as JSON, and as tables in their README."""

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- numbers: written by the script -->", "<!-- end of the numbers -->"


def versions(*packages: str) -> dict[str, str]:
    """Of the packages that were compared."""
    return {name: version(name) for name in packages}


def middle(samples: Sequence[float]) -> dict[str, float]:
    """The median, and between which values the middle half lies."""
    if len(samples) < 4:
        return {"median": statistics.median(samples), "low": min(samples), "high": max(samples)}
    low, mid, high = statistics.quantiles(samples, n=4)
    return {"median": mid, "low": low, "high": high}


def interleaved(runs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, dict[str, float]]:
    """Measure several things in turn, in another order each round, so that the machine's moods meet all of them alike.

    Args:
        runs: By name, each does its work once and says what it took.
        rounds: How often each.
    """
    samples: dict[str, list[float]] = {name: [] for name in runs}
    names = list(runs)
    for number in range(rounds):
        for at in range(len(names)):
            name = names[(at + number) % len(names)]
            samples[name].append(runs[name]())
    return {name: middle(found) for name, found in samples.items()}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as a table of Markdown; all have the same keys."""
    if not rows:
        return ""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([cell(value) for value in row.values()] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def cell(value: Any) -> str:
    """A value as people read it."""
    if isinstance(value, dict) and "median" in value:
        return f"{number(value['median'])} ({number(value['low'])}-{number(value['high'])})"
    text = number(value) if isinstance(value, float) else str(value)
    return text.replace("|", "\\|")


def number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def keep(folder: Path, found: Mapping[str, Any], tables: Mapping[str, str], *, name: str, readme: bool) -> None:
    """Write the results, and the tables into the README.

    Args:
        folder: Where to: the study's own, or a test's.
        found: Everything that was measured.
        tables: Heading and table, in order.
        name: Of the results' file.
        readme: Whether the README of this folder gets the tables.
    """
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if not readme:
        return
    file = folder / "README.md"
    text = file.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{file}: there is no place for the numbers")
    inner = "\n".join(f"### {heading}\n\n{body}" for heading, body in tables.items())
    file.write_text(f"{before}{BEGIN}\n\n{inner}\n{END}{after}", encoding="utf-8")


def show(found: Mapping[str, Any], tables: Mapping[str, str], *, as_json: bool) -> None:
    """Print for people, or for scripts."""
    if as_json:
        sys.stdout.write(json.dumps(found, separators=(",", ":")) + "\n")
        return
    for heading, body in tables.items():
        sys.stdout.write(f"\n{heading}\n\n{body}")
