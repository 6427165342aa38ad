"""`make bench`: the arguments, the signals, the exit code."""

import argparse
import signal
import sys
import time
from dataclasses import replace
from typing import NoReturn

from load.bench import report
from load.bench.machine import ROOT, BenchError
from load.bench.suite import LINES, QUICK, Plan, look, run
from lychgate.errors import LychgateError

_BEGAN = time.monotonic()


def main() -> int:
    """Run what is asked for; 0 when it was measured, whatever came out, 1 when it could not be, 2 for arguments."""
    parser = argparse.ArgumentParser(prog="make bench", description="Lychgate beside nginx and Envoy, on one core.")
    parser.add_argument("--quick", action="store_true", help="see that everything works; the numbers mean little")
    parser.add_argument("--json", action="store_true", help="print one line of JSON and nothing else")
    parser.add_argument("--rounds", type=int, help=f"of each line (default {Plan().rounds})")
    parser.add_argument("--seconds", type=float, help=f"of each peer in a round (default {Plan().seconds:g})")
    parser.add_argument("--only", metavar="LINE,...", help=f"of {', '.join(LINES)}; the result is not kept")
    parser.add_argument(
        "--readme", action="store_true", help="write the kept result into load/README.md, measure nothing"
    )
    parser.add_argument("--profile", metavar="LINE", help="where a worker's time goes: reads, mixed or writes")
    given = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _told)
    if given.readme:
        report.README.write_text(report.with_results(report.README.read_text("utf-8")), encoding="utf-8")
        return 0
    plan = QUICK if given.quick else Plan()
    plan = replace(
        plan,
        rounds=max(1, given.rounds or plan.rounds),
        seconds=max(1.0, given.seconds or plan.seconds),
        lines=tuple(given.only.split(",")) if given.only else plan.lines,
    )
    try:
        if given.profile:
            print(look(given.profile, _say))
            return 0
        result = run(plan, _say)
    except (BenchError, LychgateError) as exc:
        _say(str(exc))
        return 1
    if given.json:
        print(report.line(result), flush=True)
    else:
        report.show(result)
    if not plan.quick and plan.lines == LINES:
        file = report.keep(result).relative_to(ROOT)
        _say(f"kept in {file}; `make bench ARGS=--readme` puts it into the README")
    return 0


def _say(text: str) -> None:
    sys.stderr.write(f"{time.monotonic() - _BEGAN:6.1f} {text}\n")


def _told(number: int, _frame: object) -> NoReturn:
    """End as Ctrl-C does: everything that was started is stopped."""
    sys.exit(128 + number)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
