"""A store with weeks behind it, its seals, and whoever tampers with it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.event import AuditEvent
from audit.ids import id_at
from audit.integrity.checkpoints import read_checkpoints
from audit.integrity.keys import PublicKeys, load_seal_key, make_seal_key
from audit.keeper.jobs import Job, Keeper
from audit.keeper.seal import Publish, Sealing
from audit.metrics import IntegrityMetrics
from audit.settings import IntegritySettings
from audit.store import Store
from audit.verify.report import Report
from audit.verify.run import Verification
from audit.verify.store import opened
from tests.builders.audit import make_event
from tests.servers.postgres import Logins

RETENTION_DAYS = 21  # a row of two weeks ago is younger, all of four weeks ago is older, whatever day it is
_MS = 1000


def week(ago: int) -> datetime:
    """The Monday of a week that many weeks ago."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday(), weeks=ago)


def partition(ago: int) -> str:
    """The name of that week's partition."""
    return f"audit_events_{week(ago):%Y%m%d}"


def event_of(ago: int, at: int, **fields: Any) -> AuditEvent:
    """An event of that week; later for a greater `at`, and the same whenever it is asked for."""
    ms = int(week(ago).timestamp() * _MS) + 3_600_000 + at
    return make_event(event_id=id_at(ms, at.to_bytes(10, "big")), **fields)


class SealedStore:
    """A store, its keeper's key and file, and the verification of it."""

    def __init__(self, logins: Logins, folder: Path, *, key: str = "seal.pem", file: str = "checkpoints.jsonl") -> None:
        make_seal_key(folder / key)
        self.logins = logins
        self.settings = IntegritySettings(key_file=folder / key, checkpoint_file=folder / file)
        self.registry = CollectorRegistry()
        self.keys = PublicKeys([load_seal_key(folder / key).public])
        self.part = partition(3)
        self.publish: Publish | None = None
        self._sealing: Sealing | None = None

    async def write(self, events: Sequence[AuditEvent]) -> None:
        """Write rows as the writer does."""
        store = Store(self.logins.writer)
        written = await store.write([encode(event) for event in events])
        await store.close()
        assert written.rows == len(events)

    async def complete(self, through: datetime | None = None) -> None:
        """Have the only producer report that everything before is in the store."""
        store = Store(self.logins.writer)
        at = through if through is not None else datetime.now(UTC)
        await store.report([("p", 1, -1, 1, int(at.timestamp() * _MS), False)])
        await store.close()

    def sealing(self, *, fresh: bool = False) -> Sealing:
        """The job; the same again, with what it remembers, or one of a process that has just started."""
        if self._sealing is None or fresh:
            self.registry = CollectorRegistry()
            self._sealing = Sealing(
                self.settings,
                retention_days=RETENTION_DAYS,
                publish=self.publish,
                metrics=IntegrityMetrics(self.registry),
            )
        return self._sealing

    async def seal(self, *, fresh: bool = False) -> None:
        """Run the job once, as the keeper."""
        job = Job("seal", 60, self.sealing(fresh=fresh).work)
        assert await Keeper(self.logins.keeper, [job]).once("seal")

    def count(self, name: str, **labels: str) -> float:
        """A metric of the job."""
        return self.registry.get_sample_value(name, labels) or 0

    async def verify(
        self, *, anchors: bool = True, dsn: str | None = None, keys: PublicKeys | None = None, only: str | None = None
    ) -> Report:
        """Verify the store."""
        believed = keys or self.keys
        async with opened(dsn or self.logins.owner) as store:
            return await Verification(
                store,
                believed,
                anchors=read_checkpoints(self.settings.checkpoint_file, believed) if anchors else (),
                retention_days=RETENTION_DAYS,
                seal_anyway_after_days=7,
                partition=only,
            ).run()

    async def tamper(self, *statements: str | tuple[str, *tuple[Any, ...]]) -> None:
        """Do as a superuser what nobody should; `{part}` stands for the partition it is done to."""
        connection = await asyncpg.connect(self.logins.owner)
        try:
            await connection.execute("SET session_replication_role = replica")  # no trigger sees it
            for statement in statements:
                text, *arguments = (statement,) if isinstance(statement, str) else statement
                await connection.execute(text.replace("{part}", self.part), *arguments)
        finally:
            await connection.close()

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """What a superuser sees."""
        connection = await asyncpg.connect(self.logins.owner)
        try:
            return list(await connection.fetch(query.replace("{part}", self.part), *arguments))
        finally:
            await connection.close()
