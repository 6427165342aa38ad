"""The relay inside the supervisor, against a real store."""

import asyncio
import json
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from audit.errors import SpoolBusy, WrongRole
from audit.event import AuditEvent, Kind, Phase
from audit.relay.held import held
from audit.settings import (
    AuditSettings,
    KafkaSettings,
    LoginSettings,
    NdjsonSettings,
    RelaySettings,
    SearchSettings,
    SinksSettings,
    SpoolSettings,
    StoreSettings,
)
from gateway.clock import Clock
from gateway.supervisor.delivery import Delivery
from gateway.supervisor.errors import StartRefused
from tests.builders.spools import spooled
from tests.gateway.supervisor.crews import until
from tests.servers.postgres import Logins, Postgres


def _store(dsn: str, port: int | None = None) -> StoreSettings:
    login = urlsplit(dsn)
    return StoreSettings(
        host=login.hostname or "",
        port=port or login.port or 0,
        database=login.path[1:],
        writer=LoginSettings(user=login.username or "", password=login.password),
    )


def _delivery(folder: Path, store: StoreSettings) -> Delivery:
    return Delivery(AuditSettings(spool=SpoolSettings(folder=folder)), store, CollectorRegistry())


def _recorded(folder: Path) -> str:
    """One event in a spool that its producer has left; returns its id."""
    emitter = Emitter(folder / "p", "p")
    stamp = emitter.stamp()
    emitter.emit(
        AuditEvent(
            event_id=stamp.event_id,
            phase=Phase.SINGLE,
            event_type="test.thing.happened",
            kind=Kind.SYSTEM,
            tenant_id="acme",
            occurred_at=Clock().text(Clock().now()),
            producer=stamp.producer,
        )
    )
    emitter.close()
    return stamp.event_id


async def test_what_is_in_the_spool_is_delivered_by_a_flush(
    tmp_path: Path, migrated_database: Logins, postgres: Postgres
) -> None:
    """A stop delivers what is left, and says so."""
    event_id = await asyncio.to_thread(_recorded, tmp_path)
    delivery = _delivery(tmp_path, _store(migrated_database.writer))
    assert await delivery.flush()
    found = postgres.sql("SELECT event_id FROM audit_events", database=migrated_database.owner.rpartition("/")[2])
    assert found == event_id
    assert delivery.status()["caught_up"]
    await delivery.close()


async def test_a_store_that_comes_late_is_reached(tmp_path: Path, migrated_database: Logins) -> None:
    """Reached is false until the store has answered, and then the relay runs."""
    delivery = _delivery(tmp_path, _store(migrated_database.writer))
    assert not delivery.reached
    running = asyncio.ensure_future(delivery.run())
    await until(lambda: delivery.reached, "the store is reached")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await delivery.close()


async def test_what_another_relay_is_at_is_left_to_it(tmp_path: Path, migrated_database: Logins) -> None:
    """Each clears what its own sinks have, also what the other's still need. The gateway is ready all the same."""
    await asyncio.to_thread(_recorded, tmp_path)
    delivery = _delivery(tmp_path, _store(migrated_database.writer))
    with held(tmp_path):
        running = asyncio.ensure_future(delivery.run())
        await until(lambda: delivery.reached, "the store is reached")
        assert not await delivery.flush()
        assert delivery.status()["backlog_bytes"] == {}  # it has not even looked
    await until(lambda: delivery.status()["caught_up"], "what was spooled is delivered")
    with pytest.raises(SpoolBusy), held(tmp_path):
        raise AssertionError
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await delivery.flush()
    await delivery.close()
    with held(tmp_path):
        pass


async def test_a_store_that_is_away_is_asked_again_and_a_flush_gives_up(
    tmp_path: Path, migrated_database: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is thrown away: what cannot be delivered stays on disk, and nobody waits for ever."""
    monkeypatch.setattr("gateway.supervisor.delivery.FLUSH_S", 0.3)
    await asyncio.to_thread(_recorded, tmp_path)
    delivery = _delivery(tmp_path, _store(migrated_database.writer, port=1))
    running = asyncio.ensure_future(delivery.run())
    await asyncio.sleep(0.6)
    assert not running.done()
    assert not delivery.reached
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert not await delivery.flush()
    assert sum(delivery.status()["backlog_bytes"].values()) > 0
    await delivery.close()


async def test_a_broker_that_is_silent_holds_up_neither_start_nor_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked briefly, then left alone: the breaker is open, a flush gives up in time and closing takes none."""
    monkeypatch.setattr("gateway.supervisor.delivery.FLUSH_S", 0.5)
    await asyncio.to_thread(_recorded, tmp_path)
    registry = CollectorRegistry()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{silent.getsockname()[1]}", probe_s=0.2)
        delivery = Delivery(AuditSettings(spool=SpoolSettings(folder=tmp_path), kafka=kafka), StoreSettings(), registry)
        running = asyncio.ensure_future(delivery.run())
        sink = {"sink": "kafka"}
        await until(lambda: registry.get_sample_value("audit_sink_breaker_state", sink) == 2, "the breaker is open")
        errors = {**sink, "error": "timeout"}
        assert registry.get_sample_value("audit_sink_errors_total", errors) >= 1  # type: ignore[operator]
        assert not delivery.reached
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        began = time.monotonic()
        assert not await delivery.flush()
        assert "does not answer" in delivery.status()["last_error"]
        assert sum(delivery.status()["backlog_bytes"].values()) > 0
        await delivery.close()
        assert time.monotonic() - began < 8, "a broker is given ten seconds"


async def test_a_login_with_too_much_power_is_refused(tmp_path: Path, migrated_database: Logins) -> None:
    """The owner's login is not used for writing."""
    delivery = _delivery(tmp_path, _store(migrated_database.owner))
    with pytest.raises(WrongRole):
        await delivery.run()
    await delivery.close()


async def test_a_dead_main_sink_holds_up_no_file_and_the_gateway_waits_for_the_main_one_only(
    tmp_path: Path, migrated_database: Logins
) -> None:
    """The file is written while the store is away; the status shows both; readiness asks for the store alone."""
    await asyncio.to_thread(_recorded, tmp_path / "spool")
    delivery = _beside(tmp_path, _store(migrated_database.writer, port=1), NdjsonSettings(folder=tmp_path / "out"))
    running = asyncio.ensure_future(delivery.run())
    await until(lambda: bool(delivery.status()["beside"][0]["caught_up"]), "the file has it")
    status = delivery.status()
    assert (status["sink"], status["beside"][0]["sink"], status["beside"][0]["required"]) == ("store", "ndjson", False)
    assert not status["reached"]
    assert [path.read_text().count("\n") for path in (tmp_path / "out").glob("audit-*")] == [1]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await delivery.close()


async def test_a_dead_file_holds_up_neither_the_store_nor_the_stop(
    tmp_path: Path, migrated_database: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is in the folder's way: everything else goes, and a stop is as quick as ever."""
    monkeypatch.setattr("gateway.supervisor.delivery.FLUSH_S", 20)
    (tmp_path / "out").write_text("in the way")
    await asyncio.to_thread(_recorded, tmp_path / "spool")
    delivery = _beside(tmp_path, _store(migrated_database.writer), NdjsonSettings(folder=tmp_path / "out"))
    running = asyncio.ensure_future(delivery.run())
    await until(lambda: delivery.reached and bool(delivery.status()["caught_up"]), "the store has it")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    began = time.monotonic()
    assert await delivery.flush()
    assert time.monotonic() - began < 10
    assert "ndjson" in delivery.status()["beside"][0]["last_error"]
    await delivery.close()


async def test_what_a_sink_was_moved_over_is_recorded(
    tmp_path: Path, migrated_database: Logins, postgres: Postgres
) -> None:
    """As an event in the store, through the supervisor's own spool, with the numbers that the file lacks."""
    (tmp_path / "out").write_text("in the way")
    spooled(tmp_path / "spool", "w0", 200, segment_bytes=10_000)
    files = NdjsonSettings(folder=tmp_path / "out")
    delivery = _beside(tmp_path, _store(migrated_database.writer), files, max_bytes=100_000)
    emitter = Emitter(tmp_path / "spool" / "s", "s")
    delivery.record_with(emitter)
    running = asyncio.ensure_future(delivery.run())
    database = migrated_database.owner.rpartition("/")[2]
    skipped = "FROM audit_events WHERE event_type = 'audit.sink.skipped'"
    count = f"SELECT coalesce(sum((body->'details'->>'count')::int), 0) {skipped}"
    await until(lambda: int(postgres.sql(count, database=database)) > 100, "it is recorded", within_s=15)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await emitter.aclose()
    assert await delivery.flush()
    await delivery.close()
    one = f"SELECT body->'details' {skipped} ORDER BY event_id LIMIT 1"
    details = json.loads(postgres.sql(one, database=database))
    assert (details["sink"], details["producer"], details["missing"][0][0]) == ("ndjson", "w0", 1)


async def test_a_search_engine_that_cannot_be_configured_refuses_the_start(tmp_path: Path) -> None:
    """An authority's file that is not there is a mistake to be told of, not an outage."""
    search = SearchSettings(url="https://search:9200", ca_file=tmp_path / "none.pem")
    audit = AuditSettings(sinks=SinksSettings(search=search))
    with pytest.raises(StartRefused, match=r"audit\.sinks: "):
        Delivery(audit, StoreSettings(), CollectorRegistry())


def _beside(tmp_path: Path, store: StoreSettings, files: NdjsonSettings, max_bytes: int = 1 << 30) -> Delivery:
    audit = AuditSettings(
        spool=SpoolSettings(folder=tmp_path / "spool", max_bytes=max_bytes),
        sinks=SinksSettings(ndjson=files),
        relay=RelaySettings(backoff_max_s=0.1),
    )
    return Delivery(audit, store, CollectorRegistry())
