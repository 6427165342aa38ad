"""The evidence, sorted: whose each record is, what is named missing, what may have been lost. Pure."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.chaos.evidence import Evidence, Row, canonical_hash
from tests.chaos.shop import FOLDED, Asked

DECISION = "authz.decision.evaluated"
LOSS = "audit.loss"
AHEAD = "out_of_range"
NEAR_S = 3.0
"""How long before or after a fault it may have cost a record, on a machine that is busy."""


@dataclass
class Books:
    """The evidence, sorted once.

    Attributes:
        visible: Rows, and dead letters that were planned.
        by_trace: Decision records by the trace id of the request they are of.
        domain: The services' records by trace id.
        named: Missing numbers by producer and epoch, each with the records that name it.
    """

    evidence: Evidence
    visible: list[Row] = field(default_factory=list)
    by_trace: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    domain: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    named: dict[tuple[str, int], dict[int, list[Row]]] = field(default_factory=lambda: defaultdict(dict))
    asked: dict[str, Asked] = field(default_factory=dict)

    def __post_init__(self) -> None:
        evidence = self.evidence
        # A row that was taken while its clock was believed, and delivered again when it no longer was, is there once.
        there = {(*row.key, row.hash) for row in evidence.rows}
        planned = [
            row
            for row in evidence.dead
            if row.dead == AHEAD and evidence.ahead and (*row.key, canonical_hash(row.body)) not in there
        ]
        self.visible = [*evidence.rows, *planned]
        self.asked = {asked.trace_id: asked for asked in evidence.asked}
        for row in self.visible:
            trace = str(row.at("trace_id"))
            if row.at("kind") == "domain":
                self.domain[trace].append(row)
            elif row.at("event_type") == DECISION:
                self.by_trace[trace].append(row)
            elif row.at("event_type") == LOSS:
                details = row.at("details")
                numbers = self.named[str(details["producer"]), int(details["epoch"])]
                for first, last in details["missing"]:
                    for number in range(first, last + 1):
                        numbers.setdefault(number, []).append(row)

    def near(self, at: float, before_s: float = NEAR_S) -> bool:
        """Whether something was being done to the gateway then."""
        return any(one.began_at - before_s <= at <= one.ended_at + NEAR_S for one in self.evidence.disturbed)

    @property
    def named_count(self) -> int:
        """Numbers that are missing and named."""
        return sum(len(numbers) for numbers in self.named.values())


def folded(books: Books) -> Iterator[tuple[Asked, Row]]:
    """The records of strangers' refusals, each with the first request it is of."""
    for trace, rows in books.by_trace.items():
        asked = books.asked.get(trace)
        if asked is not None and asked.ask.name in FOLDED:
            for row in rows:
                yield asked, row


def count_of(row: Row) -> int:
    """How many refusals a record speaks for."""
    return int(row.at("aggregate", "count")) if row.at("aggregate") is not None else 1


def lost_reads(books: Books) -> list[Asked]:
    """Answered requests of buffered routes that have no record."""
    return [
        asked
        for asked in books.evidence.asked
        if asked.status is not None
        and asked.code is None
        and not asked.ask.durable
        and asked.ask.name not in FOLDED
        and not books.by_trace.get(asked.trace_id)
    ]
