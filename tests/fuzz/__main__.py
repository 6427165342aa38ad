"""`make fuzz`: a million seeded inputs through a data plane in one process; exit code 1 and the inputs if one is wrong.

make fuzz                                a million, from seed 1
make fuzz ARGS="--inputs 50000 --seed 7"
make fuzz ARGS="--replay 7:41872"        one of them again, shortened
make fuzz ARGS=--guided                  by coverage instead, without end, where atheris is installed
"""

import argparse
import logging
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

import structlog
import yaml

from tests.builders.house import Hang
from tests.fuzz import corpus
from tests.fuzz.check import check, house
from tests.fuzz.plan import Plan, plan
from tests.fuzz.shrink import shrunk

WARM = 5_000
"""Inputs after which memory is measured: until then caches fill."""
GROWTH_BYTES = 32 << 20
"""What a million inputs may add to it; the memos of a worker are bounded well below."""
INPUT_S = 20
"""Real seconds for a hundred inputs, and then it hangs."""
_FINDINGS = 10


def say(text: str) -> None:
    """A line for whoever runs it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def resident_bytes() -> int:
    """What this process has in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096


def as_case(found: Plan, complaints: list[str]) -> str:
    """A finding as it would stand in `tests/cases/fuzz/`."""
    case = {"why": complaints[0], **found.listed()}
    return corpus.unfilled(yaml.safe_dump([case], allow_unicode=True, width=100_000, sort_keys=False))


def replay(seed: int, number: int) -> int:
    """Run one input again and shorten it."""
    where = house()
    found = plan(seed, number)
    complaints = check(where, found)
    if not complaints:
        say("nothing wrong")
        return 0
    kind = complaints[0][:25]
    short = shrunk(found, lambda it: any(text.startswith(kind) for text in check(where, it)))
    say("\n".join(complaints))
    say(as_case(short, check(where, short)))
    return 1


def _too_long(_: int, __: FrameType | None) -> None:
    raise Hang(f"a hundred inputs took more than {INPUT_S} s")


def run(inputs: int, seed: int, tally: Counter[str], every: int = 50_000) -> list[tuple[int, list[str]]]:
    """Run inputs 0 to `inputs` of a seed; returns the numbers of those that are wrong, and what was."""
    where = house()
    findings: list[tuple[int, list[str]]] = []
    warm = 0
    started = time.process_time()
    for number in range(inputs):
        if number % 100 == 0:
            signal.setitimer(signal.ITIMER_REAL, INPUT_S)
        if number == WARM:
            warm = resident_bytes()
        complaints = check(where, plan(seed, number), tally)
        if complaints:
            findings.append((number, complaints))
            if len(findings) >= _FINDINGS:
                break
        if (number + 1) % every == 0:
            spent = time.process_time() - started
            say(f"{number + 1:>9,} inputs, {spent / (number + 1) * 1e6:.0f} us each, {resident_bytes() >> 20} MiB")
    signal.setitimer(signal.ITIMER_REAL, 0)
    if warm and resident_bytes() - warm > GROWTH_BYTES:
        findings.append((inputs, [f"memory grew from {warm >> 20} to {resident_bytes() >> 20} MiB"]))
    return findings


def main() -> int:
    """Read the arguments, run, tell."""
    parser = argparse.ArgumentParser(prog="make fuzz", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", metavar="SEED:NUMBER")
    parser.add_argument("--guided", action="store_true", help="by coverage, with atheris, whose arguments follow")
    args, rest = parser.parse_known_args()
    if args.guided:
        from tests.fuzz.guided import main as guided

        return guided(rest)
    if rest:
        parser.error(f"unknown: {' '.join(rest)}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    signal.signal(signal.SIGALRM, _too_long)
    if args.replay:
        seed, _, number = args.replay.partition(":")
        return replay(int(seed), int(number))
    tally: Counter[str] = Counter()
    started = time.monotonic()
    findings = run(args.inputs, args.seed, tally)
    say(
        f"{args.inputs:,} inputs of seed {args.seed} in {time.monotonic() - started:.0f} s: {dict(tally.most_common())}"
    )
    for number, complaints in findings:
        say(f"--replay {args.seed}:{number}  {'; '.join(complaints)[:400]}")
    say(f"{len(findings)} wrong")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
