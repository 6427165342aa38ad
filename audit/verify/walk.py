"""One partition: its rows and what they should be, side by side, in key order."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from audit.integrity.leaf import Leaf
from audit.verify.manifest import Expected, Manifest
from audit.verify.report import Finding, FindingKind, Report
from audit.verify.row import what_changed
from audit.verify.store import VerifiedStore

_TOGETHER = 1_000  # keys looked up in one query
_PROGRESS_ROWS = 10_000
_NO_HASH = b""


class Walked(NamedTuple):
    """What a walk came by.

    Attributes:
        rows: How many rows there are.
        late: How many that came late and are not taken in yet.
        purged: How many that were deleted and are not signed yet.
    """

    rows: int
    late: int
    purged: int


class Walk:
    """Compares one partition.

    Args:
        store: Where it is.
        partition: Its name.
        bounds: Its ids, from and to, exclusive; as bytes.
        manifest: What should be in it; None if it is not sealed.
        retention_days: What is deleted and younger is not pending but removed.
        report: Takes findings.
        progress: Told of rows read, now and then.
    """

    def __init__(
        self,
        store: VerifiedStore,
        partition: str,
        bounds: tuple[bytes, bytes],
        manifest: Manifest | None,
        *,
        retention_days: int,
        report: Report,
        progress: Callable[[int], None],
    ) -> None:
        self._store = store
        self._partition = partition
        self._bounds = bounds
        self._manifest = manifest
        self._retention_days = retention_days
        self._report = report
        self._progress = progress
        self._odd: list[tuple[FindingKind, Leaf]] = []  # to be looked up before they are findings
        self._told = 0
        self._rows = self._late = self._purged = 0

    async def run(self) -> Walked:
        """Compare all rows."""
        expected = self._manifest.rows() if self._manifest is not None else _nothing()
        wanted = await anext(expected, None)
        async for row in self._store.rows(self._partition):
            key = (row[0].bytes, row[1])
            while wanted is not None and wanted.leaf[:2] < key:
                await self._removed(wanted)
                wanted = await anext(expected, None)
            await self._row(key, row, wanted)
            if wanted is not None and wanted.leaf[:2] == key:
                wanted = await anext(expected, None)
        while wanted is not None:
            await self._removed(wanted)
            wanted = await anext(expected, None)
        await self._settle()
        counted = await self._store.count(self._partition)
        if counted != self._rows:
            self._find(FindingKind.CHANGED, None, f"has {counted} rows, of which its index shows {self._rows}")
        self._progress(self._rows % _PROGRESS_ROWS)
        return Walked(self._rows, self._late, self._purged)

    async def _row(self, key: tuple[bytes, str], row: Sequence[Any], wanted: Expected | None) -> None:
        """One row that is there."""
        self._rows += 1
        if self._rows % _PROGRESS_ROWS == 0:
            self._progress(_PROGRESS_ROWS)
        here = wanted if wanted is not None and wanted.leaf[:2] == key else None
        leaf = Leaf(*key, _NO_HASH)
        if not self._bounds[0] <= key[0] < self._bounds[1]:
            await self._settle()
            self._find(FindingKind.ADDED, leaf, "is outside its partition's bounds")
        elif self._manifest is not None and here is None and not self._manifest.is_blind(key):
            await self._look_up(FindingKind.ADDED, leaf)
        changed = what_changed(row, here.leaf.payload_hash if here is not None and here.trusted else None)
        if changed is not None:
            await self._settle()
            self._find(FindingKind.CHANGED, leaf, changed)

    async def _removed(self, wanted: Expected) -> None:
        if wanted.trusted:
            await self._look_up(FindingKind.REMOVED, wanted.leaf)

    async def _look_up(self, kind: FindingKind, leaf: Leaf) -> None:
        self._odd.append((kind, leaf))
        if len(self._odd) >= _TOGETHER:
            await self._settle()

    async def _settle(self) -> None:
        """Tell what is wrong from what the keeper has not come to yet."""
        self._tell()
        if not self._odd:
            return
        odd, self._odd = self._odd, []
        late = await self._store.late(self._partition, [leaf for kind, leaf in odd if kind is FindingKind.ADDED])
        gone = [leaf for kind, leaf in odd if kind is FindingKind.REMOVED]
        purged = await self._store.purged(gone, self._retention_days)
        for kind, leaf in odd:
            if kind is FindingKind.ADDED:
                login, recent = late.get(leaf[:2], ("", False))
                if recent and login in {"audit_writer", "audit_keeper"}:
                    self._late += 1
                else:
                    self._find(kind, leaf, f"no seal knows it{f'; `{login}` inserted it' if login else ''}")
                continue
            left, due = purged.get(leaf[:2], (_NO_HASH, False))
            if due and left == leaf.payload_hash:
                self._purged += 1
            else:
                self._find(kind, leaf, "was sealed and is gone" + ("; its purge holds no water" if left else ""))

    def _tell(self) -> None:
        """Findings about blocks, in between those about rows."""
        if self._manifest is not None:
            for finding in self._manifest.findings[self._told :]:
                self._report.add(finding)
            self._told = len(self._manifest.findings)

    def _find(self, kind: FindingKind, leaf: Leaf | None, what: str) -> None:
        self._tell()
        event_id, phase = (str(UUID(bytes=leaf.event_id)), leaf.phase) if leaf is not None else (None, None)
        self._report.add(Finding(kind, self._partition, event_id, phase, what))


async def _nothing() -> AsyncIterator[Expected]:
    nothing: tuple[Expected, ...] = ()
    for each in nothing:
        yield each
