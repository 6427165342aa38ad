"""Tests of `audit.keeper.seal`, as the keeper's login on a real PostgreSQL; each ends with a verification."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.errors import SealRefused, SinkUnavailable
from audit.integrity.keys import PublicKeys, load_seal_key, make_seal_key
from audit.integrity.record import Sealed
from audit.keeper.jobs import opened
from audit.keeper.seal import seal_job
from audit.settings import IntegritySettings
from audit.store import Store
from tests.builders.seals import RETENTION_DAYS, SealedStore, event_of, partition, week
from tests.servers.postgres import Logins

OLD, YOUNG = 4, 2
_PURGE = (
    "WITH gone AS (DELETE FROM audit_events WHERE event_id = ANY($1) RETURNING *) INSERT INTO audit_purged_leaves"
    " SELECT event_id, phase, payload_hash, now() FROM gone"
)
_SAY_DROPPED = (
    "INSERT INTO audit_purged_partitions SELECT name, lowest, beyond, 20, now() FROM audit_partitions()"
    " WHERE name = '{part}'"
)


@pytest.fixture
async def store(migrated_database: Logins, tmp_path: Path) -> SealedStore:
    """Twenty rows in each of three closed weeks, all complete and not sealed."""
    made = SealedStore(migrated_database, tmp_path)
    await made.write([event_of(ago, at) for ago in (2, 3, 4) for at in range(20)])
    await made.complete()
    return made


def ids(ago: int, *at: int) -> list[UUID]:
    """The ids of some rows."""
    return [UUID(event_of(ago, each).event_id) for each in at]


async def test_closed_and_complete_partitions_are_sealed_once(store: SealedStore) -> None:
    """Each with its rows, in order, with an event; the open week is not; a second run finds nothing to do."""
    await store.seal()
    await store.seal()
    rows = await store.fetch("SELECT kind, partition, record::jsonb->>'rows' AS rows FROM audit_seals ORDER BY seq")
    names = [row["partition"] for row in rows]
    assert {row["kind"] for row in rows} == {"seal"}
    assert names == sorted(set(names))
    assert {name: rows[names.index(name)]["rows"] for name in (partition(2), partition(3))} == {
        partition(2): "20",
        partition(3): "20",
    }
    assert partition(0) not in names
    told = await store.fetch("SELECT body FROM audit_events WHERE event_type = 'audit.partition.sealed'")
    assert len(told) == len(rows)
    assert store.count("audit_sealed_partitions_total") == len(rows)
    assert store.count("audit_seal_records_total", kind="seal") == len(rows)
    assert store.count("audit_unsealed_partitions") == 0
    assert store.count("audit_last_seal_timestamp_seconds") > 0
    report = await store.verify()
    assert report.findings == []
    assert {each.state for each in report.looked if each.partition in names} == {"sealed"}


async def test_a_producer_that_is_away_holds_the_seal_back(migrated_database: Logins, tmp_path: Path) -> None:
    """Until everything of a partition and an hour more is there; later partitions wait behind it, and it shows."""
    store = SealedStore(migrated_database, tmp_path)
    store.settings = store.settings.model_copy(update={"seal_anyway_after_days": 60})
    await store.write([event_of(3, 1)])
    end = week(2)
    await store.complete(end + timedelta(minutes=59))
    await store.seal()
    sealed = {row["partition"] for row in await store.fetch("SELECT partition FROM audit_seals")}
    assert partition(4) in sealed
    assert partition(3) not in sealed
    assert store.count("audit_unsealed_partitions") >= 2
    assert store.count("audit_unsealed_age_seconds") > 7 * 86_400
    assert not any(finding.partition == partition(4) for finding in (await store.verify()).findings)
    await store.complete(end + timedelta(minutes=60))
    await store.seal()
    sealed = {row["partition"] for row in await store.fetch("SELECT partition FROM audit_seals")}
    assert partition(3) in sealed
    assert partition(2) not in sealed


async def test_it_is_not_held_back_for_ever(migrated_database: Logins, tmp_path: Path) -> None:
    """After so many days it is sealed all the same, and says through when it was complete."""
    store = SealedStore(migrated_database, tmp_path)
    await store.write([event_of(3, 1)])
    await store.complete(week(4))
    await store.seal()
    rows = await store.fetch("SELECT partition FROM audit_seals")
    assert partition(3) in {row["partition"] for row in rows}
    report = await store.verify()
    assert report.findings == []
    assert any(f"{partition(3)}: sealed when the store was complete through" in note for note in report.notes)


async def test_nothing_is_complete_before_the_first_report(migrated_database: Logins, tmp_path: Path) -> None:
    """Without any producer's word only what is older than the patience is sealed."""
    store = SealedStore(migrated_database, tmp_path)
    store.settings = store.settings.model_copy(update={"seal_anyway_after_days": 60})
    await store.seal()
    assert await store.fetch("SELECT 1 FROM audit_seals") == []
    assert store.count("audit_unsealed_partitions") >= 3


async def test_a_week_that_is_not_over_is_not_sealed(store: SealedStore) -> None:
    """Whatever a producer says whose clock is years ahead."""
    await store.complete(datetime.now(UTC) + timedelta(days=1500))
    await store.tamper("CREATE TABLE audit_events_rest PARTITION OF audit_events DEFAULT")  # none of ours
    await store.seal()
    sealed = {row["partition"] for row in await store.fetch("SELECT partition FROM audit_seals")}
    assert partition(2) in sealed
    assert partition(0) not in sealed


async def test_rows_that_come_late_get_a_seal_of_their_own(store: SealedStore) -> None:
    """Pending at first, then taken in; again and again; the first seal stays as it is."""
    await store.seal()
    before = await store.fetch("SELECT record FROM audit_seals ORDER BY seq")
    for at in (5000, 6000):
        await store.write([event_of(3, at), event_of(3, at + 1)])
        report = await store.verify()
        assert report.findings == []
        assert f"{partition(3)}: 2 rows came late and are in no seal yet" in report.notes
        await store.tamper("UPDATE audit_late_rows SET arrived_at = arrived_at - interval '2 days'")
        assert [finding.kind for finding in (await store.verify()).findings] == ["added", "added"]
        await store.seal()
        report = await store.verify()
        assert report.findings == []
        assert not any("late" in note for note in report.notes)
    after = await store.fetch("SELECT kind, record FROM audit_seals ORDER BY seq")
    assert [row["record"] for row in after[: len(before)]] == [row["record"] for row in before]
    assert [row["kind"] for row in after[len(before) :]] == ["addendum", "addendum"]
    assert store.count("audit_late_rows_total") == 4
    assert await store.fetch("SELECT 1 FROM audit_late_rows") == []
    await store.tamper(("DELETE FROM audit_events WHERE event_id = $1", ids(3, 5000)[0]))
    [finding] = (await store.verify()).findings
    assert (finding.kind, finding.event_id) == ("removed", str(ids(3, 5000)[0]))


async def test_only_what_the_writer_brings_is_taken_for_late(store: SealedStore) -> None:
    """A row of another login stays out of the addendum, and is named."""
    await store.seal()
    await store.write([event_of(3, 5000), event_of(3, 5001)])
    await store.tamper(
        "SET session_replication_role = origin",  # the trigger sees it
        ("DELETE FROM audit_events WHERE event_id = $1", ids(3, 5001)[0]),
        ("DELETE FROM audit_late_rows WHERE event_id = $1", ids(3, 5001)[0]),
        "CREATE TEMPORARY TABLE forged AS SELECT * FROM {part} ORDER BY event_id DESC LIMIT 1",
        ("UPDATE forged SET event_id = $1", ids(3, 5001)[0]),
        "INSERT INTO audit_events SELECT * FROM forged",
    )
    await store.seal()
    [addendum] = await store.fetch("SELECT record::jsonb->>'rows' AS rows FROM audit_seals WHERE kind = 'addendum'")
    assert addendum["rows"] == "1"
    first = (await store.verify()).findings[0]
    assert (first.kind, first.event_id) == ("added", str(ids(3, 5001)[0]))
    assert "inserted it" in first.what


async def test_rows_are_sealed_or_late_and_never_neither(store: SealedStore) -> None:
    """While a partition is sealed its rows go on coming: each ends in the seal or in an addendum."""
    writer = Store(store.logins.writer)
    done = asyncio.Event()

    async def write() -> int:
        at = 10_000
        while not done.is_set():
            await writer.write([encode(event_of(3, at))])
            at += 1
        return at - 10_000

    writing = asyncio.ensure_future(write())
    await store.seal()
    done.set()
    written = await writing
    await writer.close()
    assert (await store.verify()).findings == []
    await store.seal()
    report = await store.verify()
    assert report.findings == []
    assert not any("late" in note for note in report.notes)
    [count] = await store.fetch(
        "SELECT sum((record::jsonb->>'rows')::int) AS rows FROM audit_seals WHERE partition = $1", partition(3)
    )
    assert count["rows"] == 20 + written


async def test_what_retention_takes_still_verifies(store: SealedStore) -> None:
    """Old rows that were deleted are pending, then signed as purged; what is left is checked as before."""
    await store.seal()
    await store.tamper((_PURGE, ids(OLD, *range(5, 15))))
    report = await store.verify()
    assert report.findings == []
    assert f"{partition(OLD)}: 10 rows were purged, which is not signed yet" in report.notes
    await store.seal()
    report = await store.verify()
    assert report.findings == []
    assert not any("purged" in note for note in report.notes)
    assert await store.fetch("SELECT 1 FROM audit_purged_leaves") == []
    [row] = await store.fetch("SELECT record::jsonb AS record FROM audit_seals WHERE kind = 'purge'")
    assert f'"retention_days": {RETENTION_DAYS}' in row["record"]
    # What was purged may come again, from a spool that was away, and go again.
    await store.write([event_of(OLD, 7)])
    await store.seal()
    assert (await store.verify()).findings == []
    await store.tamper((_PURGE, ids(OLD, 7)))
    await store.seal()
    assert (await store.verify()).findings == []
    await store.tamper(("DELETE FROM audit_events WHERE event_id = $1", ids(OLD, 4)[0]))
    [finding] = (await store.verify()).findings
    assert (finding.kind, finding.event_id) == ("removed", str(ids(OLD, 4)[0]))


async def test_rows_purged_before_the_seal_are_no_part_of_it(store: SealedStore) -> None:
    """A short retention may take rows of a week that is not sealed yet."""
    await store.tamper((_PURGE, ids(OLD, 3, 4)))
    await store.seal()
    report = await store.verify()
    assert report.findings == []
    assert await store.fetch("SELECT 1 FROM audit_purged_leaves") == []


async def test_what_was_too_young_is_not_signed(store: SealedStore) -> None:
    """A purge of young rows stays a finding, is counted once, and does not stop the rest."""
    await store.seal()
    await store.tamper((_PURGE, [*ids(YOUNG, 1, 2), *ids(OLD, 1)]))
    await store.seal()
    await store.seal()
    assert store.count("audit_integrity_failures_total", reason="young_purge") == 2
    assert store.count("audit_seal_records_total", kind="purge") == 1
    report = await store.verify()
    assert [(finding.kind, finding.event_id) for finding in report.findings] == [
        ("removed", str(each)) for each in ids(YOUNG, 1, 2)
    ]


async def test_a_purge_of_tomorrow_is_not_signed_with_one_of_today(store: SealedStore) -> None:
    """A time that lies ahead makes any row old; what is due beside it is signed, and nothing else goes with it."""
    await store.seal()
    await store.tamper(
        (_PURGE, ids(OLD, 1, 2)),
        ("UPDATE audit_purged_leaves SET purged_at = now() + interval '1 day' WHERE event_id = $1", ids(OLD, 2)[0]),
    )
    await store.seal()
    assert store.count("audit_seal_records_total", kind="purge") == 1
    [finding] = (await store.verify()).findings
    assert (finding.kind, finding.event_id) == ("removed", str(ids(OLD, 2)[0]))


async def test_a_purge_with_another_hash_covers_nothing(store: SealedStore) -> None:
    """Somebody deletes a row and leaves a leaf that never was: pending or signed, the row is missing."""
    await store.seal()
    await store.tamper(
        ("DELETE FROM audit_events WHERE event_id = $1", ids(OLD, 6)[0]),
        ("INSERT INTO audit_purged_leaves VALUES ($1, 'single', sha256('x'), now())", ids(OLD, 6)[0]),
    )
    for _ in range(2):
        [finding] = (await store.verify()).findings
        assert (finding.kind, finding.event_id) == ("removed", str(ids(OLD, 6)[0]))
        await store.seal()


async def test_a_dropped_partition_still_verifies(store: SealedStore) -> None:
    """Its record stays, its leaves go; made anew by somebody, it is sealed again."""
    await store.seal()
    name = store.part = partition(OLD)
    await store.tamper(_SAY_DROPPED, "DROP TABLE {part}")
    report = await store.verify()
    assert report.findings == []
    assert f"{name}: was dropped by retention, which is not signed yet" in report.notes
    await store.seal()
    report = await store.verify()
    assert report.findings == []
    assert [each.state for each in report.looked if each.partition == name] == ["dropped"]
    [left] = await store.fetch(
        "SELECT count(*) AS blocks FROM audit_seal_blocks b JOIN audit_seals s USING (seq) WHERE s.partition = $1", name
    )
    assert left["blocks"] == 0
    [sealed] = await store.fetch("SELECT audit_is_sealed($1) AS it, audit_is_sealed($2) AS other", name, partition(3))
    assert (sealed["it"], sealed["other"]) == (False, True)
    await store.tamper("SET ROLE audit_owner", f"SELECT audit_make_partitions('{week(OLD)}', '{week(OLD)}')")
    assert await store.fetch("SELECT 1 FROM audit_partitions() WHERE name = $1", name) == []
    begin, end = (f"audit_id_floor('{week(OLD)}'::timestamptz + interval '{days} days')" for days in (0, 7))
    anew = f"PARTITION OF audit_events FOR VALUES FROM ({begin}) TO ({end})"
    await store.tamper("SET ROLE audit_owner", "CREATE TABLE {part} " + anew)
    await store.seal()
    seals = await store.fetch("SELECT seq FROM audit_seals")
    await store.seal()
    assert await store.fetch("SELECT seq FROM audit_seals") == seals  # the old line drops nothing twice
    await store.write([event_of(OLD, 100)])
    assert (await store.verify()).findings == []
    await store.seal()
    report = await store.verify()
    assert report.findings == []
    assert [each.state for each in report.looked if each.partition == name] == ["sealed"]


async def test_a_drop_of_a_partition_that_is_there_is_not_signed(store: SealedStore) -> None:
    """Nobody gets its leaves forgotten by a line in a table."""
    await store.seal()
    store.part = partition(OLD)
    await store.tamper(_SAY_DROPPED)
    await store.seal()
    assert await store.fetch("SELECT 1 FROM audit_seals WHERE kind = 'drop'") == []
    await store.tamper(("DELETE FROM audit_events WHERE event_id = $1", ids(OLD, 1)[0]))
    assert [finding.kind for finding in (await store.verify()).findings] == ["removed"]


async def test_nothing_is_signed_where_a_seal_was_taken_away(store: SealedStore) -> None:
    """Else whoever writes the database could have changed rows sealed anew. A keeper that was restarted knows, too."""
    await store.seal()
    await store.tamper(
        "DELETE FROM audit_seals WHERE seq = (SELECT max(seq) FROM audit_seals)",
        "DELETE FROM audit_seal_blocks WHERE seq > (SELECT max(seq) FROM audit_seals)",
    )
    seals = await store.fetch("SELECT seq FROM audit_seals")
    for fresh in (False, True):
        with pytest.raises(SealRefused, match="taken away"):
            await store.seal(fresh=fresh)
        assert store.count("audit_integrity_failures_total", reason="chain") == 1
    assert await store.fetch("SELECT seq FROM audit_seals") == seals


async def test_nothing_is_signed_on_a_chain_that_does_not_hold(store: SealedStore, tmp_path: Path) -> None:
    """A record that somebody else has signed, or changed."""
    await store.seal()
    store.settings.checkpoint_file.unlink()
    await store.tamper("UPDATE audit_seals SET record = replace(record, '\"rows\":20', '\"rows\":19') WHERE seq = 2")
    await store.tamper("UPDATE audit_seals SET record = replace(record, '\"rows\":0', '\"rows\":1') WHERE seq = 1")
    with pytest.raises(SealRefused, match="seal 1 does not bear its key's signature"):
        await store.seal(fresh=True)
    assert not store.settings.checkpoint_file.exists()


async def test_the_file_has_every_record(store: SealedStore) -> None:
    """Also of another keeper; a torn line is mended, a lost file begun anew."""
    await store.seal()
    file = store.settings.checkpoint_file
    first = file.read_text()
    assert first.count("\n") == len(await store.fetch("SELECT 1 FROM audit_seals"))
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(first[:-30])  # killed while writing
    await store.seal(fresh=True)
    assert file.read_text() == first
    file.unlink()
    await store.seal()
    assert file.read_text() == first
    there = SealedStore(store.logins, file.parent, file="elsewhere.jsonl")
    await there.seal()
    assert there.settings.checkpoint_file.read_text() == first
    await store.write([event_of(3, 5000)])
    await there.seal()
    await store.seal()
    assert file.read_text() == there.settings.checkpoint_file.read_text() != first


async def test_a_new_key_goes_on_where_the_old_one_is_still_believed(store: SealedStore, tmp_path: Path) -> None:
    """Rotation; without the old public key nothing is signed and nothing verifies."""
    await store.seal()
    make_seal_key(tmp_path / "new.pem")
    new = load_seal_key(tmp_path / "new.pem")
    store.settings = store.settings.model_copy(update={"key_file": tmp_path / "new.pem"})
    await store.write([event_of(3, 5000)])
    with pytest.raises(SealRefused, match="not one of yours"):
        await store.seal(fresh=True)
    store.settings = store.settings.model_copy(update={"public_keys": (tmp_path / "seal.pem.pub",)})
    await store.seal(fresh=True)
    both = PublicKeys([new.public, load_seal_key(tmp_path / "seal.pem").public])
    assert (await store.verify(keys=both)).findings == []
    assert (await store.verify(anchors=False, keys=PublicKeys([new.public]))).count > 0


async def test_records_are_published_until_somebody_has_them(store: SealedStore) -> None:
    """A failure is the job's; the seals are there, and go out at the next run, in order."""
    went: list[int] = []

    async def fails(records: Sequence[Sealed]) -> None:
        raise SinkUnavailable("no broker")

    async def publishes(records: Sequence[Sealed]) -> None:
        went.extend(each.record.seq for each in records)

    store.publish = fails
    with pytest.raises(SinkUnavailable):
        await store.seal()
    seals = len(await store.fetch("SELECT 1 FROM audit_seals"))
    assert seals > 2
    assert store.count("audit_seals_unpublished") == seals
    store.publish = publishes
    await store.seal(fresh=True)
    await store.seal()
    assert went == list(range(1, seals + 1))
    assert await store.fetch("SELECT 1 FROM audit_seals WHERE published_at IS NULL") == []
    assert store.count("audit_seals_unpublished") == 0


async def test_the_keeper_can_change_no_seal_and_read_no_content(store: SealedStore) -> None:
    """It comes in through functions, which keep the chain's order."""
    await store.seal()
    forbidden = (
        "UPDATE audit_seals SET record = ''",
        "DELETE FROM audit_seals",
        "INSERT INTO audit_seals VALUES (99, 'seal', 'x', '', '')",
        "DELETE FROM audit_seal_blocks",
        "UPDATE audit_late_rows SET login = 'audit_writer'",
        "DELETE FROM audit_purged_leaves",
        "SELECT body FROM audit_events",
        "SELECT body FROM {part}",
    )
    async with opened(store.logins.keeper) as connection:
        for statement in forbidden:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement.replace("{part}", store.part))
        [last] = await connection.fetch("SELECT seq, record, signature FROM audit_seals ORDER BY seq DESC LIMIT 1")
        next_one = last["record"].replace(f'"seq":{last["seq"]}', f'"seq":{last["seq"] + 1}')  # follows another
        for text in (last["record"], next_one, "{}"):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute("SELECT audit_seal($1, $2)", text, last["signature"])
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute("SELECT audit_keep_block(1, 99, '', '')")
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.fetch("SELECT * FROM audit_leaves('audit_seals', $1, '', 1)", UUID(int=0))
        with pytest.raises(asyncpg.UndefinedTableError):
            await connection.fetch("SELECT audit_watch_late('audit_producers')")
    for login in (store.logins.writer, store.logins.reader):
        connection = await asyncpg.connect(login)
        for statement in (
            "SELECT audit_take_late('x')",
            "SELECT * FROM audit_seals",
            "SELECT audit_seals_published(1)",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
        await connection.close()


async def test_a_row_that_the_store_never_writes_is_not_sealed(store: SealedStore) -> None:
    """A hash of another length: the job says where, and the loop goes on."""
    await store.tamper(("UPDATE audit_events SET payload_hash = 'x' WHERE event_id = $1", ids(4, 3)[0]))
    with pytest.raises(SealRefused, match="not what the store writes"):
        await store.seal()
    assert partition(4) not in {row["partition"] for row in await store.fetch("SELECT partition FROM audit_seals")}


async def test_a_clock_that_is_years_ahead_changes_nothing(store: SealedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store's clock says when, also of the event that tells of a seal."""
    monkeypatch.setattr("time.time_ns", lambda: 1_900_000_000_000_000_000)
    await store.seal()
    [row] = await store.fetch(
        "SELECT max(occurred_at) <= now() AS past FROM audit_events WHERE event_type = 'audit.partition.sealed'"
    )
    assert row["past"]


def test_without_a_key_there_is_no_job(tmp_path: Path) -> None:
    """And a metric says so."""
    registry = CollectorRegistry()
    assert seal_job(IntegritySettings(), retention_days=1, publish=None, registry=registry) is None
    assert registry.get_sample_value("audit_sealing_enabled") == 0
    registry = CollectorRegistry()
    job = seal_job(IntegritySettings(key_file=tmp_path / "k"), retention_days=1, publish=None, registry=registry)
    assert job is not None
    assert registry.get_sample_value("audit_sealing_enabled") == 1
