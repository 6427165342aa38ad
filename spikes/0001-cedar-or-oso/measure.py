"""Cedar or Oso: both engines over the same role model, every case of the decision tables, and models of other sizes.

Run from the repository's root: `.venv-spikes/bin/python spikes/0001-cedar-or-oso/measure.py [--quick] [--json]`
"""

import argparse
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import cedarpy  # noqa: E402
import grown  # noqa: E402
import kept  # noqa: E402
import measured  # noqa: E402
import mistakes  # noqa: E402
import world  # noqa: E402

from policies.model import Effect  # noqa: E402

MICRO = 1e6
ASKED = 60
"""Questions a round: enough that a round is longer than the clock's grain, few enough that moods are shared."""


def correctness() -> dict[str, Any]:
    """Both against every case of the tables."""
    wrong = world.mismatches(world.cedar(), world.polar())
    return {"cases": len(world.cases()), "mismatches": wrong}


def agreement(size: int) -> int:
    """Questions of the grown model on which the two differ."""
    model = grown.model(size)
    cedar, oso = grown.cedar_engine(model), grown.oso_engine(model)
    return sum(
        (cedar.decide(it.cedar).effect is Effect.ALLOW) != bool(oso.is_allowed(*it.oso))
        for it in grown.questions(model, ASKED)
    )


def speed(size: int, rounds: int) -> dict[str, Any]:  # noqa: C901 - seven things to time, each a line or two
    """Microseconds a decision, warm; and milliseconds from text to the first answer."""
    model = grown.model(size)
    asked = grown.questions(model, ASKED)
    engine, oso = grown.cedar_engine(model), grown.oso_engine(model)
    whole = cedarpy.PolicySet.from_str(model.cedar)

    def sliced() -> float:
        return _each(lambda it: engine.decide(it.cedar), asked)

    def unsliced() -> float:
        return _each(lambda it: _raw(it.cedar, whole, engine.bundle.schema.handle), asked)

    def rules() -> float:
        return _each(lambda it: oso.is_allowed(*it.oso), asked)

    def cold_cedar() -> float:
        return _cost(lambda: grown.cedar_engine(model).decide(asked[0].cedar)) * 1e3

    def cold_raw() -> float:
        def first() -> None:
            policies, schema = cedarpy.PolicySet.from_str(model.cedar), cedarpy.Schema.from_str(model.schema)
            _raw(asked[0].cedar, policies, schema)

        return _cost(first) * 1e3

    def cold_oso() -> float:
        return _cost(lambda: grown.oso_engine(model).is_allowed(*asked[0].oso)) * 1e3

    def reload_oso() -> float:
        def again() -> None:
            oso.clear_rules()
            oso.load_str(model.polar)

        return _cost(again) * 1e3

    for run in (sliced, unsliced, rules):
        run()
    warm = kept.interleaved({"Cedar, sliced": sliced, "Cedar, whole": unsliced, "Oso": rules}, rounds)
    cold_rounds = max(3, rounds // 3)
    cold = kept.interleaved({"Lychgate's": cold_cedar, "Cedar alone": cold_raw, "Oso": cold_oso}, cold_rounds)
    return {
        "policies": model.policies,
        "warm_us": warm,
        "cold_ms": cold,
        "reload_ms": kept.interleaved({"Oso": reload_oso}, cold_rounds),
    }


def real(rounds: int) -> dict[str, Any]:
    """The real role model, over every case of the tables."""
    engine, oso = world.cedar(), world.polar()
    cases = world.cases()
    asked = [world.asked(case) for case in cases]
    runs = {
        "Cedar, sliced": lambda: _each(lambda it: engine.decide(it.question), cases),
        "Oso": lambda: _each(lambda it: oso.is_allowed(*it), asked),
    }
    return kept.interleaved(runs, rounds)


def memory(size: int) -> dict[str, float]:
    """MiB that a process of each has more once it has loaded and answered."""
    found = {}
    for which in ("cedar", "oso"):
        told = subprocess.run(
            [sys.executable, str(HERE / "footprint.py"), which, str(size)], capture_output=True, text=True, check=True
        ).stdout.split()
        found[which] = float(told[1]) - float(told[0])
    return found


def threads(size: int, count: int) -> dict[str, Any]:
    """Whether two threads decide more than one, whether they are right, and how long a load holds another thread up."""
    model = grown.model(size)
    asked = grown.questions(model, ASKED)
    engine, oso = grown.cedar_engine(model), grown.oso_engine(model)
    decide: dict[str, Callable[[Any], bool]] = {
        "Cedar": lambda it: engine.decide(it.cedar).effect is Effect.ALLOW,
        "Oso": lambda it: bool(oso.is_allowed(*it.oso)),
    }
    found: dict[str, Any] = {}
    for name, judge in decide.items():
        right = [judge(it) for it in asked]
        wrong: list[int] = []

        def work(judge: Callable[[Any], bool] = judge, right: list[bool] = right, wrong: list[int] = wrong) -> None:
            for _ in range(count):
                wrong.extend(at for at, it in enumerate(asked) if judge(it) is not right[at])

        one = _took(work)
        both = _took(lambda work=work: _together(work, 2))
        found[name] = {"two_threads_times": 2 * one / both, "wrong": len(wrong)}
    found["Cedar"]["load_holds_ms"] = _longest_gap(lambda: grown.cedar_engine(model))
    found["Oso"]["load_holds_ms"] = _longest_gap(lambda: grown.oso_engine(model))
    return found


def explanations() -> dict[str, Any]:
    """What each says of a refusal by a limit: one question of the tables, an allow and a deny."""
    engine, oso = world.cedar(), world.polar()
    denied = next(it for it in world.cases() if it.expect is Effect.DENY and it.policies)
    answer = engine.decide(denied.question)
    return {
        "case": denied.name,
        "Cedar": f"{answer.effect.value} by {', '.join(answer.reasons)}",
        "Oso": str(world.decided(oso, denied)),
    }


def _raw(question: Any, policies: Any, schema: Any) -> Any:
    """A decision without our engine: everything is looked at."""
    return cedarpy.is_authorized(
        {
            "principal": {"type": question.principal.type, "id": question.principal.id},
            "action": {"type": "Action", "id": question.action},
            "resource": {"type": question.resource.type, "id": question.resource.id},
            "context": question.context,
        },
        policies,
        [_entity(it) for it in question.entities],
        schema,
    )


def _entity(it: Any) -> dict[str, Any]:
    parents = [{"type": parent.type, "id": parent.id} for parent in it.parents]
    return {"uid": {"type": it.uid.type, "id": it.uid.id}, "attrs": dict(it.attrs), "parents": parents}


def _each(work: Callable[[Any], object], items: Any) -> float:
    """Microseconds of the processor an item: others' work on a shared machine does not count."""
    started = time.thread_time()
    for it in items:
        work(it)
    return (time.thread_time() - started) / len(items) * MICRO


def _cost(work: Callable[[], object]) -> float:
    """Seconds of the processor."""
    started = time.thread_time()
    work()
    return time.thread_time() - started


def _took(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _together(work: Callable[[], None], count: int) -> None:
    running = [threading.Thread(target=work) for _ in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def _longest_gap(work: Callable[[], object]) -> float:
    """Milliseconds that another thread had to wait at most while this was done."""
    gaps: list[float] = []
    over = threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not over.is_set():
            time.sleep(0.0005)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    ticking = threading.Thread(target=tick)
    ticking.start()
    work()
    over.set()
    ticking.join()
    return max(gaps, default=0.0) * 1e3


def tables(found: dict[str, Any]) -> dict[str, str]:
    """Everything as tables."""
    sizes = [
        {"policies": it["policies"]}
        | {f"{name}: warm, µs": value for name, value in it["warm_us"].items()}
        | {f"{name}: text to first answer, ms": value for name, value in it["cold_ms"].items()}
        | {"Oso: rules replaced, ms": it["reload_ms"]["Oso"]}
        for it in found["speed"]
    ]
    weight = [
        {"policies": size, "Cedar, MiB": it["cedar"], "Oso, MiB": it["oso"]} for size, it in found["memory"].items()
    ]
    at_once = [
        {
            "engine": name,
            "two threads do, times one": it["two_threads_times"],
            "wrong answers": it["wrong"],
            "a load holds another thread up, ms": it["load_holds_ms"],
        }
        for name, it in found["threads"].items()
    ]
    cases = found["correctness"]
    right = [
        {
            "cases": cases["cases"],
            "mismatches": len(cases["mismatches"]),
            "lines of Cedar": found["lines"]["cedar"],
            "lines of Polar": found["lines"]["polar"],
            "Cedar, µs a case": found["real_us"]["Cedar, sliced"],
            "Oso, µs a case": found["real_us"]["Oso"],
        }
    ]
    return {
        "The real role model": kept.table(right),
        "Models of other sizes: median (middle half)": kept.table(sizes),
        "What a process has more once it has loaded and answered": kept.table(weight),
        "Threads": kept.table(at_once),
        "What a refusal says": kept.table([found["explanation"]]),
        "Mistakes, and what a newcomer is told": kept.table(found["mistakes"]),
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds; the README stays as it is")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--to", type=Path, default=HERE, help="the folder for results/")
    said = parser.parse_args()
    sizes, rounds = ((10, 50), 3) if said.quick else ((10, 100, 1_000), 15)
    cedar_lines = sum(
        world.lines_of(file.read_text(encoding="utf-8")) for file in (world.ROOT / "policies").glob("*.cedar")
    )
    found = {
        "machine": measured.machine(),
        "versions": kept.versions("cedarpy", "oso"),
        "quick": said.quick,
        "correctness": correctness(),
        "disagreements": {size: agreement(size) for size in sizes},
        "lines": {"cedar": cedar_lines, "polar": world.lines_of(world.POLAR.read_text(encoding="utf-8"))},
        "real_us": real(1 if said.quick else 5),
        "speed": [speed(size, rounds) for size in sizes],
        "memory": {size: memory(size) for size in sizes},
        "threads": threads(sizes[-1], 1 if said.quick else 3),
        "explanation": explanations(),
        "mistakes": mistakes.table(),
    }
    shown = tables(found)
    name = "quick" if said.quick else "full"
    if not said.quick or said.to != HERE:
        kept.keep(said.to, found, shown, name=name, readme=not said.quick and said.to == HERE)
    kept.show(found, shown, as_json=said.json)
    if found["correctness"]["mismatches"] or any(found["disagreements"].values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
