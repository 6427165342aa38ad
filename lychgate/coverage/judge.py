"""A handler -> the verdict: does it change something, and is that recorded on every path. Pure but for reading code.

A path must have an event where the request is one that changes (by method or by the handler's name), and on other
requests where something may have been changed on the way. An emitter that fails excuses a path that ends in an error:
nothing was done that nobody knows of.
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from lychgate.coverage import words
from lychgate.coverage.calls import LEVELS, Analysis
from lychgate.coverage.decorations import decorated
from lychgate.coverage.discovery import Found
from lychgate.coverage.flow import mentioned_methods
from lychgate.coverage.model import CHANGING, READING, Finding, Handler, Place, Route, State
from lychgate.coverage.paths import Effect, Emitted, Kind
from lychgate.coverage.resolve import Resolver
from lychgate.coverage.symbols import Function, dotted_text
from lychgate.coverage.vocabulary import Vocabulary

_SHOWN = 5
"""Paths that are told of each handler and kind; who mends these asks again."""
_NAMED_BY_FRAMEWORK = {"post", "put", "patch", "delete", "dispatch_request", "dispatch"}


@dataclass(frozen=True, slots=True)
class _Ask:
    """One way in which a handler is asked.

    Attributes:
        method: What `request.method` is; none where it may be any.
        why: Why every path must have an event; empty where only those need one that changed something.
    """

    method: str | None
    why: str


class Judge:
    """Judges the handlers of one service."""

    def __init__(self, service: str, vocabulary: Vocabulary, resolver: Resolver) -> None:
        self._service = service
        self._vocabulary = vocabulary
        self._resolver = resolver

    def judge(self, found: Found) -> Handler:
        """The verdict."""
        try:
            changes, findings, state = self._judged(found)
        except RecursionError:
            reason = "nests too deep to be followed"
            changes, state = (reason,), State.UNKNOWN
            findings = [Finding(found.place, "not-followed", reason, found.name)]
        ignored = self._ignored(found)
        if ignored == "" and state is not State.READING:
            findings = [
                Finding(found.place, "ignore-without-reason", "`# audit:ignore` says no reason", found.name),
                *findings,
            ]
            state = State.UNCOVERED if state is State.COVERED else state
        elif ignored and state in {State.UNCOVERED, State.UNKNOWN}:
            findings, state = [], State.IGNORED
        elif ignored is not None:
            reason = "is covered" if state is State.COVERED else "changes nothing"
            findings = [*findings, Finding(found.place, "ignore-unneeded", f"the handler {reason}", found.name)]
        return Handler(
            self._service,
            found.name,
            found.place,
            found.framework,
            tuple(sorted((Route(methods, path) for methods, path in found.routes), key=str)),
            state,
            tuple(changes),
            tuple(findings),
            ignored if state is State.IGNORED else None,
            _fingerprint(found),
        )

    def _judged(self, found: Found) -> tuple[tuple[str, ...], list[Finding], State]:
        methods = {method for listed, _ in found.routes for method in listed}
        anything = found.dynamic or any(not listed for listed, _ in found.routes)
        if found.function is None:
            if methods and methods <= set(READING) and not anything:
                return (), [], State.READING
            why = ", ".join(sorted(methods & CHANGING)) or "any method"
            reason = f"{found.unknown}; it answers {why}"
            return (why,), [Finding(found.place, "unknown-handler", reason, found.name)], State.UNKNOWN
        changes: dict[str, None] = {}
        findings: dict[Finding, None] = {}
        unknown = False
        for ask in self._asks(found, found.function, methods, anything=anything):
            analysis, effect = self._run(found, found.function, ask)
            if ask.why:
                changes[ask.why] = None
            changes |= analysis.writers
            lacking = list(self._lacking(found, ask, analysis, effect))
            findings |= dict.fromkeys(lacking)
            unknown |= bool(lacking) and any(f"more than {LEVELS} calls" in note for note in analysis.notes)
        if findings:
            return tuple(changes), self._told(found, list(findings)), State.UNKNOWN if unknown else State.UNCOVERED
        return tuple(changes), [], State.COVERED if changes else State.READING

    def _asks(self, found: Found, function: Function, methods: set[str], *, anything: bool) -> Iterator[_Ask]:
        reads = _only_reads(function)
        verb = words.verb(function.node.name, self._vocabulary.own.verbs) if not reads else None
        by_name = f"`{verb}` in its name" if verb and found.name.endswith(f".{function.node.name}") else ""
        if function.owner is not None and function.node.name in _NAMED_BY_FRAMEWORK:
            by_name = ""  # what it answers is said by its HTTP method
        changing = sorted(methods & CHANGING)
        for method in changing:
            yield _Ask(method, "" if reads else method)
        if methods - CHANGING:
            yield _Ask("GET", "" if changing else by_name)
        if not anything:
            return
        mentioned = mentioned_methods(function.node.body)
        for method in sorted(mentioned & CHANGING - methods):
            yield _Ask(method, "" if reads else method)
        if mentioned & CHANGING:
            yield _Ask("GET", "")
        elif found.dynamic:
            yield _Ask(None, "methods that cannot be read")
        else:
            form = any(
                isinstance(node, ast.Attribute) and node.attr in {"POST", "FILES"} for node in ast.walk(function.node)
            )
            yield _Ask(None, by_name or ("POST" if form and not reads else ""))

    def _run(self, found: Found, function: Function, ask: _Ask) -> tuple[Analysis, Effect]:
        analysis = Analysis(self._vocabulary, self._resolver, ask.method)
        effect = decorated(analysis, function, found)
        if ask.why and not analysis.writers:
            again = Analysis(self._vocabulary, self._resolver, ask.method, suspicious=True)
            suspected = decorated(again, function, found)
            again.writers = {}  # suspected only
            return again, suspected
        return analysis, effect

    def _lacking(self, found: Found, ask: _Ask, analysis: Analysis, effect: Effect) -> Iterator[Finding]:
        """The paths that need an event and have none."""
        here = found.place.file
        note = "".join(f"; {it}" for it in analysis.notes)
        several = any(len(methods) != 1 for methods, _ in found.routes)
        asked = f"{ask.method}: " if ask.method and several else ""
        for returned in sorted(effect.returns, key=lambda it: (it.place, it.at)):
            if returned.at.emitted is Emitted.YES or not (ask.why or returned.at.wrote):
                continue
            if not analysis.emitters:
                yield Finding(found.place, "no-event", f"{asked}nothing is emitted on any path{note}", found.name)
                return
            line = _line(returned.place, here)
            if returned.at.emitted is Emitted.REFUSED:
                what = f"{returned.text} at {line} as if the event were emitted, though the emitter has failed"
            else:
                what = f"{returned.text} at {line} before anything is emitted"
            yield Finding(returned.place, "success-path", f"{asked}{what}{note}", found.name)
        for raised in sorted(effect.raises, key=lambda it: (it.place, it.text, it.at)):
            if raised.kind not in {Kind.FAILED, Kind.RAISED} or raised.at.emitted is not Emitted.NO:
                continue
            if not (ask.why or raised.at.wrote):
                continue
            if not analysis.emitters:
                yield Finding(found.place, "no-event", f"{asked}nothing is emitted on any path{note}", found.name)
                return
            line = _line(raised.place, here)
            if raised.kind is Kind.RAISED:
                what = f"{raised.text} at {line} before anything is emitted"
            else:
                what = f"nothing is emitted when {raised.text} at {line}"
            yield Finding(raised.place, "error-path", f"{asked}{what}{note}", found.name)

    def _told(self, found: Found, findings: list[Finding]) -> list[Finding]:
        """The first of each kind, each path once; what lies in another file is told at the handler."""
        kept: dict[tuple[str, Place], Finding] = {}
        for finding in findings:
            place = finding.place if finding.place.file == found.place.file else found.place
            reason = finding.reason
            kept.setdefault((finding.code, finding.place), Finding(place, finding.code, reason, finding.handler))
        told: list[Finding] = []
        # what the code refuses by itself before what may fail in it
        order = sorted(kept.items(), key=lambda it: ("nothing is emitted when" in it[1].reason, it[0]))
        for code in ("no-event", "success-path", "error-path"):
            told += [it for (kind, _), it in order if kind == code][:_SHOWN]
        return told

    @staticmethod
    def _ignored(found: Found) -> str | None:
        """The reason given at a handler; empty where none is given; none where nothing is said."""
        first, last = found.lines
        reasons = [
            said.reason
            for line, said in found.module.ignores.items()
            if first < line <= last or (line == first and said.alone)  # else it is of what ends in the line above
        ]
        return max(reasons, key=len) if reasons else None


def _line(place: Place, here: str) -> str:
    return f"line {place.line}" if place.file == here else str(place)


def _only_reads(function: Function) -> bool:
    """`@context_rule(reads=True)`."""
    for decorator in function.node.decorator_list:
        if isinstance(decorator, ast.Call) and dotted_text(decorator.func).rpartition(".")[2] == "context_rule":
            return any(
                it.arg == "reads" and isinstance(it.value, ast.Constant) and it.value.value is True
                for it in decorator.keywords
            )
    return False


def _fingerprint(found: Found) -> str:
    if found.function is None:
        text = f"{found.unknown} {sorted(map(str, found.routes))}"
    else:
        body = found.function.node.body
        try:
            text = "".join(ast.dump(it) for it in body)
        except RecursionError:
            text = found.name  # too deep to be known again by anything but its name
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
