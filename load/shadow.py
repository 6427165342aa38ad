"""What a shadow set costs, and whom: run `python load/shadow.py`, alone on the machine. ADR 0126 quotes it.

Processor time for each request. The worker's part is what it would pay if it sent the sampled questions itself, which
was rejected; as built it pays nothing, because the shadow is fed from what the relay has delivered.
"""

import socket
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "load")]

from replay import lines  # noqa: E402 - after the path

from gateway.shadow.judge import ShadowJudge  # noqa: E402
from gateway.shadow.messages import Judge, Load  # noqa: E402
from gateway.shadow.sample import Sample  # noqa: E402
from gateway.sources import SourceFile  # noqa: E402
from policies.load import read_folder  # noqa: E402
from policies.replay.record import Recorded, read  # noqa: E402
from roles.load import load_catalogue  # noqa: E402

ROUNDS = 9
COUNT = 2_000


def variants(records: list[bytes]) -> dict[str, Callable[[], object]]:
    """What is measured, by name."""
    files, schema = read_folder(ROOT / "policies")
    catalogue = load_catalogue((ROOT / "roles/roles.toml").read_text(encoding="utf-8"), "roles.toml")
    source = SourceFile(*schema)
    judge = ShadowJudge()
    loaded = judge.load(Load(tuple(SourceFile(*file) for file in files), source, source, catalogue.names, strict=False))
    assert loaded.version
    found = [recorded.question for record in records if isinstance(recorded := read(record), Recorded)]
    tenth, whole = Sample(0.1), Sample(1.0)
    encoder, (ours, theirs) = msgspec.msgpack.Encoder(), socket.socketpair()
    theirs.setblocking(False)

    def worker() -> None:
        for question in found:
            ours.send(encoder.encode(question))
            theirs.recv(1 << 16)

    def supervisor() -> None:
        for at in range(0, len(records), 200):
            encoder.encode(Judge(tuple(records[at : at + 200])))

    return {
        "supervisor: choosing, share 0.1": lambda: tenth.chosen(records),
        "supervisor: choosing, share 1": lambda: whole.chosen(records),
        "supervisor: handing over, of each chosen": supervisor,
        "the shadow's process, of each chosen": lambda: judge.judge(records),
        "rejected: a worker sends the question, of each chosen": worker,
    }


def main() -> None:
    """Measure and print."""
    records = list(lines("shop", COUNT))
    taken: dict[str, list[float]] = {}
    chosen = variants(records)
    for _ in range(ROUNDS):
        for name, call in chosen.items():
            started = time.process_time()
            call()
            taken.setdefault(name, []).append((time.process_time() - started) / COUNT * 1e6)
    for name, times in taken.items():
        print(f"{statistics.median(times):8.2f} us  {name}")


if __name__ == "__main__":
    main()
