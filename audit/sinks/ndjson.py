"""Events into files of one JSON object a line, masked, each once."""

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog
from prometheus_client import CollectorRegistry

from audit.errors import SinkUnavailable, SpoolBusy
from audit.metrics import RelayMetrics
from audit.sinks.files import LineFiles, LinesRules, line_digest
from audit.sinks.outward import Outward
from audit.sinks.port import Watermark

_KNOWN_LINES = 50_000  # a saved cursor is at most 20,000 records and two batches behind
_KNOWN_FOR = 200_000  # records, after which nothing of before the start can come again

_log = structlog.get_logger("audit.sinks")


class NdjsonSink:
    """Writes files. See `audit.sinks.Sink`.

    After a crash the relay offers again what came after its last saved cursor; lines that stand in the files already
    are known by their digest and not written again. So are those of a write that was given up and ended all the same.
    """

    name = "ndjson"

    def __init__(
        self, folder: Path, outward: Outward, rules: LinesRules | None = None, metrics: RelayMetrics | None = None
    ) -> None:
        self._outward = outward
        self._metrics = metrics or RelayMetrics(CollectorRegistry())
        self._files = LineFiles(folder, "audit", rules or LinesRules(), on_gone=self._gone)
        self._known: set[bytes] = set()
        self._known_left = 0
        self._unheard = False  # how a write ended that nobody waited for
        self._busy = threading.Lock()

    async def deliver(self, records: Sequence[bytes]) -> None:
        """Write events and sync them.

        Raises:
            SinkUnavailable: none of them was written.
        """
        try:
            await asyncio.to_thread(self._write, records)
        except asyncio.CancelledError:  # the write goes on, and its lines are offered again
            self._unheard = True
            raise

    async def report(self, marks: Sequence[Watermark]) -> None:
        """Files say nothing of completeness."""

    async def ping(self) -> None:
        """Open the file.

        Raises:
            SinkUnavailable: it cannot be.
        """
        await asyncio.to_thread(self._write, ())

    async def close(self) -> None:
        """Give the file up, unless the disk still holds a write."""
        if self._busy.acquire(blocking=False):
            try:
                self._files.close()
            finally:
                self._busy.release()

    def _write(self, records: Sequence[bytes]) -> None:
        if not self._busy.acquire(blocking=False):  # the disk hangs: a write that was given up is still at it
            raise SinkUnavailable("ndjson: the last write has not ended")
        try:
            if self._files.open() or self._unheard:
                self._unheard = False
                self._known, self._known_left = self._files.tail(_KNOWN_LINES), _KNOWN_FOR
            lines = [self._line(payload) for payload in records]
            fresh = [line for line in lines if line_digest(line) not in self._known] if self._known else lines
            if fresh:
                self._files.append(fresh)
            if self._known:
                self._known_left -= len(records)
                if self._known_left <= 0:
                    self._known = set()
        except (OSError, EOFError, SpoolBusy) as exc:
            raise SinkUnavailable(f"ndjson: {exc}") from exc
        finally:
            self._busy.release()

    def _line(self, payload: bytes) -> bytes:
        going = self._outward.of(payload)
        if going is not None:
            return going.body + b"\n"
        self._metrics.sink_refused.labels(self.name, "unreadable").inc()
        digest = hashlib.sha256(payload).hexdigest()
        return msgspec.json.encode({"unreadable": True, "size_bytes": len(payload), "sha256": digest}) + b"\n"

    def _gone(self, path: Path) -> None:
        self._metrics.sink_files_gone.labels(self.name).inc()
        _log.error("audit_file_gone", sink=self.name, file=str(path))
