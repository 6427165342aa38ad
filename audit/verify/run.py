"""The whole verification.

chain > checkpoints > partitions that should be there > each partition's rows > what no seal covers
"""

import re
from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from audit.codec import timestamp
from audit.integrity.chain import Broken, Kept, in_force, is_sealed, read_chain
from audit.integrity.checkpoints import divergences
from audit.integrity.keys import PublicKeys
from audit.integrity.record import Sealed, SealKind
from audit.verify.manifest import Manifest, dropped_too_early
from audit.verify.report import Finding, FindingKind, Looked, Report
from audit.verify.store import Attached, Times, VerifiedStore
from audit.verify.walk import Walk

_BOUNDS = re.compile(r"FOR VALUES FROM \('([0-9a-f-]{36})'\) TO \('([0-9a-f-]{36})'\)")
_OVERDUE_MS = 25 * 3_600_000  # an hour after its end it is due; a day later somebody should have noticed
_DAY_MS = 86_400_000
_MS_NS = 1_000_000


class Verification:
    """Checks one store.

    Args:
        store: The store.
        keys: Whose seals are believed.
        anchors: Records that were published, from files or a topic.
        retention_days: The least that any tenant's rows stay.
        seal_anyway_after_days: How long a producer that is away is waited for.
        partition: Only this one's rows; all if None.
        report: Takes what is found.
        progress: Told the partition and how many rows of it were read since it was last told.
    """

    def __init__(
        self,
        store: VerifiedStore,
        keys: PublicKeys,
        *,
        anchors: Sequence[Sealed] = (),
        retention_days: int,
        seal_anyway_after_days: int,
        partition: str | None = None,
        report: Report | None = None,
        progress: Callable[[str, int], None] = lambda _partition, _rows: None,
    ) -> None:
        self._store = store
        self._keys = keys
        self._anchors = anchors
        self._retention_days = retention_days
        self._seal_anyway_after_days = seal_anyway_after_days
        self._only = partition
        self._report = report or Report()
        self._progress = progress

    async def run(self) -> Report:
        """Check everything."""
        report = self._report
        chain = await self._chain()
        report.seals = len(chain)
        for lost in divergences(self._anchors, chain):
            self._find(FindingKind.SEAL, lost.partition, lost.what)
        if chain and not self._anchors:
            report.notes.append("no checkpoints were given: whether the newest seals were taken away is not seen")
        attached = {each.name: each for each in await self._store.partitions()}
        held = in_force(chain)
        for name, records in held.items():
            if self._only in {None, name}:
                await self._sealed(name, records, attached.get(name))
        await self._rest(attached, held)
        report.looked.sort()
        return report

    async def _chain(self) -> list[Sealed]:
        kept: list[Kept] = [row async for row in self._store.chain()]
        chain: list[Sealed] = []
        for each in read_chain(kept, self._keys):
            if isinstance(each, Broken):
                self._find(FindingKind.SEAL, each.partition, each.what)
            else:
                chain.append(each)
        return chain

    async def _sealed(self, name: str, records: Sequence[Sealed], there: Attached | None) -> None:
        """A partition that the chain speaks of."""
        before = self._report.count
        last = records[-1].record
        if last.kind is SealKind.DROP:
            if dropped_too_early(last):
                what = f"seal {last.seq} calls it dropped, and it was younger than {last.retention_days} days"
                self._find(FindingKind.PURGE, name, what)
            if there is not None:
                await self._walk(name, _bounds_of(there), None, "not sealed", len(records), before)
            else:
                self._report.looked.append(Looked(name, "dropped", 0, len(records), self._report.count - before))
            return
        manifest = Manifest(records, self._store.blocks, self._keys)
        bounds = (UUID(last.from_id).bytes, UUID(last.to_id).bytes)
        self._say_incomplete(records)
        if there is None:
            await self._gone(name, manifest)
            self._report.looked.append(Looked(name, "gone", 0, len(records), self._report.count - before))
            return
        if not there.is_table or _bounds_of(there) != bounds:
            self._find(FindingKind.PARTITION, name, "is not the table it was, or has other bounds")
        await self._walk(name, bounds, manifest if is_sealed(records) else None, "sealed", len(records), before)

    async def _walk(
        self,
        name: str,
        bounds: tuple[bytes, bytes],
        manifest: Manifest | None,
        state: str,
        seals: int,
        before: int,
    ) -> None:
        walked = await Walk(
            self._store,
            name,
            bounds,
            manifest,
            retention_days=self._retention_days,
            report=self._report,
            progress=lambda rows: self._progress(name, rows),
        ).run()
        if walked.late:
            self._report.notes.append(f"{name}: {walked.late} rows came late and are in no seal yet")
        if walked.purged:
            self._report.notes.append(f"{name}: {walked.purged} rows were purged, which is not signed yet")
        self._report.looked.append(Looked(name, state, walked.rows, seals, self._report.count - before))

    async def _gone(self, name: str, manifest: Manifest) -> None:
        """A partition that should be there and is not."""
        if await self._store.drop_is_due(name, self._retention_days):
            self._report.notes.append(f"{name}: was dropped by retention, which is not signed yet")
            return
        first = await anext(manifest.rows(), None)
        how = "is detached" if await self._store.exists(name) else "is gone, or has another name"
        if first is None:
            self._find(FindingKind.PARTITION, name, f"was sealed and {how}")
            return
        row = str(UUID(bytes=first.leaf.event_id)), first.leaf.phase
        self._report.add(Finding(FindingKind.PARTITION, name, *row, f"was sealed and {how}; this was its first row"))

    async def _rest(self, attached: Mapping[str, Attached], held: Mapping[str, Sequence[Sealed]]) -> None:
        """Partitions that the chain does not speak of: what is in them is only held against its own hashes."""
        times = await self._store.times()
        for name, there in attached.items():
            if name in held or self._only not in {None, name}:
                continue
            before = self._report.count
            bounds = _bounds_of(there)
            end_ms = _end_ms(bounds)
            if bounds == _NO_BOUNDS:
                self._find(FindingKind.PARTITION, name, "has other bounds than a partition of ours")
            elif self._is_overdue(end_ms, times):
                since = timestamp(end_ms * _MS_NS)
                what = f"is over since {since} and not sealed: no keeper runs, or its seal was taken away"
                self._find(FindingKind.SEAL, name, what)
            else:
                self._report.notes.append(f"{name}: not sealed yet; its rows are held against their own hashes only")
            await self._walk(name, bounds, None, "not sealed", 0, before)

    def _is_overdue(self, end_ms: int, times: Times) -> bool:
        """Whether a partition should have been sealed for a day; a store that has just been made is given that day."""
        if times.sealable + _DAY_MS > times.now:
            return False
        if end_ms + self._seal_anyway_after_days * _DAY_MS + _OVERDUE_MS <= times.now:
            return True
        return times.through is not None and end_ms + _OVERDUE_MS <= min(times.now, times.through)

    def _say_incomplete(self, records: Sequence[Sealed]) -> None:
        for each in records:
            record = each.record
            if record.kind is SealKind.SEAL and record.rows and _is_incomplete(record.to_id, record.complete_through):
                through = record.complete_through or "no time that any producer had told"
                self._report.notes.append(f"{record.partition}: sealed when the store was complete through {through}")

    def _find(self, kind: FindingKind, partition: str | None, what: str) -> None:
        self._report.add(Finding(kind, partition, None, None, what))


_NO_BOUNDS = (b"", b"\xff" * 17)


def _bounds_of(there: Attached) -> tuple[bytes, bytes]:
    match = _BOUNDS.fullmatch(there.bounds)
    return (UUID(match[1]).bytes, UUID(match[2]).bytes) if match is not None else _NO_BOUNDS


def _end_ms(bounds: tuple[bytes, bytes]) -> int:
    return int.from_bytes(bounds[1][:6], "big")


def _is_incomplete(to_id: str, through: str | None) -> bool:
    return through is None or through < timestamp(_end_ms((b"", UUID(to_id).bytes)) * _MS_NS)
