"""What a process of each engine weighs: run as `footprint.py cedar 1000` or `footprint.py oso 1000`; prints MiB."""

import sys
from pathlib import Path


def resident() -> float:
    """MiB of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmRSS")


def main() -> None:
    """Load so many policies, answer some questions, print before and after."""
    which, count = sys.argv[1], int(sys.argv[2])
    from grown import cedar_engine, model, oso_engine, questions

    grown = model(count)
    asked = questions(grown, 200)
    before = resident()
    if which == "cedar":
        engine = cedar_engine(grown)
        for it in asked:
            engine.decide(it.cedar)
    else:
        oso = oso_engine(grown)
        for it in asked:
            oso.is_allowed(*it.oso)
    sys.stdout.write(f"{before:.1f} {resident():.1f}\n")


if __name__ == "__main__":
    main()
