"""Tests of `audit.verify.run`: what is as it was sealed verifies, wherever it is and however it lies there."""

import hashlib
import os
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import UUID

import asyncpg
import msgspec
import pytest

from audit.ids import EventIds
from audit.integrity.keys import PublicKeys, load_seal_key
from audit.integrity.record import SealKind, SealRecord, sealed
from audit.verify.store import VerifiedStore, opened
from lychgate.postgres.place import wheel
from tests.builders.audit import make_event
from tests.builders.chains import OTHER_KEY
from tests.builders.seals import SealedStore, event_of, partition
from tests.servers.postgres import Postgres, logins_of


async def test_what_nobody_touched_verifies(sealed_store: SealedStore) -> None:
    """Everything is looked at, and what is not covered is said."""
    report = await sealed_store.verify()
    assert report.findings == []
    assert report.seals >= 4
    looked = {each.partition: each for each in report.looked}
    assert list(looked) == sorted(looked)
    assert looked[partition(3)] == (partition(3), "sealed", 302, 1, 0)
    assert looked[partition(0)].state == "not sealed"
    assert f"{partition(0)}: not sealed yet; its rows are held against their own hashes only" in report.notes
    assert not any("checkpoints" in note for note in report.notes)
    assert any("no checkpoints were given" in note for note in (await sealed_store.verify(anchors=False)).notes)
    only = await sealed_store.verify(only=partition(3))
    assert [each.partition for each in only.looked] == [partition(3)]


async def test_a_rewritten_table_verifies(sealed_store: SealedStore) -> None:
    """Where rows lie and how they are indexed is no matter."""
    await sealed_store.tamper("VACUUM FULL {part}", "REINDEX TABLE {part}", "CLUSTER {part} USING {part}_pkey")
    assert (await sealed_store.verify()).findings == []


async def test_a_restored_dump_verifies(postgres: Postgres, sealed_store: SealedStore, tmp_path: Path) -> None:
    """On another server, years later: database, checkpoints and public key are enough."""
    name = postgres.create()
    _dumped(sealed_store.logins.owner, tmp_path / "dump")
    _run("pg_restore", postgres.dsn(name), "--exit-on-error", "--dbname", name, str(tmp_path / "dump"))
    report = await sealed_store.verify(dsn=logins_of(postgres, name).owner)
    assert report.findings == []
    assert report.seals >= 4
    # Late rows are still noted there.
    there = SealedStore(logins_of(postgres, name), tmp_path)
    await there.write([event_of(3, 7000)])
    assert (await there.verify()).findings == []
    postgres.drop(name)


def _dumped(dsn: str, file: Path) -> None:
    _run("pg_dump", dsn, "--format", "custom", "--file", str(file))


def _run(program: str, dsn: str, *words: str) -> None:
    to = urlsplit(dsn)
    login = {"PGHOST": to.hostname, "PGPORT": str(to.port), "PGUSER": to.username, "PGPASSWORD": to.password}
    environment = {**os.environ, **{name: unquote(value) for name, value in login.items() if value}}
    database = () if program == "pg_restore" else ("--dbname", to.path[1:])
    subprocess.run([wheel() / "bin" / program, *database, *words], env=environment, check=True, capture_output=True)


async def test_the_open_week_is_held_against_its_own_hashes(sealed_store: SealedStore) -> None:
    """A row that was changed without its hash is seen there, too; one that was changed with it is not."""
    event = make_event(event_id=EventIds().next())
    await sealed_store.write([event])
    assert (await sealed_store.verify()).findings == []
    await sealed_store.tamper(
        ("UPDATE audit_events SET tenant_id = 'globex' WHERE event_id = $1", UUID(event.event_id))
    )
    [finding] = (await sealed_store.verify()).findings
    assert (finding.kind, finding.event_id, finding.partition) == ("changed", event.event_id, partition(0))


async def test_a_seal_that_is_overdue_is_a_finding(sealed_store: SealedStore) -> None:
    """A store whose seals are all gone says so, without any checkpoint."""
    await sealed_store.tamper("TRUNCATE audit_seals, audit_seal_blocks")
    assert (await sealed_store.verify(anchors=False)).findings == []  # the store is younger than a day
    await sealed_store.tamper("UPDATE audit_migrations SET applied_at = applied_at - interval '2 days'")
    report = await sealed_store.verify(anchors=False)
    assert {finding.partition for finding in report.findings} >= {partition(2), partition(3)}
    assert all("no keeper runs, or its seal was taken away" in finding.what for finding in report.findings)
    # Nothing of it is due while a producer is away, and then for a week no longer.
    await sealed_store.tamper("UPDATE audit_producers SET watermark = 'epoch'")
    still = {finding.partition for finding in (await sealed_store.verify(anchors=False)).findings}
    assert partition(4) in still


async def test_another_key_is_not_believed(sealed_store: SealedStore) -> None:
    """Not one seal of it."""
    report = await sealed_store.verify(anchors=False, keys=PublicKeys([OTHER_KEY.public]))
    seals = [finding for finding in report.findings if "not one of yours" in finding.what]
    assert len(seals) == len(await sealed_store.fetch("SELECT 1 FROM audit_seals"))


async def test_a_drop_that_was_too_early_is_a_finding(sealed_store: SealedStore) -> None:
    """Even if whoever signed it had the key."""
    [last] = await sealed_store.fetch("SELECT seq, record FROM audit_seals ORDER BY seq DESC LIMIT 1")
    [of] = await sealed_store.fetch("SELECT record FROM audit_seals WHERE partition = $1", partition(3))
    assert sealed_store.settings.key_file is not None
    said = msgspec.structs.replace(
        msgspec.json.decode(of["record"], type=SealRecord),
        seq=last["seq"] + 1,
        kind=SealKind.DROP,
        previous=hashlib.sha256(last["record"].encode()).hexdigest(),
        purged_at=msgspec.json.decode(last["record"], type=SealRecord).at,
        retention_days=60,
    )
    made = sealed(said, load_seal_key(sealed_store.settings.key_file))
    await sealed_store.tamper(
        (
            "INSERT INTO audit_seals VALUES ($1, 'drop', $2, $3, $4)",
            said.seq,
            said.partition,
            made.text,
            made.signature,
        ),
        "DROP TABLE {part}",
    )
    [finding] = (await sealed_store.verify()).findings
    assert (finding.kind, finding.partition) == ("purge", partition(3))
    assert "was younger than 60 days" in finding.what


async def test_rows_that_the_index_does_not_show_are_counted(
    sealed_store: SealedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The walk follows the index; whoever spoils that hides a row from it, and from every query."""
    counted = VerifiedStore.count

    async def one_more(store: VerifiedStore, table: str) -> int:
        return await counted(store, table) + (table == partition(3))

    monkeypatch.setattr(VerifiedStore, "count", one_more)
    [finding] = (await sealed_store.verify()).findings
    assert finding.what == "has 303 rows, of which its index shows 302"


async def test_findings_beyond_the_limit_are_counted(sealed_store: SealedStore) -> None:
    """A partition that was emptied does not fill the screen."""
    await sealed_store.tamper("TRUNCATE {part}")
    report = await sealed_store.verify()
    assert (len(report.findings), report.count) == (100, 302)
    assert {each.partition: each.findings for each in report.looked}[partition(3)] == 302


async def test_a_login_that_does_not_see_all_is_refused(sealed_store: SealedStore) -> None:
    """Rows that a policy leaves out would look taken away."""
    for login in (sealed_store.logins.reader, sealed_store.logins.writer, sealed_store.logins.keeper):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with opened(login) as store:
                [row async for row in store.rows(partition(3))]
