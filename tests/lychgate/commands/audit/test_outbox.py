"""`lychgate audit outbox`, as an operator uses it: print, install, relay, look, offer again."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pydantic import SecretStr

from audit.outbox.access import connecting
from audit.settings.outbox import OutboxSettings
from tests.builders import command
from tests.builders.aged import ask
from tests.builders.outbox import SCHEMA, Shop
from tests.builders.patience import PATIENCE_S
from tests.builders.private import private
from tests.servers.ports import free_port
from tests.servers.postgres import Logins

WITHIN_S = PATIENCE_S


@pytest.fixture
async def shop(database: str) -> AsyncIterator[Shop]:
    """A service's database with an outbox."""
    made = Shop(database)
    await made.install()
    yield made
    await made.remove()


def configured(tmp_path: Path, shop: Shop, logins: Logins | None = None, **outbox: object) -> Path:
    """A configuration with the store and the service's database, whose address is in a file."""
    private(tmp_path / "dsn", shop.relay + "\n")
    store = {}
    if logins is not None:
        login = urlsplit(logins.writer)
        store = {
            "host": login.hostname,
            "port": login.port,
            "database": login.path[1:],
            "writer": {"user": login.username, "password": login.password},
        }
    section = {"dsn_file": str(tmp_path / "dsn"), "db_schema": SCHEMA, **outbox}
    file = tmp_path / "lychgate.yaml"
    private(file, json.dumps({"store": store, "audit": {"outbox": section}}))
    return file


async def test_a_relay_as_a_process_delivers_and_stops(tmp_path: Path, shop: Shop, migrated_database: Logins) -> None:
    """What was committed is in the store in a moment; it says that it is well; a signal ends it with 0."""
    port = free_port()
    file = configured(tmp_path, shop, migrated_database, metrics_port=port)
    words = [sys.executable, "-m", "lychgate", "audit", "outbox", "relay", "--config", str(file)]
    with (tmp_path / "log").open("wb") as log:
        relay = subprocess.Popen(words, stderr=log)  # noqa: ASYNC220 - it is told to end, and waited for
    try:
        async with shop.connected() as connection:
            event_id = await shop.sell(connection, "o-1")
        deadline = time.monotonic() + WITHIN_S
        while not (found := await ask(migrated_database.owner, "SELECT event_id::text FROM audit_events")):
            assert time.monotonic() < deadline
            assert relay.poll() is None, (tmp_path / "log").read_text()
            await asyncio.sleep(0.05)
        assert [row["event_id"] for row in found] == [event_id]
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE_S
        ) as client:
            assert (await client.get("/readyz")).status_code == 200
            assert "audit_outbox_relayed_total 1.0" in (await client.get("/internal/metrics")).text
    finally:
        relay.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(relay.wait, 20)
    assert code == 0
    assert await shop.rows() == []
    text = (tmp_path / "log").read_text()
    assert "outbox_relay_stopped" in text
    assert "the-service-of-the-tests" not in text


async def test_an_operator_looks_and_offers_again(tmp_path: Path, shop: Shop) -> None:
    """Who it belongs to, what waits, what is set apart and why, never what a row holds."""
    file = str(configured(tmp_path, shop))
    async with shop.connected() as connection:
        await shop.sell(connection, "o-1")

    async def run(*words: str) -> command.Done:
        return await asyncio.to_thread(command.run, "audit", "outbox", *words, "--config", file)

    well = await run("status")
    assert (well.returncode, "outbox-order" in well.stdout) == (0, True)
    async with shop.connected(shop.owner) as owner:
        await owner.execute('UPDATE "shop ""front""".audit_outbox SET refused = \'malformed\'')
    found = await run("status", "--json")
    told = json.loads(found.stdout)
    assert (found.returncode, told["waiting"], told["refused"]) == (1, 0, 1)
    assert told["refused_rows"][0]["reason"] == "malformed"
    assert "o-1" not in found.stdout
    assert "set apart" in (await run("status")).stdout
    assert (await run("retry")).stdout == "offered again: 1\n"
    assert (await run("status")).returncode == 0


async def test_what_is_not_there_is_said(tmp_path: Path, shop: Shop) -> None:
    """With exit code 2, without the address, which holds a password."""

    async def status(file: Path, *words: str) -> command.Done:
        return await asyncio.to_thread(command.run, "audit", "outbox", *words or ("status",), "--config", str(file))

    file = configured(tmp_path, shop, db_schema="elsewhere")
    for words in ((), ("retry",)):
        absent = await status(file, *words)
        assert (absent.returncode, "no outbox" in absent.stderr) == (2, True)
    private(tmp_path / "dsn", "postgresql://u:hunter2@127.0.0.1:1/d")
    away = await status(file)
    assert (away.returncode, "hunter2" in away.stderr) == (2, False)
    for wrong in ("u:hunter2@127.0.0.1:port/d", "u:hun/ter2@127.0.0.1/d", "u:[hunter2@h"):
        private(tmp_path / "dsn", f"postgresql://{wrong}")
        unread = await status(file)
        assert (unread.returncode, "can be read" in unread.stderr, "hun" in unread.stderr) == (2, True, False), wrong
    private(tmp_path / "dsn", "hunter2")
    assert "hunter2" not in (await status(file)).stderr
    (tmp_path / "dsn").unlink()
    assert "cannot be read" in (await status(file)).stderr
    file.write_text("{}")
    assert "must name" in (await status(file)).stderr
    private(file, json.dumps({"audit": {"outbox": {"dsn": "postgresql://a", "dsn_file": "b"}}}))
    assert "both given" in (await status(file)).stderr


async def test_the_database_asks_whether_the_relay_lives(shop: Shop) -> None:
    """A machine that dies says nothing: its rows are free within a minute, not after the two hours of the default."""
    connection = await connecting(OutboxSettings(dsn=SecretStr(shop.relay)))()
    asked = [await connection.fetchval(f"SHOW tcp_keepalives_{name}") for name in ("idle", "interval", "count")]
    await connection.close()
    assert int(asked[0]) + int(asked[1]) * int(asked[2]) <= 60


def test_a_relay_without_a_database_says_so(tmp_path: Path) -> None:
    """With exit code 2."""
    (tmp_path / "lychgate.yaml").write_text("{}")
    done = command.run("audit", "outbox", "relay", "--config", str(tmp_path / "lychgate.yaml"))
    assert (done.returncode, "must name" in done.stderr) == (2, True)


def test_the_sql_is_printed() -> None:
    """As it is installed; a name that is none is refused."""
    done = command.run("audit", "outbox", "sql", "--producer", "outbox-order", "--writer", "app", "--no-notify")
    assert done.returncode == 0
    assert done.stdout.startswith("BEGIN;")
    assert done.stdout.endswith("COMMIT;\n")
    assert 'TO "app"' in done.stdout
    assert "CREATE TRIGGER" not in done.stdout
    assert command.run("audit", "outbox", "sql", "--producer", "Order!").returncode == 2
