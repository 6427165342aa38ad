"""The chain of seals as the keeper knows it: what it has checked, in memory and in a file outside the database.

Nothing is signed on top of a chain that does not hold: somebody who can write the database could otherwise take a seal
away, change what it sealed, and wait for a new one.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID

import structlog

from audit.codec import timestamp
from audit.errors import SealRefused
from audit.integrity.chain import Broken, Kept, read_chain
from audit.integrity.checkpoints import append_checkpoints, divergences, read_checkpoints
from audit.integrity.keys import PublicKeys, SealKey
from audit.integrity.record import GENESIS, Sealed, SealKind, SealRecord, sealed
from audit.keeper.event import keeper_event, record
from audit.keeper.jobs import Connection
from audit.store_clock import event_id

SEALED = "audit.partition.sealed"
_NEW = "SELECT seq, kind, partition, record, signature FROM audit_seals WHERE seq >= $1 ORDER BY seq LIMIT 1000"
_MS_NS = 1_000_000

_log = structlog.get_logger("audit.keeper")


class Ledger:
    """What was checked, and the only way to add to it.

    Args:
        file: Where every record is kept once more.

    Attributes:
        chain: The records that hold, from the first on.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._in_file: int | None = None
        self.chain: list[Sealed] = []

    async def catch_up(self, connection: Connection, keys: PublicKeys) -> None:
        """Read what others have added, check it, and bring the file up to it.

        Raises:
            SealRefused: the store's chain is not the one that was known, or does not hold.
            OSError: the file cannot be written.
        """
        found: list[Kept] = []
        # The last one again: it must still be what it was.
        next_seq = max(len(self.chain), 1)
        while page := await connection.fetch(_NEW, next_seq):
            found += [Kept(*row) for row in page]
            next_seq = page[-1]["seq"] + 1
        if self.chain and (not found or (found[0].seq, found[0].text) != (len(self.chain), self.chain[-1].text)):
            raise SealRefused(f"seal {len(self.chain)}, which was there, is taken away or replaced")
        before = self.chain[:-1]
        chain = before + await asyncio.to_thread(_holding, found, keys, before)  # a signature takes 0.1 ms
        if self._in_file is None or not self._file.exists():
            self._in_file = self._known(keys, chain)
        append_checkpoints(self._file, chain[self._in_file :])
        self._in_file = len(chain)
        self.chain = chain

    def _known(self, keys: PublicKeys, chain: list[Sealed]) -> int:
        """The number of the file's last record, which is in the chain as all before it.

        Raises:
            SealRefused: the file cannot be read, or knows a record that the chain does not have.
        """
        if not self._file.exists():
            if chain:
                _log.warning("audit_checkpoints_begun_anew", file=str(self._file), seals=len(chain))
            return 0
        anchors = read_checkpoints(self._file, keys)
        if lost := divergences(anchors, chain):
            raise SealRefused(f"{self._file}: {lost[0].what}")
        return anchors[-1].record.seq if anchors else 0

    def next_seq(self) -> int:
        """The number of the next record."""
        return len(self.chain) + 1

    async def add(self, connection: Connection, key: SealKey, said: SealRecord) -> Sealed:
        """Sign a record and keep it, with the event that tells of it, in the caller's transaction.

        The caller hands it to `added` when the transaction has ended.
        """
        made = sealed(said, key)
        await connection.execute("SELECT audit_seal($1, $2)", made.text, made.signature)
        event = keeper_event(
            SEALED,
            await event_id(connection),
            {"seal": said.kind.value, "partition": said.partition, "number": said.seq, "rows": said.rows,
             "root": said.root, "signed_by": said.key_id},
        )  # fmt: skip
        await record(connection, event)
        return made

    def added(self, made: Sealed) -> None:
        """Take a record that is in the store now.

        Raises:
            OSError: the file cannot be written; it is brought up at the next catching up.
        """
        self.chain.append(made)
        append_checkpoints(self._file, [made])
        self._in_file = len(self.chain)
        said = made.record
        _log.info(
            "audit_partition_sealed", partition=said.partition, seal=said.kind.value, number=said.seq, rows=said.rows
        )

    def says(
        self,
        key: SealKey,
        kind: SealKind,
        partition: str,
        bounds: tuple[UUID, UUID],
        rows: int,
        root: bytes,
        at_ns: int,
        *,
        complete_through: str | None = None,
        retention_days: int | None = None,
        purged_at: str | None = None,
    ) -> SealRecord:
        """The next record's content."""
        return SealRecord(
            seq=self.next_seq(),
            kind=kind,
            partition=partition,
            from_id=str(bounds[0]),
            to_id=str(bounds[1]),
            rows=rows,
            root=root.hex(),
            previous=self.chain[-1].digest if self.chain else GENESIS,
            at=timestamp(at_ns),
            key_id=key.key_id,
            complete_through=complete_through,
            retention_days=retention_days,
            purged_at=purged_at,
        )


def _holding(found: Iterable[Kept], keys: PublicKeys, before: list[Sealed]) -> list[Sealed]:
    """The records, each of which holds.

    Raises:
        SealRefused: one does not.
    """
    holding: list[Sealed] = []
    for each in read_chain(found, keys, before[-1] if before else None):
        if isinstance(each, Broken):
            raise SealRefused(each.what)
        holding.append(each)
    return holding


def ended_ns(beyond: UUID) -> int:
    """When a partition ended, nanoseconds since the epoch."""
    return int.from_bytes(beyond.bytes[:6], "big") * _MS_NS
