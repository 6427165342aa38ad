"""`make chaos`: kill, stop, fill and move what the audit rests on, under load; hold every promise against the store.

make chaos                                          3 rounds, one form after the other
make chaos ARGS="--rounds 20 --seed 7 --form kafka"
make chaos ARGS="--replay 7:12 --keep"              the faults of one round again, and its folder kept
"""

import argparse
import asyncio
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.machine import Disk
from tests.chaos.oracle import judge
from tests.chaos.plan import Form, plan
from tests.chaos.process import NotStarted
from tests.chaos.round import Round
from tests.chaos.servers import Servers
from tests.chaos.tally import tally

_SHOWN = 40
"""Violations of one round that are printed; the file in its folder has all."""


def say(text: str) -> None:
    """A line for whoever runs it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def form_of(number: int, wanted: str) -> Form:
    """The form of a round: with `both`, one after the other."""
    return Form(wanted) if wanted != "both" else (Form.DIRECT, Form.KAFKA)[number % 2]


def can_mount(home: Path) -> bool:
    """Whether the spool can have a small disk of its own."""
    disk = Disk(home / "probe")
    disk.make()
    mounted = disk.mounted
    disk.give_up()
    return mounted


async def rounds(args: argparse.Namespace, home: Path, numbers: list[int]) -> int:
    """Run them; returns how many were not without a violation."""
    disk, clock = can_mount(home), shutil.which("cc") is not None
    if not disk:
        say("the disk is not filled: mounting one needs root")
    if not clock:
        say("the clock is not moved: there is no C compiler (Debian's gcc)")
    servers = Servers(home)
    bad = 0
    try:
        await asyncio.to_thread(servers.start, broker=any(form_of(n, args.form) is Form.KAFKA for n in numbers))
        for number in numbers:
            bad += await one(args, home, number, servers, disk=disk, clock=clock)
    finally:
        await asyncio.to_thread(servers.stop)
    return bad


async def one(args: argparse.Namespace, home: Path, number: int, servers: Servers, *, disk: bool, clock: bool) -> bool:
    """Run a round and tell; returns whether anything was wrong."""
    form = form_of(number, args.form)
    strikes = plan(args.seed, number, form, args.seconds, disk=disk, clock=clock, every_s=args.every)
    say(f"round {args.seed}:{number}, {form}: {args.seconds:g} s of load, {len(strikes)} faults")
    for strike in strikes:
        say(f"  {strike}")
    folder = home / f"round-{number}"
    dice = random.Random(f"{args.seed}:{number}:load")
    this = Round(folder, servers, form, f"round_{number}", strikes, dice, args.seconds, args.rate, say)
    began = time.monotonic()
    try:
        evidence = await this.run()
    except (NotStarted, ExceptionGroup) as exc:
        say("  NOT FINISHED: " + "\n  ".join(_reasons(exc)) + f"\n  logs: {folder}")
        return True
    books, violations = judge(evidence)
    if not any(asked.known and asked.ask.durable and asked.code is None and asked.status for asked in evidence.asked):
        violations.append("nothing: no change was answered, so the round proves nothing")
    for line in tally(books):
        say(line)
    for name, times in this.gave_up.items():
        say(f"  {name} ended by itself {times} times, and was started again")
    say(f"  drained in {this.drained_s:.1f} s, {time.monotonic() - began:.0f} s in all: {len(violations)} violations")
    if violations:
        for line in violations[:_SHOWN]:
            say(f"  VIOLATION {line}")
        (folder / "violations").write_text("\n".join(violations) + "\n", encoding="utf-8")
        say(f'  again: make chaos ARGS="--replay {args.seed}:{number} --form {form} --seconds {args.seconds:g}"')
        say(f"  logs: {folder}")
    elif not args.keep:
        shutil.rmtree(folder, ignore_errors=True)
    return bool(violations)


def _reasons(exc: BaseException) -> list[str]:
    """What went wrong, out of whatever groups it stands in."""
    if isinstance(exc, BaseExceptionGroup):
        return [reason for each in exc.exceptions for reason in _reasons(each)]
    return [f"{type(exc).__name__}: {exc}"[-2000:]]


def main() -> int:
    """Read the arguments, run, tell."""
    parser = argparse.ArgumentParser(prog="make chaos", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=None, help="of the faults; a random one if not given")
    parser.add_argument("--form", choices=(*Form, "both"), default="both")
    parser.add_argument("--seconds", type=float, default=20.0, help="of load in a round")
    parser.add_argument("--rate", type=float, default=120.0, help="requests a second, about")
    parser.add_argument("--every", type=float, default=2.0, help="seconds from one fault to the next, about")
    parser.add_argument("--replay", metavar="SEED:ROUND", help="the faults of that round, alone")
    parser.add_argument("--keep", action="store_true", help="keep every round's folder")
    args = parser.parse_args()
    if args.seed is None:
        args.seed = random.SystemRandom().randrange(10_000)
    numbers = list(range(args.rounds))
    if args.replay:
        seed, _, number = args.replay.partition(":")
        args.seed, numbers = int(seed), [int(number)]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has started us in the background
    for which in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(which, lambda *_: signal.raise_signal(signal.SIGINT))  # all that was started is stopped
    home = Path(tempfile.mkdtemp(prefix="lychgate-chaos-"))
    home.chmod(0o711)  # PostgreSQL's system user passes through, and lists nothing
    bad = 1
    try:
        bad = asyncio.run(rounds(args, home, numbers))
    except NotStarted as exc:
        say(f"not started: {exc}")
        return 2
    except KeyboardInterrupt:
        bad = 0
        raise
    finally:
        if not bad and not args.keep:
            shutil.rmtree(home, ignore_errors=True)
        else:
            for data in ("postgres", "kafka"):
                shutil.rmtree(home / data, ignore_errors=True)
            say(f"kept: {home}")
    say(
        f"{len(numbers)} rounds of seed {args.seed}: {bad} with violations"
        if bad
        else f"{len(numbers)} rounds of seed {args.seed}: 0 violations"
    )
    return min(bad, 1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
