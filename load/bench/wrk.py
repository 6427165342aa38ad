"""Saturation: `wrk`, one thread, on the other core."""

import re
import subprocess
from dataclasses import dataclass
from typing import Final

from load.bench.machine import BenchError, generator_core, program
from load.bench.work import Script

_TIMES: Final = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of it.

    Attributes:
        requests: Answered.
        seconds: Taken.
        refused: Answers that were not 2xx or 3xx.
    """

    requests: int
    seconds: float
    refused: int

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def saturate(port: int, script: Script, *, connections: int, seconds: float) -> Sent:
    """Send as fast as answers come.

    Args:
        port: Where.
        script: What.
        connections: Kept open, one request in flight on each.
        seconds: How long; wrk counts whole ones.

    Raises:
        BenchError: Connections broke, or nothing was answered.
    """
    command = [program("taskset"), "-c", str(generator_core()), program("wrk"), "-t1", f"-c{connections}"]
    command += [f"-d{max(1, round(seconds))}s", "--timeout", "20s", "-s", str(script.file), f"http://127.0.0.1:{port}"]
    for _ in range(_TRIES):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = re.search(r"(\d+) requests in ([\d.]+)(us|ms|s|m),", done.stdout)
        if done.returncode != 0 or found is None or "Socket errors" in done.stdout:
            break
        if found[1] != "0":  # a machine that stood still for a second has measured nothing
            refused = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
            return Sent(int(found[1]), float(found[2]) * _TIMES[found[3]] / 1e3, int(refused[1]) if refused else 0)
    raise BenchError(f"wrk on port {port}, {script.name}:\n{done.stdout}{done.stderr}")
