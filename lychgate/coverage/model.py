"""What a scan finds: handlers, what they change, and what is missing. Values only."""

from dataclasses import dataclass, field
from enum import StrEnum

CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
"""Methods that change something (RFC 9110 section 9.2.1: all that are not safe, but CONNECT and TRACE)."""
READING = ("GET", "HEAD", "OPTIONS")


class State(StrEnum):
    """What is known of a handler."""

    COVERED = "covered"
    UNCOVERED = "uncovered"
    UNKNOWN = "unknown"
    """Counts as uncovered."""
    IGNORED = "ignored"
    """By a person, with a reason; not in the ratio."""
    READING = "reading"
    """Changes nothing; not in the ratio."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file.

    Attributes:
        file: As the report shows it, with `/`.
        line: From 1; 0 where the whole file is meant.
    """

    file: str
    line: int

    def __str__(self) -> str:
        """`file:line`, the form editors jump to."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """One way to a handler.

    Attributes:
        methods: Empty where any, or nobody knows which.
        path: As far as it can be read from the code; none where it cannot.
    """

    methods: tuple[str, ...]
    path: str | None

    def __str__(self) -> str:
        """`POST /orders`."""
        return f"{'|'.join(self.methods) or 'ANY'} {self.path if self.path is not None else '?'}"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """Something to do.

    Attributes:
        place: Where.
        code: One of `lychgate.coverage.codes.KINDS`.
        reason: Why, lower case, without a full stop.
        handler: Of which handler; empty where it is of a file.
    """

    place: Place
    code: str
    reason: str
    handler: str = ""


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler and the verdict.

    Attributes:
        service: Whose.
        name: `services.order.create_order`, `shop.views.OrderView.post`.
        place: Where it is defined, or registered where nobody knows what it is.
        framework: fastapi, starlette, flask, django, aiohttp, or `?`.
        routes: The ways to it.
        state: The verdict.
        changes: Why it is held to change something; empty where it is not.
        findings: What is missing.
        ignored: The reason a person gave.
        fingerprint: Of its body without names of its own, to know it again after it moved.
    """

    service: str
    name: str
    place: Place
    framework: str
    routes: tuple[Route, ...]
    state: State
    changes: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    ignored: str | None = None
    fingerprint: str = ""

    @property
    def lacking(self) -> bool:
        """Whether it changes something that nobody would know of."""
        return self.state in {State.UNCOVERED, State.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Service:
    """What was found in one service.

    Attributes:
        name: Its name.
        handlers: All of them, by place.
        findings: Of the service as a whole: files that cannot be read, no handler at all.
        files: How many were read.
        fail_under: The least ratio, where its configuration says one.
        excluded: How many files its configuration keeps from being looked at.
    """

    name: str
    handlers: tuple[Handler, ...]
    findings: tuple[Finding, ...] = ()
    files: int = 0
    fail_under: float | None = None
    excluded: int = 0

    def count(self, *states: State) -> int:
        """How many handlers are in one of these states."""
        return sum(handler.state in states for handler in self.handlers)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of one service or of all.

    Attributes:
        covered: Changing handlers with an event on every path.
        uncovered: Those without.
        unknown: Those of which it cannot be said, and files that cannot be read: counted as uncovered.
        ignored: Not in the ratio.
        reading: Not in the ratio.
    """

    covered: int = 0
    uncovered: int = 0
    unknown: int = 0
    ignored: int = 0
    reading: int = 0

    @property
    def ratio(self) -> float:
        """Covered of all that change something, 0 to 1; 1 where nothing does."""
        changing = self.covered + self.uncovered + self.unknown
        return self.covered / changing if changing else 1.0

    def plus(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(
            self.covered + other.covered,
            self.uncovered + other.uncovered,
            self.unknown + other.unknown,
            self.ignored + other.ignored,
            self.reading + other.reading,
        )


def tally(service: Service) -> Tally:
    """The counts of a service; each file that cannot be read, and a service without any handler, is one unknown."""
    blind = sum(finding.code in {"unreadable", "no-handlers"} for finding in service.findings)
    return Tally(
        service.count(State.COVERED),
        service.count(State.UNCOVERED),
        service.count(State.UNKNOWN) + blind,
        service.count(State.IGNORED),
        service.count(State.READING),
    )


@dataclass(frozen=True, slots=True)
class Report:
    """A scan of several services.

    Attributes:
        services: In the order in which they were named.
        more: Findings that are of a comparison: handlers that are newly uncovered, or were seen to act otherwise.
    """

    services: tuple[Service, ...]
    more: tuple[Finding, ...] = field(default=())

    @property
    def total(self) -> Tally:
        """All services together."""
        found = Tally()
        for service in self.services:
            found = found.plus(tally(service))
        return found

    @property
    def handlers(self) -> tuple[Handler, ...]:
        """Every handler."""
        return tuple(handler for service in self.services for handler in service.handlers)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every finding, by place."""
        found = [*self.more]
        for service in self.services:
            found += service.findings
            found += [finding for handler in service.handlers for finding in handler.findings]
        return tuple(sorted(found))
