"""`docs/runbook/backup-and-restore.md`, followed as it stands: a live store, lost with its machine, back elsewhere."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from uuid import UUID

import asyncpg
import pytest

from audit.emit import Emitter
from audit.event import AuditEvent
from audit.keeper.holds import Scope, place
from audit.keeper.jobs import opened
from audit.migrate import migrate
from audit.relay import Relay
from audit.sinks import StoreSink
from audit.store import Store
from lychgate.postgres import PostgresServer
from lychgate.postgres.place import wheel
from roles.security_context.keys import new_private_jwk
from tests.builders.audit import make_event
from tests.builders.private import private
from tests.builders.seals import SealedStore, event_of
from tests.servers.postgres import (
    KEEPER_PASSWORD,
    READER_PASSWORD,
    WRITER_PASSWORD,
    Logins,
    Postgres,
    logins_of,
)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "runbook" / "backup-and-restore.md"
DATABASE = "lychgate"


def blocks(heading: str) -> list[str]:
    """The commands under a heading of the page."""
    section = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that the servers' system user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="lychgate-backup-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Site:
    """A machine with a store, and what an operator at it has in the environment."""

    def __init__(self, home: Path, name: str) -> None:
        self.home = home
        self.server = PostgresServer(home / name / "postgres", options={"fsync": "off"}, sync=False)
        self.state, self.config, self.backup = home / name / "state", home / name / "config", home / "backup"
        for folder in (self.config, self.backup):
            folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        self.server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()

    @property
    def logins(self) -> Logins:
        """How the users of its store log in."""
        return logins_of(Postgres(self.server.dsn()), DATABASE)

    def configure(self) -> None:
        """Its `lychgate.yaml`: everything in its state folder."""
        to = urlsplit(self.server.dsn())
        logins = {
            name: {"user": f"audit_{name}", "password": password}
            for name, password in (
                ("writer", WRITER_PASSWORD),
                ("reader", READER_PASSWORD),
                ("keeper", KEEPER_PASSWORD),
            )
        }
        owner = {"user": to.username, "password": unquote(to.password or "")}
        integrity = {
            "key_file": str(self.state / "keys" / "seal.pem"),
            "checkpoint_file": str(self.state / "integrity" / "checkpoints.jsonl"),
        }
        sections = {
            "store": {"host": to.hostname, "port": to.port, "database": DATABASE, "owner": owner, **logins},
            "audit": {"spool": {"folder": str(self.state / "spool")}, "integrity": integrity},
        }
        private(self.config / "lychgate.yaml", json.dumps(sections))

    async def follow(self, heading: str) -> list[str]:
        """Run the page's commands under a heading; what each block printed."""
        to = urlsplit(self.server.dsn())
        environment = {
            "PATH": f"{wheel() / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self.home),
            "PGHOST": str(to.hostname),
            "PGPORT": str(to.port),
            "PGUSER": str(to.username),
            "PGPASSWORD": unquote(to.password or ""),
            "PGDATABASE": DATABASE,
            "CONFIG": str(self.config),
            "STATE": str(self.state),
            "BACKUP": str(self.backup),
            "LYCHGATE_CONFIG": str(self.config / "lychgate.yaml"),
        }
        said = []
        for block in blocks(heading):
            done = await asyncio.to_thread(
                subprocess.run,
                ["bash", "-euo", "pipefail", "-c", block],
                cwd=ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
            errors = [line for line in done.stderr.splitlines() if "ERROR" in line and "already exists" not in line]
            assert errors == []
            said.append(done.stdout)
        return said


def stamped(emitter: Emitter, number: int) -> AuditEvent:
    """An event of this emitter, on its disk."""
    stamp = emitter.stamp()
    event = make_event(event_id=stamp.event_id, producer=stamp.producer, details={"n": number})
    emitter.emit_and_wait(event)
    return event


async def delivered(spool: Path, logins: Logins) -> None:
    """Have a relay take everything to the store."""
    store = Store(logins.writer)
    assert await Relay(spool, StoreSink(store)).flush(20)
    await store.close()


async def value(dsn: str, query: str, *arguments: object) -> Any:
    """One value."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def there(logins: Logins, events: list[AuditEvent]) -> int:
    """How many of these the store has."""
    ids = [UUID(event.event_id) for event in events]
    found: int = await value(logins.owner, "SELECT count(*) FROM audit_events WHERE event_id = ANY($1)", ids)
    return found


async def scene(site: Site) -> None:
    """A store that has been in use: sealed weeks, a hold, an offset; keys and revocations beside it."""
    Postgres(site.server.dsn()).sql(f"CREATE DATABASE {DATABASE}")
    site.configure()
    await migrate(
        site.logins.owner,
        writer_password=WRITER_PASSWORD,
        reader_password=READER_PASSWORD,
        keeper_password=KEEPER_PASSWORD,
    )
    for name in ("keys", "integrity", "revocations"):
        (site.state / name).mkdir(parents=True, mode=0o700)
    sealed = SealedStore(site.logins, site.state / "keys", file="../integrity/checkpoints.jsonl")
    await sealed.write([event_of(ago, at) for ago in (3, 2) for at in range(5)])
    await sealed.complete()
    await sealed.seal()
    async with opened(site.logins.keeper) as connection:
        await place(connection, Scope("acme"), reason="case 17/26", by="legal")
    store = Store(site.logins.writer)
    [offset] = await store.claim("audit.events.v1", [0], "lychgate")
    await store.write([], offsets=[type(offset)("audit.events.v1", 0, "lychgate", 41, offset.epoch, 4711)])
    await store.close()
    context = site.state / "keys" / "context.jwk"
    context.touch(0o600)
    context.write_text(new_private_jwk())
    (site.state / "revocations" / "journal").write_bytes(b"kept")


async def test_the_page_is_followed(home: Path) -> None:
    """A backup of a live store; more comes; the machine is lost; the restored store has all that can be had."""
    with Site(home, "first") as first:
        await scene(first)
        spool = first.state / "spool"
        emitter = Emitter(spool / "gateway-w0", "gateway-w0")
        early = [stamped(emitter, number) for number in range(5)]
        await delivered(spool, first.logins)
        waiting = [stamped(emitter, number) for number in range(5, 8)]  # on disk only, while the backup is made
        await first.follow("Back up")
        await first.follow("See that it is good")
        await delivered(spool, first.logins)
        gone = [stamped(emitter, number) for number in range(8, 12)]
        await delivered(spool, first.logins)
        assert await there(first.logins, early + waiting + gone) == 12
    modes = {path: (home / "backup" / path).stat().st_mode & 0o777 for path in ("", "store.dump", "globals.sql")}
    assert modes == {"": 0o700, "store.dump": 0o600, "globals.sql": 0o600}
    assert WRITER_PASSWORD not in (home / "backup" / "globals.sql").read_text()
    late = [stamped(emitter, number) for number in range(12, 15)]  # the store is away: they wait on the gateway's disk

    with Site(home, "second") as second:
        second.configure()
        await second.follow("Restore")
        replayed = await there(second.logins, early + waiting)
        assert replayed == 8
        assert await there(second.logins, gone + late) == 0
        await delivered(spool, second.logins)
        assert await there(second.logins, late) == 3
        await emitter.aclose()
        await _is_whole(second)
        await second.follow("What is missing")
        lost = [event.producer for event in gone]
        line = f"gateway-w0|{emitter.epoch}|{lost[0].seq}|{lost[-1].seq}\n"
        assert (home / "backup" / "missing.txt").read_text() == line
        # A second restore over files that are still there: the checkpoints are set aside, keys stay.
        key = second.state / "keys" / "context.jwk"
        key.write_text("mine")
        Postgres(second.server.dsn()).drop(DATABASE)
        await second.follow("Restore")
        assert key.read_text() == "mine"
        assert (second.state / "integrity.before-restore" / "checkpoints.jsonl").exists()


async def _is_whole(site: Site) -> None:
    """Seals, hold, offset, logins, keys, readers: as they were, and in use."""
    sealed = SealedStore(site.logins, site.state / "keys", file="../integrity/checkpoints.jsonl")
    await sealed.seal()  # goes on with the same key and checkpoints
    report = await sealed.verify()
    assert (report.findings, report.seals > 0) == ([], True)
    assert await value(site.logins.owner, "SELECT count(*) FROM audit_legal_holds") == 1
    assert await value(site.logins.reader, "SELECT audit_complete_through() IS NOT NULL")
    connection = await asyncpg.connect(site.logins.reader)
    async with connection.transaction():
        await connection.execute("SELECT set_config('app.tenant_id', 'globex', true)")
        assert await connection.fetchval("SELECT count(*) FROM audit_events") == 0
        await connection.execute("SELECT set_config('app.tenant_id', 'acme', true)")
        assert await connection.fetchval("SELECT count(*) FROM audit_events") > 10
    await connection.close()
    store = Store(site.logins.writer)
    [offset] = await store.claim("audit.events.v1", [0], "lychgate")
    await store.close()
    assert (offset.next_offset, offset.anchor) == (41, 4711)
    assert (site.state / "revocations" / "journal").read_bytes() == b"kept"
    assert (site.state / "keys" / "context.jwk").stat().st_mode & 0o777 == 0o600


def test_every_command_of_the_page_is_run() -> None:
    """No block of commands stands under a heading that the test does not follow."""
    page = PAGE.read_text()
    followed = sum(len(blocks(name)) for name in ("Back up", "See that it is good", "Restore", "What is missing"))
    assert page.count("```sh\n") == followed == 6
