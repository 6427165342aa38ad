"""The leaves that a record is made of, a page at a time, as the keeper may read them: keys and hashes, no content."""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from audit.errors import SealRefused
from audit.integrity.keys import SealKey
from audit.integrity.leaf import BLOCK_LEAVES, Leaf, pack
from audit.integrity.record import sign_block
from audit.integrity.tree import Tree
from audit.keeper.jobs import Connection

PAGE_ROWS = 8 * BLOCK_LEAVES  # hashing a page holds the loop for a few milliseconds
_FIRST = UUID(int=0)

_STORED = "SELECT event_id, phase, payload_hash FROM audit_leaves($1, $2, $3, $4)"
_LATE = """
SELECT DISTINCT event_id, phase FROM audit_late_rows
WHERE partition = $1 AND (event_id, phase) > ($2, $3) AND login IN ('audit_writer', 'audit_keeper')
ORDER BY event_id, phase LIMIT $4
"""
_HASHES = "SELECT event_id, phase, payload_hash FROM audit_hashes($1, $2) ORDER BY event_id, phase"
_PURGED = """
SELECT event_id, phase, payload_hash FROM audit_purged_leaves
WHERE event_id < $1 AND (event_id, phase) > ($2, $3) AND audit_purge_is_due(event_id, purged_at, $5)
ORDER BY event_id, phase LIMIT $4
"""


async def stored(connection: Connection, partition: str) -> AsyncIterator[list[Leaf]]:
    """All rows of a partition, in key order."""
    after: tuple[UUID, str] = (_FIRST, "")
    while page := await connection.fetch(_STORED, partition, *after, PAGE_ROWS):
        yield [Leaf(row[0].bytes, row[1], row[2]) for row in page]
        after = page[-1][0], page[-1][1]


async def late(connection: Connection, partition: str) -> AsyncIterator[list[Leaf]]:
    """The rows that came into a sealed partition as they should, and are in no record yet."""
    after: tuple[UUID, str] = (_FIRST, "")
    while page := await connection.fetch(_LATE, partition, *after, PAGE_ROWS):
        found = await connection.fetch(_HASHES, [row[0] for row in page], [row[1] for row in page])
        yield [Leaf(row[0].bytes, row[1], row[2]) for row in found]
        after = page[-1][0], page[-1][1]


async def purged(connection: Connection, lowest: UUID, beyond: UUID, days: int) -> AsyncIterator[list[Leaf]]:
    """The rows that were deleted from between these ids, being older than so many days, and are in no record yet."""
    after: tuple[UUID, str] = (lowest, "")
    while page := await connection.fetch(_PURGED, beyond, *after, PAGE_ROWS, days):
        yield [Leaf(row[0].bytes, row[1], row[2]) for row in page]
        after = page[-1][0], page[-1][1]


async def keep(connection: Connection, key: SealKey, seq: int, pages: AsyncIterator[list[Leaf]]) -> Tree:
    """Keep the leaves of the record `seq` in signed blocks.

    Returns:
        Their tree.

    Raises:
        SealRefused: a row has a key or a hash that the store never writes.
    """
    tree, number, rest = Tree(), 0, list[Leaf]()
    async for page in pages:
        rest += page
        whole = len(rest) - len(rest) % BLOCK_LEAVES
        number = await _keep(connection, key, seq, number, rest[:whole], tree)
        rest = rest[whole:]
    await _keep(connection, key, seq, number, rest, tree)
    return tree


async def _keep(connection: Connection, key: SealKey, seq: int, number: int, leaves: Sequence[Leaf], tree: Tree) -> int:
    """Keep these leaves; returns the number of the next block."""
    blocks = []
    for at in range(0, len(leaves), BLOCK_LEAVES):
        block = leaves[at : at + BLOCK_LEAVES]
        try:
            packed = pack(block)
        except (ValueError, TypeError) as exc:  # TypeError: somebody has allowed NULL
            raise SealRefused(f"behind {UUID(bytes=block[0].event_id)}: {exc}") from exc
        for leaf in block:
            tree.add(leaf.hashed())
        blocks.append((seq, number, packed, sign_block(key, seq, number, packed)))
        number += 1
    if blocks:
        await connection.executemany("SELECT audit_keep_block($1, $2, $3, $4)", blocks)
    return number
