"""Where a worker's time goes: py-spy looks at it a few hundred times a second while it is at its limit.

Looking stops the worker for a moment each time, so the rate is not a measurement; the shares are.
"""

import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from load.bench.lychgate import Lychgate
from load.bench.machine import TOOLS, BenchError, other_core, program
from load.bench.work import Script
from load.bench.wrk import saturate

SECONDS: Final = 10
_LOOKS_A_SECOND: Final = 250
_MARGIN_S: Final = 3
_WAITS: Final = frozenset({"Condition.wait (threading.py)", "_worker (futures/thread.py)", "wait (threading.py)"})
"""A thread that has nothing to do; py-spy cannot tell by itself."""


def profile(gateway: Lychgate, script: Script, *, connections: int, home: Path) -> list[tuple[str, float, float]]:
    """Look at a worker under load.

    Args:
        gateway: Whose first worker.
        script: What is sent.
        connections: With one request in flight on each.
        home: A folder for py-spy's output.

    Returns:
        Function, with file and line; its own share of the samples; its share with all that it calls. The largest own
        share first.

    Raises:
        BenchError: py-spy cannot look: another process may only be looked at by its parent or by root.
    """
    raw = home / "profile.raw"
    command = [program("taskset"), "-c", str(other_core()), str(TOOLS / "bin" / "py-spy"), "record"]
    command += ["--pid", str(gateway.front[0]), "--duration", str(SECONDS), "--rate", str(_LOOKS_A_SECOND)]
    command += ["--format", "raw", "--output", str(raw)]
    spy = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        saturate(gateway.port, script, connections=connections, seconds=SECONDS + _MARGIN_S)
        said, _ = spy.communicate(timeout=60)
    finally:
        spy.kill()
    gateway.settled()
    if spy.returncode != 0:
        raise BenchError(f"py-spy could not look at the worker:\n{said}")
    return shares(raw.read_text(encoding="utf-8").splitlines())


def shares(lines: Iterable[str]) -> list[tuple[str, float, float]]:
    """Sum up py-spy's raw form, `outermost;...;innermost count` a line, as `profile` returns it."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = [_short(frame) for frame in stack.split(";")]
        if frames[-1] in _WAITS:
            continue
        own[frames[-1]] += int(count)
        for frame in set(frames):  # a function that calls itself is in a sample once
            whole[frame] += int(count)
    total = sum(own.values()) or 1
    return [(frame, own[frame] / total, whole[frame] / total) for frame, _ in own.most_common()]


def _short(frame: str) -> str:
    """`judge (/work/gateway/pipeline.py:40)` -> `judge (gateway/pipeline.py)`: lines of a function are one."""
    name, _, place = frame.partition(" (")
    file = Path(place.rstrip(")").rpartition(":")[0] or place.rstrip(")"))
    return f"{name} ({'/'.join(file.parts[-2:])})" if place else name


def table(found: Iterable[tuple[str, float, float]], most: int = 40) -> str:
    """As text, the largest first."""
    rows = [f"{own:7.1%} {whole:7.1%}  {frame}" for frame, own, whole in list(found)[:most]]
    return "\n".join(["    own    with  function", *rows])


def kept(results: Path, name: str, caption: Mapping[str, object], text: str) -> Path:
    """Write it down beside the other results; returns where."""
    file = results / f"profile-{name}.txt"
    head = ", ".join(f"{key} {value}" for key, value in caption.items())
    file.write_text(f"{head}\n\n{text}\n", encoding="utf-8")
    return file
