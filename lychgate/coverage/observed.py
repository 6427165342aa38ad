"""What was seen while a service's tests ran, held against what the scanner claims. Pure, but for reading the files.

A run is one line of JSON, as `lychgate.coverage.observer` writes it.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from lychgate.coverage.model import Finding, Handler, Place, Report, State
from lychgate.errors import ConfigurationError

_CHANGES: Final = frozenset("cud")


class Run(NamedTuple):
    """One run of a handler.

    Attributes:
        handler: Its dotted name, `services.order.create_order`.
        failed: Whether it raised, or answered with 400 or more.
        events: Types of the events emitted within it, with what they say they did (c r u d x).
        refused: Whether the emitter failed, so that nothing was done.
    """

    handler: str
    failed: bool
    events: tuple[tuple[str, str], ...]
    refused: bool = False


class Checked(NamedTuple):
    """The comparison.

    Attributes:
        findings: Where what was seen contradicts the claim.
        unseen: Changing handlers of which a success, a failure or both were not seen.
        runs: How many runs there were.
    """

    findings: tuple[Finding, ...]
    unseen: tuple[str, ...]
    runs: int


def read_runs(files: Iterable[Path]) -> Iterator[Run]:
    """The runs of some files, or of every `.jsonl` of a folder.

    Raises:
        ConfigurationError: A line is none; says where.
    """
    for file in files:
        for part in sorted(file.glob("*.jsonl")) if file.is_dir() else [file]:
            try:
                lines = part.read_text(encoding="utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as exc:
                raise ConfigurationError(f"{part}: cannot be read: {exc}") from exc
            yield from runs_of(lines, str(part))


def runs_of(lines: Iterable[str], name: str) -> Iterator[Run]:
    """The runs that lines tell of.

    Raises:
        ConfigurationError: A line tells of none; says where.
    """
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
            events = tuple((str(kind), str(crud)) for kind, crud in values["events"])
            yield Run(str(values["handler"]), bool(values["failed"]), events, bool(values["refused"]))
        except (ValueError, KeyError, TypeError, RecursionError) as exc:
            raise ConfigurationError(f"{name}:{number}: is no run of a handler") from exc


def check(report: Report, runs: Iterable[Run]) -> Checked:
    """Hold runs against the claims."""
    seen: dict[str, list[Run]] = defaultdict(list)
    count = 0
    for run in runs:
        seen[run.handler].append(run)
        count += 1
    findings: list[Finding] = []
    unseen: list[str] = []
    known = {handler.name for handler in report.handlers}
    for handler in report.handlers:
        findings += _contradictions(handler, seen.get(handler.name, []))
        if handler.state not in {State.READING, State.IGNORED}:
            ways = {run.failed for run in seen.get(handler.name, [])}
            missing = [word for failed, word in ((False, "success"), (True, "failure")) if failed not in ways]
            unseen += [f"{handler.name}: {' and '.join(missing)}"] if missing else []
    for name in sorted(set(seen) - known):
        findings.append(Finding(Place(name, 0), "observed-unknown", f"ran {len(seen[name])} times", name))
    return Checked(tuple(findings), tuple(unseen), count)


def _contradictions(handler: Handler, runs: list[Run]) -> Iterator[Finding]:
    if handler.state is State.COVERED:
        reads = not any(word in {"POST", "PUT", "PATCH", "DELETE"} for word in handler.changes)
        silent = [run for run in runs if not run.events and not run.refused]
        if reads:  # its other paths need no event
            silent = []
        for failed in sorted({run.failed for run in silent}):
            how = "failed" if failed else "succeeded"
            reason = f"{how} {sum(run.failed is failed for run in silent)} times without an event"
            yield Finding(handler.place, "observed-silent", reason, handler.name)
    elif handler.lacking:
        if {run.failed for run in runs} == {False, True} and all(run.events for run in runs):
            reason = f"emitted an event in each of {len(runs)} runs, failures too"
            yield Finding(handler.place, "observed-emitting", reason, handler.name)
    elif handler.state is State.READING:
        changing = sorted({name for run in runs for name, crud in run.events if crud in _CHANGES})
        if changing:
            yield Finding(handler.place, "observed-changing", f"emitted `{changing[0]}`", handler.name)
