"""The spool folders under a root, as all lanes share them: found, taken over from the dead, cleared. On threads."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import structlog

from audit.errors import AuditError, SpoolBusy
from audit.metrics import RelayMetrics
from audit.spool.adopt import adopt
from audit.spool.clear import clear, set_aside
from audit.spool.folder import Counter, free_bytes, lock, peek
from audit.spool.segment import SegmentName

_HOUSE_S = 1.0

_log = structlog.get_logger("audit.relay")


class Holder(Protocol):
    """Who may still need segments: a sink's ways.

    Attributes:
        required: Whether it may hold them for as long as it likes.
    """

    required: bool

    def place(self, folder: str) -> SegmentName | None:
        """The first segment it needs; None: all of them."""
        ...


@dataclass(slots=True)
class _Folder:
    """One producer's folder."""

    path: Path
    producer: str
    free_since: float | None = None
    aside: set[SegmentName] = field(default_factory=set)
    trouble: str = ""


class Folders:
    """Every folder under a root.

    Args:
        root: Where each producer has its folder.
        adopt_after_s: How long a dead producer's folder waits for a successor.
        metrics: Where they are counted.

    Attributes:
        holders: Every sink's ways; a segment goes when none of them needs it.
    """

    def __init__(self, root: Path, adopt_after_s: float, metrics: RelayMetrics) -> None:
        self.root = root
        self.holders: list[Holder] = []
        self._adopt_after_s = adopt_after_s
        self._metrics = metrics
        self._known: dict[str, _Folder] = {}
        self._lock = threading.Lock()
        self._house_at = -1e9

    def look(self, now: float) -> list[str]:
        """The names of all folders there are, sorted; once a second the house is kept as well."""
        with self._lock:
            names = self._find()
            if now - self._house_at >= _HOUSE_S:
                self._house_at = now
                for name, folder in self._known.items():
                    with _tolerant(folder):
                        self._adopt_if_dead(folder, now)
                    with _tolerant(folder):
                        self._clear(name)
                self._metrics.folders.set(len(self._known))
                if self._known:
                    self._metrics.free_bytes.set(free_bytes(self.root))
            return names

    def hurry(self) -> None:
        """Keep the house at the next look."""
        self._house_at = -1e9

    def named(self, name: str, producer: str) -> None:
        """Take whose folder it is, as its segments say."""
        with self._lock:
            if name in self._known:
                self._known[name].producer = producer

    def damaged(self, name: str, segment: SegmentName, lost: int) -> None:
        """Keep a damaged segment: the first lane that tells of it is heard."""
        with self._lock:
            folder = self._known.get(name)
            if folder is None or segment in folder.aside:
                return
            try:
                first = set_aside(folder.path, segment)
            except OSError:  # no hard links here: it is renamed when the last lane has passed it
                folder.aside.add(segment)
                first = True
        if first:
            self._metrics.quarantined.inc()
            _log.error("audit_segment_set_aside", folder=str(folder.path), segment=segment.text(), lost=lost)

    def clear(self, name: str) -> None:
        """Give back the space of what nobody needs."""
        with self._lock:
            if name in self._known:
                with _tolerant(self._known[name]):
                    self._clear(name)

    def _clear(self, name: str) -> None:
        folder = self._known[name]
        places = [holder.place(name) for holder in self.holders]
        before = min((place for place in places if place is not None), default=None)
        if before is None or None in places:
            return
        view = peek(folder.path)
        # Who stands in an epoch that is not begun was in a folder that was emptied by hand: it has nothing of this one.
        if view is None or all(place is None or place.epoch <= view.epoch for place in places):
            folder.aside.difference_update(clear(folder.path, before, folder.aside))

    def _find(self) -> list[str]:
        try:
            with os.scandir(self.root) as entries:
                found = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            found = []
        for name in found:
            if name not in self._known:
                self._known[name] = _Folder(self.root / name, name)
        if len(found) < len(self._known):
            for name in set(self._known) - set(found):
                del self._known[name]
        return found

    def _adopt_if_dead(self, folder: _Folder, now: float) -> None:
        """End the epoch of a folder that nobody has owned for a while."""
        path = folder.path
        view = peek(path)
        if view is None or view.ended:
            folder.free_since = None
            return
        try:
            held = lock(path)
        except SpoolBusy:
            folder.free_since = None
            return
        try:
            if folder.free_since is None:
                folder.free_since = now
            if now - folder.free_since < self._adopt_after_s:
                return
            counter = Counter(path)
            try:
                missing = adopt(path, counter, folder.producer)
            finally:
                counter.close()
            self._metrics.adopted.inc()
            _log.warning("audit_spool_adopted", producer=folder.producer, epoch=view.epoch, lost=missing.count)
        except (OSError, AuditError):
            _log.exception("audit_spool_not_adopted", folder=str(path))
        finally:
            os.close(held)


@contextmanager
def _tolerant(folder: _Folder) -> Iterator[None]:
    """One folder's trouble must not stop the others; it is said once."""
    try:
        yield
    except (OSError, AuditError) as exc:
        if folder.trouble != str(exc):
            folder.trouble = str(exc)
            _log.warning("audit_spool_not_kept", folder=str(folder.path), error=str(exc))
