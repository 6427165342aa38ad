"""A result as people read it: tables on a terminal, the same in Markdown, one line of JSON for scripts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from load.bench.machine import ROOT

RESULTS: Final = ROOT / "load" / "results"
README: Final = ROOT / "load" / "README.md"
BEGIN, END = "<!-- bench: generated -->", "<!-- bench: end -->"
TITLES: Final = {
    "reads": "Buffered reads, all allowed, 64 connections",
    "mixed": "The same, every tenth refused by whoever authorizes",
    "writes": "Durable writes, 200 bytes of JSON, 256 connections",
}
_HEADS: Final = ("", "requests/s", "x Envoy", "core", "CPU us", "whole tree", "+ store", "p50 ms", "p99 ms", "peak MiB")

_WIDTH: Final = 120
"""Where nobody says how wide it may be."""


def line(result: Mapping[str, Any]) -> str:
    """One line of JSON; the headline first."""
    headline = {"ratio_to_envoy": result.get("ratio_to_envoy")}
    return json.dumps({**headline, **result}, separators=(",", ":"))


def keep(result: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Write it down; returns where."""
    folder.mkdir(exist_ok=True)
    file = folder / "bench.json"
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return file


def rows(found: Mapping[str, Any]) -> list[list[str]]:
    """One line of a result as text: the columns of `_HEADS`."""
    envoy = found.get("envoy", {}).get("per_second")
    return [
        [
            row["name"],
            f"{row['per_second']:,.0f}",
            f"{row['per_second'] / envoy:.2f}" if envoy else "",
            f"{row['core_share']:.0%}",
            f"{row['cpu_us_front']:.1f}",
            f"{row['cpu_us_whole']:.1f}",
            f"{row['cpu_us_store']:.1f}" if row["cpu_us_store"] else "",
            f"{row['p50_ms']:.2f}" if "p50_ms" in row else "",
            f"{row['p99_ms']:.2f}" if "p99_ms" in row else "",
            f"{row['peak_mib']:.0f}",
        ]
        for row in found.values()
    ]


def goal_rows(result: Mapping[str, Any]) -> list[list[str]]:
    """The goals as text: what, value, bound, met or by how much not."""
    found = []
    for goal in result.get("goals", ()):
        value, bound, unit = goal["value"], goal["bound"], goal["unit"]
        short = abs(value - bound) / bound
        verdict = "met" if goal["met"] else f"not met, by {short:.0%}"
        found.append([goal["goal"], f"{value:g} {unit}".strip(), f"{goal['side']} {bound:g} {unit}".strip(), verdict])
    return found


def caption(result: Mapping[str, Any]) -> str:
    """When, where, with what."""
    machine, how = result["machine"], result["how"]
    return (
        f"{result['when']}, commit {machine['commit']}; {machine['cores']} cores of {machine['cpu']}, Linux"
        f" {machine['kernel']}, Python {machine['python']}, nginx {machine['nginx']}, Envoy {machine['envoy']};"
        f" medians of {how['rounds']} interleaved rounds of {how['seconds']:g} s"
    )


def headline(result: Mapping[str, Any]) -> str:
    """The ratio in both forms; empty when reads were not measured."""
    if not result.get("ratio_to_envoy"):
        return ""
    return (
        f"Buffered reads: {result['ratio_to_envoy']:.2f} times the requests a second of Envoy plain;"
        f" {result['cpu_ratio_to_envoy']:.2f} times by the processor time a request takes on the measured core."
    )


def show(result: Mapping[str, Any]) -> None:
    """Print tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    for name, found in result["lines"].items():
        table = Table(title=TITLES[name], title_justify="left")
        for head in _HEADS:
            table.add_column(head, justify="left" if head == "" else "right", no_wrap=True)
        for row in rows(found):
            table.add_row(*row, style="bold" if row[0].startswith("Lychgate") else None)
        console.print(table)
    table = Table("goal", "measured", "promised", "", title="Goals", title_justify="left")
    for row in goal_rows(result):
        table.add_row(*row, style="green" if row[-1] == "met" else "red")
    console.print(table)
    if said := headline(result):
        console.print(said, style="bold", highlight=False)
    console.print(caption(result), highlight=False)


def markdown(result: Mapping[str, Any]) -> str:
    """The same for `load/README.md`."""
    parts = [part for part in (headline(result), f"{caption(result)}.") if part]
    parts += [f"**{TITLES[name]}**\n\n{_table(_HEADS, rows(found))}" for name, found in result["lines"].items()]
    parts.append(f"**Goals**\n\n{_table(('goal', 'measured', 'promised', ''), goal_rows(result))}")
    return "\n\n".join(parts)


def _table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def with_results(text: str, folder: Path = RESULTS) -> str:
    """The README's text with the kept results between its marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    result = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    return f"{before}{BEGIN}\n\n{markdown(result)}\n\n{END}{after}"
