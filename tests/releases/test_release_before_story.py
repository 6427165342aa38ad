"""What release 0.1.0 left behind: store, spool, messages and configuration under today's code, its code beside ours.

ADR 222 says what a release may change; this is what holds it to that.
"""

import asyncio
import base64
import json
import lzma
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import asyncpg
import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.emit import Emitter
from audit.ids import EventIds
from audit.integrity.checkpoints import read_checkpoints
from audit.integrity.keys import PublicKeys, load_public_key, load_seal_key, make_seal_key
from audit.kafka.message import event_message, watermark_messages
from audit.kafka.taken import sort
from audit.keeper.run import make_keeper
from audit.migrate import KEEPER, READER, WRITER, migrate, migrations
from audit.relay import Relay
from audit.settings import AuditSettings, StoreSettings
from audit.sinks import StoreSink, Watermark
from audit.store import Store
from audit.verify.run import Verification
from audit.verify.store import opened
from lychgate.postgres.place import wheel
from lychgate.reference import PAGES
from query import sql
from query.access import Scope
from query.filters import Filter, Order
from query.history import shown
from query.reader import Reader
from tests.builders.audit import make_event
from tests.builders.command import run
from tests.servers.postgres import (
    KEEPER_PASSWORD,
    READER_PASSWORD,
    WRITER_PASSWORD,
    Logins,
    Postgres,
    logins_of,
)

BEFORE = Path(__file__).parent / "0.1.0"
FACTS = json.loads((BEFORE / "facts.json").read_text())
TENANTS = ("acme", "globex", "platform", "-")
FOR_EVER = {"retention": {"days": 3650}}
FIRST_OF_0_2 = 8
"""The number of the first migration that 0.1.0 did not have."""


def unpacked(name: str, folder: Path) -> Path:
    """An archive of the release, in a folder."""
    with tarfile.open(BEFORE / name) as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture
def restored(postgres: Postgres, migrated_database: Logins) -> Iterator[Logins]:
    """The store as the release left it; `migrated_database` has made the logins, which are the server's."""
    name = postgres.create()
    to = urlsplit(postgres.dsn(name))
    login = {"PGHOST": to.hostname, "PGPORT": str(to.port), "PGUSER": to.username, "PGPASSWORD": to.password}
    environment = {**os.environ, **{key: unquote(value) for key, value in login.items() if value}}
    command = [str(wheel() / "bin" / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "--dbname", name]
    dump = lzma.decompress((BEFORE / "store.sql.xz").read_bytes())
    subprocess.run(command, input=dump, env=environment, check=True, capture_output=True)
    yield logins_of(postgres, name)
    postgres.drop(name)


async def forward(logins: Logins) -> list[str]:
    """`lychgate migrate`."""
    return await migrate(
        logins.owner,
        writer_password=WRITER_PASSWORD,
        reader_password=READER_PASSWORD,
        keeper_password=KEEPER_PASSWORD,
    )


async def events(logins: Logins, tenant: str) -> dict[str, dict[str, Any]]:
    """What a tenant's reader sees, by id."""
    reader = await Reader.connect(
        logins.reader, pool_count=1, statement_timeout_s=5, acquire_timeout_s=5, connect_timeout_s=5
    )
    scope = Scope(tenant, (tenant,))
    rows = await reader.read(tenant, lambda _: sql.page(Filter(), scope, Order.DESC, after=None, until=None, limit=200))
    await reader.close()
    assert rows.complete_through is not None
    return {str(row.event_id): dict(shown(row)) for row in rows.rows}


async def value(dsn: str, query: str, *arguments: object) -> Any:
    """One value."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query, *arguments)
    finally:
        await connection.close()


async def test_its_store_is_brought_forward_and_read(restored: Logins) -> None:
    """Only what is new is applied; every kind of event reads as it was written, its two halves joined."""
    new = [step.name for step in migrations() if step.number >= FIRST_OF_0_2]
    assert await forward(restored) == new
    assert await forward(restored) == []
    seen = {tenant: await events(restored, tenant) for tenant in TENANTS}
    for written in FACTS["kinds"]:
        found = seen[written["tenant_id"]][written["event_id"]]
        for field in ("event_type", "kind", "tenant_id", "action", "decision", "input", "changes", "details"):
            if written.get(field) is not None and written["phase"] != "completed":
                assert found[field] == written[field], field
        if written["phase"] == "completed":
            assert found["status"] == written["status"]
    assert len(seen["acme"]) > 20
    assert await value(restored.owner, "SELECT count(*) FROM audit_dead_letters") == FACTS["dead"]
    assert await value(restored.owner, "SELECT count(*) FROM audit_conflicts") == 1
    assert await value(restored.owner, "SELECT count(*) FROM audit_legal_holds") == 1
    store = Store(restored.writer)
    [offset] = await store.claim("audit.events.v1", [0], "lychgate")
    await store.close()
    assert (offset.next_offset, offset.epoch, offset.anchor) == (41, 2, 4711)


async def test_its_seals_verify_and_are_continued(restored: Logins, tmp_path: Path) -> None:
    """By its key and checkpoints; then ours seals on with another key, keeps everything, and both verify together."""
    await forward(restored)
    make_seal_key(tmp_path / "new.pem")
    settings = AuditSettings.model_validate(
        {
            **FOR_EVER,
            "integrity": {
                "key_file": str(tmp_path / "new.pem"),
                "public_keys": [str(BEFORE / "seal.pub")],
                "checkpoint_file": str(tmp_path / "checkpoints.jsonl"),
            },
        }
    )
    (tmp_path / "checkpoints.jsonl").write_bytes((BEFORE / "checkpoints.jsonl").read_bytes())
    keeper = make_keeper(settings, StoreSettings(), CollectorRegistry())
    keeper._dsn = restored.keeper
    assert [job.name for job in keeper._jobs if not await keeper.once(job.name)] == []
    keys = PublicKeys([load_public_key(BEFORE / "seal.pub"), load_seal_key(tmp_path / "new.pem").public])
    async with opened(restored.owner) as store:
        report = await Verification(
            store,
            keys,
            anchors=read_checkpoints(tmp_path / "checkpoints.jsonl", keys),
            retention_days=3650,
            seal_anyway_after_days=7,
            partition=None,
        ).run()
    assert report.findings == []
    assert report.seals >= FACTS["seals"]


async def test_its_spool_is_adopted_and_drained(restored: Logins, tmp_path: Path) -> None:
    """Of a process that ended and one that was killed: every record becomes a row, what is missing is counted."""
    await forward(restored)
    spool = unpacked("spool.tar.xz", tmp_path / "spool")
    successor = Emitter(spool / "gateway-w1", "gateway-w1")
    assert successor.predecessor_lost.count == 1
    store = Store(restored.writer)
    relay = Relay(spool, StoreSink(store))
    assert await relay.flush(20)
    await successor.aclose()
    assert await relay.flush(20)
    await store.close()
    wanted = [UUID(event_id) for ids in FACTS["spooled"].values() for event_id in ids]
    stored = "SELECT count(*) FROM audit_events WHERE event_id = ANY($1)"
    assert await value(restored.owner, stored, wanted) == len(wanted) == 10
    loss = "SELECT body FROM audit_events WHERE event_type = 'audit.loss' AND producer_id = 'gateway-w1'"
    assert json.loads(await value(restored.owner, loss))["details"]["count"] == 1
    folded = "SELECT count(*) FROM audit_events WHERE body ? 'aggregate'"
    assert await value(restored.owner, folded) == 1


async def test_its_messages_become_rows(restored: Logins) -> None:
    """Events, a watermark; what was a dead letter is one again."""
    await forward(restored)
    held = [
        SimpleNamespace(
            value=base64.b64decode(message["value"]),
            headers=tuple((name, base64.b64decode(text)) for name, text in message["headers"]),
        )
        for message in json.loads((BEFORE / "messages.json").read_text())
    ]
    records, marks = sort({TopicPartition("audit.events.v1", 0): held}, 1)
    assert (len(records), len(marks)) == (len(FACTS["kinds"]) + 1, 1)
    store = Store(restored.writer)
    written = await store.write(records, marks=marks)
    await store.close()
    assert (written.rows + written.duplicates + written.conflicts, len(written.dead)) == (len(FACTS["kinds"]), 1)


async def test_its_code_works_on_todays_store(restored: Logins, tmp_path: Path) -> None:
    """A rolling upgrade: the store is forward already, and its writer, reader, keeper and consumer still run."""
    await forward(restored)
    code = unpacked("release.tar.xz", tmp_path / "code")
    ours = make_event(event_id=EventIds().next(), details={"new": True})
    store = Store(restored.writer)
    await store.write([encode(ours)])
    await store.close()
    make_seal_key(tmp_path / "seal.pem")
    sent = [event_message(encode(ours)), *watermark_messages([Watermark("new", 1, 5, False)], [0])]
    told = {
        "writer": restored.writer,
        "reader": restored.reader,
        "keeper": restored.keeper,
        "seal_key": str(tmp_path / "seal.pem"),
        "seal_before": str(BEFORE / "seal.pub"),
        "checkpoints": str(tmp_path / "checkpoints.jsonl"),
        "kinds": FACTS["kinds"],
        "tenants": TENANTS,
        "messages": [
            {
                "value": base64.b64encode(message.value).decode(),
                "headers": [[name, base64.b64encode(text).decode()] for name, text in message.headers],
            }
            for message in sent
        ],
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(Path(__file__).with_name("former.py"))],
        input=json.dumps(told),
        env={**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=code,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["code"].startswith(str(code))
    kinds = len(FACTS["kinds"])
    assert {name: found["written"][name] for name in ("rows", "dead", "duplicates")} == {
        "rows": kinds,
        "dead": 1,
        "duplicates": kinds,
    }
    assert found["written"]["offset"] == [41, 2]
    assert set(found["kept"].values()) == {True}
    assert ours.event_id in found["read"]["acme"]
    assert found["consumed"] == {"records": 1, "marks": 1}
    seen = {event_id for tenant in TENANTS for event_id in await events(restored, tenant)}
    assert set(found["written"]["ids"]) <= seen


def test_its_configuration_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File, routes, roles and policies as they stood; and every key and alias it had is one still."""
    monkeypatch.chdir(unpacked("release.tar.xz", tmp_path))
    for name in [name for name in os.environ if name.startswith("LYCHGATE_")]:
        monkeypatch.delenv(name)
    done = run("config", "check")
    assert (done.returncode, done.stdout) == (0, "the configuration is in order\n")
    keys = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
    had = set(keys.findall(Path("docs/reference/settings.md").read_text()))
    assert len(had) > 100
    assert sorted(had - set(keys.findall(PAGES["settings.md"]()))) == []


def test_no_released_migration_is_changed(tmp_path: Path) -> None:
    """Byte for byte: a store that has applied it would refuse to go forward."""
    code = unpacked("release.tar.xz", tmp_path)
    released = {path.name: path.read_text() for path in (code / "audit" / "sql").glob("*.sql")}
    today = {step.name: step.sql for step in migrations()}
    assert len(released) == FIRST_OF_0_2 - 1
    assert [name for name, text in released.items() if today.get(name) != text] == []
    assert {WRITER, READER, KEEPER} == {"audit_writer", "audit_reader", "audit_keeper"}
