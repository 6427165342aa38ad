"""Inputs found by coverage: atheris grows bytes that reach new lines of `gateway`; each is judged as every other.

atheris is not in the lock: it has wheels for some Pythons only. `pip install atheris` where there is one.
"""

import sys
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
    for name in [name for name in sys.modules if name.startswith(("gateway", "tests.fuzz.check", "tests.builders"))]:
        del sys.modules[name]  # so that they are read again, with instruments
    with atheris.instrument_imports(include=["gateway"], enable_loader_override=False):
        from tests.fuzz.check import check, house
    where: Any = house()

    def one(data: bytes) -> None:
        complaints = check(where, shaped(data))
        if complaints:
            raise AssertionError("; ".join(complaints))

    atheris.Setup([sys.argv[0], *arguments], one)
    atheris.Fuzz()
    return 0


def shaped(data: bytes) -> Plan:
    """Bytes as an input: the first says how they come and whose they are."""
    shape, rest = (data[0] % _SHAPES, data[1:]) if data else (0, b"")
    rest = corpus.filled(rest)
    good = corpus.filled(corpus.requests()[0])
    if shape in {0, 1}:
        return Plan([(SEND, good)], [Reply(rest, (KEEP, CLOSE)[shape])])
    if shape == 2:
        return Plan([(SEND, rest[at : at + 1]) for at in range(len(rest))])
    head, _, more = rest.partition(b"\xff\xff")
    return Plan([(SEND, head), (SEND, more), *([(END, b"")] if shape == 3 else [])])
