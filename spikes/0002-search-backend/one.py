"""One engine taken through the study, in a process of its own.

`one.py ENGINE FOLDER RESULT RECORDS CHUNK HOW CHECKPOINT...`, as `run.py` calls it.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
from engine import Engine
from questions import Name, Question, questions
from stream import Plan, chunk, kept, tenant

from audit.event import AuditEvent
from spikes.measured import Sampler, percentile, repeated, timed

_EVENT = msgspec.json.Decoder(AuditEvent)
_READERS = 4
_WITH_READERS = (Name.NEWEST, Name.ACTOR, Name.TRACE, Name.RESOURCE, Name.GRAVE)


@dataclass(frozen=True)
class Care:
    """How long is measured.

    Attributes:
        each: Values each question is asked with.
        most: Times a question is timed at most.
        within_s: Or until this long.
        fresh: Records whose visibility is waited for.
        together_s: How long readers read while records come.
    """

    each: int = 8
    most: int = 40
    within_s: float = 2.0
    fresh: int = 10
    together_s: float = 8.0


QUICK = Care(each=2, most=2, within_s=0.1, fresh=1, together_s=0.3)


def engine(name: str, folder: Path, *, quick: bool) -> Engine:
    """Begin one; only its own libraries are imported."""
    if name == "postgres":
        from in_postgres import Postgres

        return Postgres(folder, quick=quick)
    if name == "clickhouse":
        from in_clickhouse import ClickHouse

        return ClickHouse(folder)
    from in_opensearch import OpenSearch

    return OpenSearch(folder, 256 if quick else 1024)


def taken_through(name: str, folder: Path, plan: Plan, checkpoints: list[int], care: Care) -> dict[str, Any]:
    """Everything that is measured of one engine."""
    chunks = folder / "chunks"
    home = folder / name
    home.mkdir()
    under = psutil.Process(os.getpid()).memory_full_info().pss / (1 << 20) if name == "clickhouse" else 0.0
    tried = engine(name, home, quick=care is QUICK)
    try:
        results: dict[str, Any] = {"version": tried.version, "own_way": tried.own_way, "at": {}, "answers": {}}
        written = own_chunks = 1 if plan.chunks <= 10 else 2
        records = [record for number in range(own_chunks) for record in kept(chunks, number)]
        with Sampler(tried.pid) as sampler:
            own_s = timed(lambda: [tried.write(records[at : at + 10_000]) for at in range(0, len(records), 10_000)])
        results["own"] = {"records": len(records), "seconds": own_s, "cpu_s": sampler.cpu_s}
        idle_mib = sampler.peak_mib - under
        for records_then in checkpoints:
            beyond = min(plan.chunks, -(-records_then // plan.chunk))
            with Sampler(tried.pid) as sampler:
                seconds = timed(lambda first=written, until=beyond: tried.load(chunks, first, until))  # type: ignore[misc]
            loaded = min(plan.records, beyond * plan.chunk) - min(plan.records, written * plan.chunk)
            written = max(written, beyond)
            settle_s = timed(tried.settled)
            with Sampler(tried.pid) as reading:
                asked, answers = _asked(
                    tried, questions(chunks, plan, min(plan.records, beyond * plan.chunk), care.each), care
                )
            results["answers"] |= {f"{records_then} {key}": value for key, value in answers.items()}
            results["at"][records_then] = {
                "loaded": loaded,
                "seconds": seconds,
                "cpu_s": sampler.cpu_s,
                "settle_s": settle_s,
                "peak_mib": sampler.peak_mib - under,
                "reading_mib": reading.peak_mib - under,
                "disk": tried.disk(),
                "records": min(plan.records, beyond * plan.chunk),
                "asked": asked,
            }
            _say(name, f"{records_then:,} records: {loaded / seconds if loaded else 0:,.0f}/s")
        results["idle_mib"] = idle_mib
        results["fresh_s"], used = _fresh(tried, plan, care.fresh)
        results["together"] = _together(tried, plan, questions(chunks, plan, plan.records, care.each), care)
        _say(name, "deleting")
        results["deleted"] = _deleted(tried)
        results["answers"]["left after the week"] = results["deleted"]["left"] - results["together"]["records"] - used
        results["answers"]["left of the tenant"] = results["deleted"]["tenant_left"]
        if name == "opensearch":
            refused = home / "refused"
            results["refused"] = sum(1 for _ in refused.glob("*")) if refused.exists() else 0
        return results
    finally:
        tried.stop()


def _asked(tried: Engine, asked: list[Question], care: Care) -> tuple[dict[str, Any], dict[str, str]]:
    """Each question: what was answered, and how long it took."""
    figures: dict[str, Any] = {}
    answers: dict[str, str] = {}
    for name in Name:
        alike = [one for one in asked if one.name is name]
        different = list(dict.fromkeys(alike))
        for one in different:
            answers[str(one)] = tried.ask(one)
        taken = repeated(
            lambda number, values=alike: tried.ask(values[number % len(values)]),  # type: ignore[misc]
            most=care.most,
            within_s=care.within_s,
        )
        figures[name] = {
            "p50_ms": percentile(taken, 0.5) * 1000,
            "p95_ms": percentile(taken, 0.95) * 1000,
            "times": len(taken),
        }
    return figures, answers


def _fresh(tried: Engine, plan: Plan, count: int) -> tuple[list[float], int]:
    """Seconds from the beginning of a write of one record until a reader sees it."""
    taken: list[float] = []
    used = 0
    for record in chunk(plan, plan.chunks):
        event = _EVENT.decode(record)
        if event.phase != "single":
            continue
        began = time.perf_counter()
        tried.write([record])
        used += 1
        while not tried.seen(event.tenant_id, event.event_id):
            if time.perf_counter() - began > 60:
                raise TimeoutError("a record is not visible after a minute")
            time.sleep(0.001)
        taken.append(time.perf_counter() - began)
        if len(taken) == count:
            break
    return taken, used


def _together(tried: Engine, plan: Plan, asked: list[Question], care: Care) -> dict[str, Any]:
    """Four readers while records come the product's way."""
    over = threading.Event()
    taken: list[list[float]] = [[] for _ in range(_READERS)]
    broken: list[BaseException] = []
    wanted = [one for one in asked if one.name in _WITH_READERS]

    def read(number: int) -> None:
        try:
            with tried.reader() as ask:
                while not over.is_set():
                    one = wanted[(number + len(taken[number]) * _READERS) % len(wanted)]
                    taken[number].append(timed(partial(ask, one)))
        except Exception as exc:  # noqa: BLE001 - said by who waits
            broken.append(exc)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(_READERS)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    records = 0
    number = 1
    while time.perf_counter() - began < care.together_s:
        some = chunk(plan, plan.chunks + number)
        for at in range(0, len(some), 1000):
            tried.write(some[at : at + 1000])
            records += 1000
            if time.perf_counter() - began >= care.together_s:
                break
        number += 1
    seconds = time.perf_counter() - began
    over.set()
    for thread in threads:
        thread.join()
    if broken:
        raise broken[0]
    all_taken = [each for some in taken for each in some]
    return {
        "records": records,
        "records_s": records / seconds,
        "reads_s": len(all_taken) / seconds,
        "p95_ms": percentile(all_taken, 0.95) * 1000,
    }


def _deleted(tried: Engine) -> dict[str, Any]:
    """The oldest week, and a tenant of the middle."""
    before = tried.disk()
    left: Callable[[], int] = tried.drop_week
    began = time.perf_counter()
    week_left = left()
    week_s = time.perf_counter() - began
    began = time.perf_counter()
    tenant_left = tried.drop_tenant(tenant(5))
    return {
        "week_s": week_s,
        "left": week_left,
        "tenant_s": time.perf_counter() - began,
        "tenant_left": tenant_left,
        "disk_before": before,
        "disk_after": tried.disk(),
    }


def _say(name: str, what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {name}: {what}", file=sys.stderr, flush=True)


def main() -> None:
    """One engine."""
    name, folder, result, records, chunk_, quick, *checkpoints = sys.argv[1:]
    plan, care = Plan(int(records), int(chunk_)), QUICK if quick == "quick" else Care()
    found = taken_through(name, Path(folder), plan, [int(each) for each in checkpoints], care)
    Path(result).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
