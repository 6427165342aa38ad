"""Inputs found by coverage: atheris grows bytes that reach new lines of `gateway`; each is judged as every other.

atheris is not in the lock: it has wheels for some Pythons only. `pip install atheris` where there is one.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz import corpus
from tests.fuzz.plan import CLOSE, END, KEEP, SEND, Plan, Reply

_SHAPES = 8


def main(arguments: list[str]) -> int:
    """Run until it is stopped, or something is wrong; arguments go to libFuzzer (`-max_total_time=60`)."""
    try:
        import atheris
    except ImportError:
        sys.stderr.write(
            "atheris is not installed, and guided fuzzing needs it: .venv/bin/pip install atheris. It has no wheel for "
            "every Python; without it, `make fuzz` and the tests run all the same.\n"
        )
        return 2
    again = ("gateway", "tests.builders", "tests.fuzz.check", "tests.fuzz.corpus")
    for name in [name for name in sys.modules if name.startswith(again)]:
        del sys.modules[name]  # so that they are read again, with instruments, and share one signing key
    with atheris.instrument_imports(include=["gateway"], enable_loader_override=False):
        from tests.fuzz import corpus as words
        from tests.fuzz.check import check, house
    where: Any = house()

    def one(data: bytes) -> None:
        complaints = check(where, shaped(data, words.filled))
        if complaints:
            raise AssertionError("; ".join(complaints))

    seeds = Path(".lychgate/fuzz")  # what it finds of interest stays there for the next time
    seeds.mkdir(parents=True, exist_ok=True)
    for number, raw in enumerate([*words.requests(), *words.answers()]):
        shape = b"\x07" if number < len(words.requests()) else b"\x01"
        (seeds / f"seed-{number}").write_bytes(shape + raw)
    atheris.Setup([sys.argv[0], *arguments, str(seeds)], one)
    atheris.Fuzz()
    return 0


def shaped(data: bytes, filled: Callable[[bytes], bytes] = corpus.filled) -> Plan:
    """Bytes as an input: the first says how they come and whose they are; `filled` puts credentials in."""
    shape, rest = (data[0] % _SHAPES, data[1:]) if data else (0, b"")
    rest = filled(rest)
    good = filled(corpus.requests()[0])
    if shape in {0, 1}:
        return Plan([(SEND, good)], [Reply(rest, (KEEP, CLOSE)[shape])])
    if shape == 2:
        return Plan([(SEND, rest[at : at + 1]) for at in range(len(rest))])
    head, _, more = rest.partition(b"\xff\xff")
    return Plan([(SEND, head), (SEND, more), *([(END, b"")] if shape == 3 else [])])
