"""What a verification says: findings, each with its place, and what it did not look at. Pure."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple


class FindingKind(StrEnum):
    """What is wrong."""

    CHANGED = "changed"  # a row says something else than when it was sealed, or than its own body
    ADDED = "added"  # a row is there that no seal knows
    REMOVED = "removed"  # a row is gone that a seal knows
    SEAL = "seal"  # the chain does not hold
    LEAVES = "leaves"  # what lies behind a root was rewritten
    PARTITION = "partition"  # a partition is gone, or not what it was
    PURGE = "purge"  # something was deleted too early


class Finding(NamedTuple):
    """One thing that is wrong.

    Attributes:
        kind: What.
        partition: Where; None if it concerns the chain.
        event_id: Which row; None if it concerns more.
        phase: Of that row.
        what: In words.
    """

    kind: FindingKind
    partition: str | None
    event_id: str | None
    phase: str | None
    what: str


class Looked(NamedTuple):
    """How a partition was looked at.

    Attributes:
        partition: Which.
        state: `sealed`, `dropped`, or `not sealed`: then its rows were only held against their own hashes.
        rows: How many rows it has.
        seals: How many records of the chain are about it.
        findings: How many things are wrong with it.
    """

    partition: str
    state: str
    rows: int
    seals: int
    findings: int


@dataclass
class Report:
    """Everything found.

    Attributes:
        seals: Records in the chain.
        findings: The first of them, in the order of the chain, then of the rows.
        count: How many there are altogether.
        looked: The partitions.
        notes: What a reader must know about the rest.
    """

    limit: int = 100
    seals: int = 0
    findings: list[Finding] = field(default_factory=list)
    count: int = 0
    looked: list[Looked] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        """Take a finding; beyond the limit it is only counted."""
        self.count += 1
        if len(self.findings) < self.limit:
            self.findings.append(finding)

    @property
    def rows(self) -> int:
        """How many rows were read."""
        return sum(each.rows for each in self.looked)
