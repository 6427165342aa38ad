"""What the studies share: the machine, a sampler of processes, percentiles, and tables in a README."""

import json
import os
import platform
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[1]


def machine() -> dict[str, Any]:
    """Where this runs: cores, how busy they are, memory in MiB, versions, and the commit it was made of."""
    head = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": head.stdout.strip() or "unknown",
        "day": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def told(box: Mapping[str, Any]) -> str:
    """What `machine` found, for people."""
    return (
        f"{box['cores']} cores ({box['cpu']}), {box['memory_mib']:,} MiB, Linux {box['kernel']},"
        f" Python {box['python']}; commit {box['commit']}, {box['day']}"
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def timed(work: Callable[[], Any]) -> float:
    """Seconds a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def repeated(work: Callable[[int], Any], *, most: int, within_s: float, least: int = 3) -> list[float]:
    """Seconds of each call, with its number; until there are enough or the time is up."""
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < most and (len(taken) < least or time.perf_counter() - began < within_s):
        taken.append(timed(partial(work, len(taken))))
    return taken


class Sampler:
    """Processor time and peak memory of a process and those under it, while it is entered.

    Memory is the proportional set size, so that what many processes share is counted once.

    Attributes:
        cpu_s: Processor time that was used.
        peak_mib: The most memory that was seen.
    """

    def __init__(self, pid: int, every_s: float = 0.5) -> None:
        import psutil  # in .venv-spikes only; the rest of this module is tested without

        self._gone = psutil.Error
        self._root = psutil.Process(pid)
        self._every_s = every_s
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._before = 0.0
        self._ended: dict[int, float] = {}
        self.cpu_s = 0.0
        self.peak_mib = 0.0

    def __enter__(self) -> Self:
        """Begin."""
        self._look()
        self._before = sum(self._ended.values())
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()
        self._look()
        self.cpu_s = sum(self._ended.values()) - self._before

    def _sample(self) -> None:
        while not self._over.wait(self._every_s):
            self._look()

    def _look(self) -> None:
        memory = 0
        for process in [self._root, *self._children()]:
            try:
                used = process.cpu_times()
                self._ended[process.pid] = used.user + used.system
                memory += process.memory_full_info().pss
            except self._gone:  # it is gone; what it had used when it was last seen stays counted
                continue
        self.peak_mib = max(self.peak_mib, memory / (1 << 20))

    def _children(self) -> list[Any]:
        try:
            return self._root.children(recursive=True)
        except self._gone:
            return []


def shown(value: Any) -> str:
    """A value for a cell: three figures are enough; None is what was refused."""
    if value is None:
        return "refused"
    if isinstance(value, float):
        if value == 0:
            return "0"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown, first column left, the others right."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "--:|" * (len(head) - 1)]
    lines += ["| " + " | ".join(shown(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def between(text: str, name: str, body: str) -> str:
    """A page with what stands between the markers of this name replaced.

    Raises:
        ValueError: the page has no such markers.
    """
    start, end = f"<!-- {name}: written by run.py -->", f"<!-- /{name} -->"
    if text.count(start) != 1 or text.count(end) != 1:
        raise ValueError(f"the page has no single `{name}`")
    before, _, rest = text.partition(start)
    return f"{before}{start}\n\n{body}\n\n{end}{rest.partition(end)[2]}"


def write(folder: Path, results: Mapping[str, Any], parts: Mapping[str, str]) -> None:
    """The results as JSON beside the script, and its tables into its README."""
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    page = folder / "README.md"
    text = page.read_text(encoding="utf-8")
    for name, body in parts.items():
        text = between(text, name, body)
    page.write_text(text, encoding="utf-8")


def settle(answers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Where backends do not agree: what was asked, to what each answered; empty if all agree.

    Args:
        answers: Backend to what was asked to its answer; None where it refused to, which the tables tell.
    """
    asked = sorted({name for each in answers.values() for name in each})
    return [
        f"{name}: " + ", ".join(f"{who} {each.get(name, 'nothing')}" for who, each in answers.items())
        for name in asked
        if len({json.dumps(each.get(name, "nothing")) for each in answers.values()} - {"null"}) > 1
    ]
