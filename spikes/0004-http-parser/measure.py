"""httptools, zttp or h11: what each takes for a request, what it lets through, how fast, and what its API does.

Run from the repository's root: `.venv-spikes/bin/python spikes/0004-http-parser/measure.py [--quick] [--json]`
"""

import argparse
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import behave  # noqa: E402
import differ  # noqa: E402
import kept  # noqa: E402
import measured  # noqa: E402
import speed  # noqa: E402
import strict  # noqa: E402
from readers import ALL  # noqa: E402

SEED = 4


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Everything as tables."""
    numbers = found["figures"]
    fast = [{"µs a request": work} | it for work, it in numbers["us_a_request"].items()]
    rest = [
        {"": "KiB a connection"} | numbers["kib_a_connection"],
        {"": "two threads read, times one"} | numbers["two_threads_times"],
    ]
    shown = {
        "Strictness: how many cases of the gateway's own table each lets through": kept.table(
            strict.by_rule(found["strictness"])
        )
    }
    if (vectors := found["vectors"]) is not None:
        count = vectors["count"]
        shown["llhttp's own requests: how many each takes without a word"] = kept.table(
            [
                {"": f"{kind} ({count[kind]})"} | {name: vectors["taken"][name].get(kind, 0) for name in ALL}
                for kind in count
            ]
        )
    campaign = found["differences"]
    shown[f"Differences: {campaign['inputs']:,} inputs, seed {campaign['seed']}"] = kept.table(differ.rows(campaign))
    torn = [
        {"": "inputs with a request in them"} | campaign["taken"],
        {"": "read otherwise byte by byte"} | campaign["otherwise_in_pieces"],
    ]
    shown["Whole and in pieces"] = kept.table(torn)
    shown["Speed, of the processor: median (middle half)"] = kept.table(fast)
    shown["Weight and threads"] = kept.table(rest)
    shown["What an API does"] = kept.table(found["behaviour"])
    return shown


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer inputs and rounds; the README stays as it is")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seed", type=int, default=SEED, help="of the differential campaign")
    parser.add_argument("--to", type=Path, default=HERE, help="the folder for results/")
    parser.add_argument("--vectors", type=Path, default=strict.VECTORS, help="llhttp's requests, where they are")
    said = parser.parse_args()
    found = {
        "machine": measured.machine(),
        "versions": kept.versions("httptools", "zttp", "h11"),
        "quick": said.quick,
        "strictness": strict.strictness(),
        "vectors": strict.vectors(said.vectors),
        "differences": differ.campaign(1_000 if said.quick else 50_000, said.seed),
        "figures": speed.figures(quick=said.quick),
        "behaviour": behave.table(),
    }
    shown = tables(found)
    name = "quick" if said.quick else "full"
    if not said.quick or said.to != HERE:
        kept.keep(said.to, found, shown, name=name, readme=not said.quick and said.to == HERE)
    kept.show(found, shown, as_json=said.json)


if __name__ == "__main__":
    main()
