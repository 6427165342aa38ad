"""What the rows of a partition should be: the leaves of its records, merged in key order, each block checked.

Memory holds a few blocks of each record, however large the partition is.
"""

import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import NamedTuple, TypeAlias
from uuid import UUID

from audit.codec import timestamp
from audit.ids import id_floor
from audit.integrity.keys import PublicKeys
from audit.integrity.leaf import BLOCK_LEAVES, Leaf, unpack
from audit.integrity.record import Sealed, SealKind, SealRecord, block_holds
from audit.integrity.tree import Tree
from audit.verify.report import Finding, FindingKind

Block: TypeAlias = tuple[int, bytes, bytes]
"""Its number, its leaves, its signature."""
FetchBlocks: TypeAlias = Callable[[int, int], Awaitable[Sequence[Block]]]
"""The next blocks of a record: its number, and from which block on; none at the end."""
Key: TypeAlias = tuple[bytes, str]

_LAST: Key = (b"\xff" * 17, "")
_DAY_MS = 86_400_000


class Expected(NamedTuple):
    """A row that should be there.

    Attributes:
        leaf: Its key and hash.
        trusted: Whether its block is the one that was signed.
    """

    leaf: Leaf
    trusted: bool


class Manifest:
    """The leaves of one partition's records.

    Args:
        records: What holds of the partition, in the order of the chain.
        fetch: Reads blocks.
        keys: Whose blocks are believed.

    Attributes:
        findings: What is wrong with the blocks themselves; grows while reading.
        purged: How many rows were taken out by purges.
    """

    def __init__(self, records: Sequence[Sealed], fetch: FetchBlocks, keys: PublicKeys) -> None:
        self._records = records
        self._fetch = fetch
        self._keys = keys
        self._blind: list[tuple[Key, Key]] = []
        self.findings: list[Finding] = []
        self.purged = 0

    def is_blind(self, key: Key) -> bool:
        """Whether a row stands where a block is missing: whether it should be there is not known."""
        return any(after < key < before for after, before in self._blind)

    async def rows(self) -> AsyncIterator[Expected]:
        """The rows that should be there, in key order: what was sealed or came late, less what was purged."""
        streams = [_Stream(self, sealed.record) for sealed in self._records]
        heap = [(stream.key, stream.record.seq, stream) for stream in streams if await stream.advance()]
        heapq.heapify(heap)
        while heap:
            key = heap[0][0]
            held: Expected | None = None
            while heap and heap[0][0] == key:  # in the order of the chain: the number breaks the tie
                _, seq, stream = heap[0]
                held = self._after(stream, held)
                if await stream.advance():
                    heapq.heapreplace(heap, (stream.key, seq, stream))
                else:
                    heapq.heappop(heap)
            if held is not None:
                yield held

    def _after(self, stream: "_Stream", held: Expected | None) -> Expected | None:
        """What holds of a key after one more record speaks of it."""
        current = stream.current
        if stream.record.kind is not SealKind.PURGE:
            return current
        if held is None or not current.trusted or held.leaf != current.leaf:
            return held  # it was purged before it was sealed, or never was: nothing of what was sealed goes with it
        self.purged += 1
        return None

    def rewritten(self, record: SealRecord, what: str, first: Leaf | None = None) -> None:
        """Note that blocks are not what was signed."""
        self.findings.append(
            Finding(
                FindingKind.LEAVES,
                record.partition,
                str(UUID(bytes=first.event_id)) if first is not None else None,
                first.phase if first is not None else None,
                f"the leaves of seal {record.seq}: {what}",
            )
        )

    def missing(self, record: SealRecord, after: Key, before: Key) -> None:
        """Note that the blocks between two keys are gone."""
        self._blind.append((after, before))
        first = f"from {UUID(bytes=after[0])}" if after[0] else "from the first"
        last = f"to {UUID(bytes=before[0])}" if before != _LAST else "to the last"
        self.rewritten(record, f"taken away, {first} {last}")


class _Stream:
    """The leaves of one record."""

    def __init__(self, manifest: Manifest, record: SealRecord) -> None:
        self._manifest = manifest
        self._fetch = manifest._fetch  # noqa: SLF001  # its other half
        self._keys = manifest._keys  # noqa: SLF001
        self.record = record
        self._blocks: list[Block] = []
        self._leaves: list[Leaf] = []
        self._at = 0
        self._trusted = True
        self._number = 0
        self._tree = Tree()
        self._key: Key = (b"", "")
        self._ended = False
        self._whole = True  # no block so far was missing or rewritten

    @property
    def key(self) -> Key:
        """The key of the current leaf."""
        return self._key

    @property
    def current(self) -> Expected:
        """The current leaf."""
        return Expected(self._leaves[self._at], self._trusted)

    async def advance(self) -> bool:
        """Go to the next leaf; false at the end."""
        self._at += 1
        while self._at >= len(self._leaves):
            if self._ended or not await self._next_block():
                return False
        leaf = self._leaves[self._at]
        self._key = leaf[:2]
        return True

    async def _next_block(self) -> bool:
        if not self._blocks:
            self._blocks = [*reversed(await self._fetch(self.record.seq, self._number))]
        if not self._blocks:
            self._end()
            return False
        number, packed, signature = self._blocks.pop()
        try:
            leaves = list(unpack(packed))
        except ValueError:
            leaves = []
        record = self.record
        self._trusted = bool(leaves) and block_holds(self._keys, record.key_id, record.seq, number, packed, signature)
        if number > self._number:
            self._whole = False
            self._manifest.missing(record, self._key, leaves[0][:2] if leaves else _LAST)
        if not self._trusted:
            self._distrusted(number, leaves)
        if record.kind is SealKind.PURGE:
            self._check_ages(leaves)
        for leaf in leaves:
            self._tree.add(leaf.hashed())
        self._leaves, self._at, self._number = leaves, 0, number + 1
        return True

    def _distrusted(self, number: int, leaves: list[Leaf]) -> None:
        """A block that nobody signed: what stands in it, and what it stands for, is not known."""
        self._whole = False
        if not leaves:
            self._manifest.missing(self.record, self._key, _LAST)
            return
        self._manifest.rewritten(
            self.record,
            f"block {number} was rewritten; it stands for up to {BLOCK_LEAVES} rows,"
            f" from here to {UUID(bytes=leaves[-1].event_id)}",
            leaves[0],
        )

    def _end(self) -> None:
        """After the last block: all must have been there, and as they were."""
        self._ended = True
        if self._number < -(-self.record.rows // BLOCK_LEAVES):
            self._manifest.missing(self.record, self._key, _LAST)
        elif self._whole and self._tree.root().hex() != self.record.root:
            self._manifest.rewritten(self.record, "their root is another")

    def _check_ages(self, leaves: list[Leaf]) -> None:
        """What was purged must have been old enough, by the retention it was signed under."""
        record = self.record
        limit = _floor(record.at, record.retention_days or 0)
        for leaf in leaves:
            if leaf.event_id >= limit:
                self._manifest.findings.append(
                    Finding(
                        FindingKind.PURGE,
                        record.partition,
                        str(UUID(bytes=leaf.event_id)),
                        leaf.phase,
                        f"seal {record.seq} calls it purged, and it was younger than {record.retention_days} days",
                    )
                )


def _floor(at: str, days: int) -> bytes:
    """The least id that was younger than so many days at that time."""
    ms = int(datetime.fromisoformat(at).timestamp() * 1000) - days * _DAY_MS
    return UUID(id_floor(max(ms, 0))).bytes


def dropped_too_early(record: SealRecord) -> bool:
    """Whether a partition was dropped before its youngest row may have been old enough."""
    return UUID(record.to_id).bytes > _floor(record.purged_at or timestamp(0), record.retention_days or 0)
