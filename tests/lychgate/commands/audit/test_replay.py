"""Tests of `lychgate audit spool replay`: a dead machine's folder, as an operator gets it into a real PostgreSQL."""

import asyncio
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from audit.codec import decode, encode
from audit.emit import Emitter
from audit.spool import frame
from audit.spool.reserve import RESERVE_FILE
from audit.spool.segment import LOSS, contents, segments
from audit.spool.writer import SegmentWriter
from tests.audit.test_relay import stamped
from tests.builders.command import run as lychgate
from tests.builders.private import private
from tests.servers.disk import SmallDisk
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.server import topic
from tests.servers.postgres import Logins

ROOT = Path(__file__).parents[4]


@pytest.fixture
def config(tmp_path: Path, migrated_database: Logins) -> Path:
    """A configuration whose store is a database of this test's own."""
    at = urlsplit(migrated_database.writer)
    file = tmp_path / "lychgate.yaml"
    private(
        file,
        f"up: {{state_folder: {tmp_path}}}\n"
        f"gateway: {{roles_file: {ROOT}/roles/roles.toml}}\n"
        f"audit: {{spool: {{folder: {tmp_path}/spool}}}}\n"
        f"store: {{host: {at.hostname}, port: {at.port}, database: {at.path[1:]},"
        f" writer: {{user: {at.username}, password: '{at.password}'}}}}\n",
    )
    (tmp_path / "spool").mkdir(mode=0o700)
    return file


def replay(config: Path, *words: str) -> tuple[int, dict[str, Any]]:
    """Run it; its exit code and what it says."""
    done = lychgate("audit", "spool", "replay", "--config", str(config), "--json", *words)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def fetch(logins: Logins, query: str) -> list[asyncpg.Record]:
    """Rows as the owner sees them."""

    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(logins.owner)
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    return asyncio.run(ask())


def killed(folder: Path) -> set[int]:
    """A producer's folder, left by a SIGKILL with three numbers taken and nothing written; returns those written."""
    child = subprocess.Popen([sys.executable, "-c", DYING, str(folder)], stdout=subprocess.PIPE, cwd=ROOT)
    assert child.stdout is not None
    assert child.stdout.readline() == b"taken\n"
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    return {decode(each).producer.seq for name in segments(folder) for each in contents(folder / name.text()).records}


DYING = """
import sys, time
from pathlib import Path
from audit.emit import Emitter
from tests.audit.test_relay import stamped
emitter = Emitter(Path(sys.argv[1]), "child")
for _ in range(50):
    emitter.emit_and_wait(stamped(emitter))
for _ in range(3):
    emitter.stamp()
print("taken", flush=True)
time.sleep(60)
"""


def digest(folder: Path) -> dict[str, str]:
    """What a folder holds, file by file."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_a_dead_machines_folder_gets_into_the_store(
    tmp_path: Path, config: Path, migrated_database: Logins, small_disk: SmallDisk
) -> None:
    """From a read-only copy: counted, delivered, delivered again as duplicates; then adopted, which names the rest."""
    written = killed(tmp_path / "dead" / "child")
    shutil.copytree(tmp_path / "dead", small_disk.path / "rescued")  # with its times, as `cp -a` does
    small_disk.remount("ro")
    rescued = ("--from", str(small_disk.path / "rescued"))
    code, said = replay(config, *rescued, "--dry-run")
    assert (said["to"], said["records"], said["delivered"]) == (None, len(written), 0)
    assert fetch(migrated_database, "SELECT count(*) AS n FROM audit_events")[0]["n"] == 0
    code, said = replay(config, *rescued)
    assert (said["records"], said["delivered"], said["duplicates"]) == (len(written), len(written), 0)
    assert (len(written), said["missing"]) == (50, {"child": [[51, 53]]})
    assert code == 1  # numbers are missing and nobody has said so
    code, said = replay(config, *rescued, "--tenant", "acme", "--since", "24h")
    assert (said["delivered"], said["duplicates"]) == (0, len(written))

    before = digest(tmp_path / "dead")
    refused = lychgate("audit", "spool", "replay", "--config", str(config), *rescued, "--adopt")
    assert refused.returncode == 2
    assert "Read-only" in refused.stderr
    assert digest(tmp_path / "dead") == before
    code, said = replay(config, "--from", str(tmp_path / "dead"), "--adopt")
    assert code == 0
    assert (said["delivered"], said["duplicates"]) == (1, len(written))
    [loss] = fetch(migrated_database, f"SELECT body FROM audit_events WHERE event_type = '{LOSS}'")  # noqa: S608
    assert json.loads(loss["body"])["details"]["missing"] == [[51, 53]]
    [mark] = fetch(migrated_database, "SELECT ended FROM audit_producers WHERE producer_id = 'child'")
    assert mark["ended"]
    assert replay(config, "--from", str(tmp_path / "dead" / "child"), "--adopt")[1]["delivered"] == 0
    assert set(before) - {f"child/{RESERVE_FILE}"} <= set(digest(tmp_path / "dead"))  # no record was deleted


def test_what_is_no_duplicate_is_a_finding(tmp_path: Path, config: Path, migrated_database: Logins) -> None:
    """Another record under the same key is a conflict, bytes that are no event are dead, a bad sector is named."""
    emitter = Emitter(tmp_path / "spool" / "p", "p")
    events = [stamped(emitter) for _ in range(3)]
    for event in events:
        emitter.emit_and_wait(event)
    emitter.close()
    assert replay(config)[0] == 0
    forged = encode(msgspec.structs.replace(events[1], status=418))
    writer = SegmentWriter(tmp_path / "spool" / "p", "p", emitter.epoch + 1, segment_bytes=1 << 20)
    writer.append([frame.pack(forged), frame.pack(b'{"no": "event"}')], [])
    writer.close()
    code, said = replay(config)
    assert (code, said["duplicates"], said["conflicts"], said["dead"]) == (1, 3, 1, 1)
    assert fetch(migrated_database, "SELECT count(*) AS n FROM audit_conflicts")[0]["n"] == 1
    file = tmp_path / "spool" / "p" / segments(tmp_path / "spool" / "p")[0].text()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(bytes(data))
    people = lychgate("audit", "spool", "replay", "--config", str(config))
    assert people.returncode == 1
    assert f"p/{file.name}: " in people.stdout
    assert "password" not in people.stdout + people.stderr


def test_what_was_set_aside_is_replayed_and_a_living_owner_is_left_alone(tmp_path: Path, config: Path) -> None:
    """A quarantined segment's records count; a folder in use is read, and not taken over."""
    emitter = Emitter(tmp_path / "spool" / "p", "p")
    emitter.emit_and_wait(stamped(emitter))
    [name] = segments(tmp_path / "spool" / "p")
    file = tmp_path / "spool" / "p" / name.text()
    shutil.copy2(file, file.with_name("00000001-000000.seg.quarantine"))
    code, said = replay(config, "--adopt")
    assert (code, said["delivered"], said["duplicates"], said["missing"]) == (0, 1, 1, {})
    emitter.emit_and_wait(stamped(emitter))
    assert emitter.close()


def test_wrong_usage_is_exit_code_2(tmp_path: Path, config: Path) -> None:
    """A folder that is not there, a time that is none, a broker that is not configured, a store that is away."""
    for words in (
        ("--from", str(tmp_path / "nowhere")),
        ("--since", "yesterday"),
        ("--to", "kafka"),
        ("--adopt", "--tenant", "acme"),
    ):
        assert lychgate("audit", "spool", "replay", "--config", str(config), *words).returncode == 2
    emitter = Emitter(tmp_path / "spool" / "p", "p")
    emitter.emit_and_wait(stamped(emitter))
    emitter.close()
    config.write_text(re.sub(r"port: [0-9]+", "port: 1", config.read_text()))
    away = lychgate("audit", "spool", "replay", "--config", str(config))
    assert away.returncode == 2
    assert "the store" in away.stderr


def test_where_a_broker_is_configured_it_goes_there(
    tmp_path: Path, config: Path, kafka: str, migrated_database: Logins
) -> None:
    """Into the topic of a real broker; or, when asked, past it into the store."""
    name = topic()
    asyncio.run(create_topic(kafka, name, 2))
    section = f"{{spool: {{folder: {tmp_path}/spool}}, kafka: {{bootstrap_servers: '{kafka}', topic: {name}}}}}"
    config.write_text(re.sub(r"audit: .*", f"audit: {section}", config.read_text()))
    emitter = Emitter(tmp_path / "spool" / "p", "p")
    for _ in range(7):
        emitter.emit_and_wait(stamped(emitter))
    emitter.close()
    code, said = replay(config, "--adopt")
    assert (code, said["to"], said["records"], said["delivered"]) == (0, "kafka", 7, 7)
    assert asyncio.run(in_topic(kafka, name)) >= 7  # and a watermark in each partition
    code, said = replay(config, "--to", "store")
    assert (code, said["to"], said["delivered"]) == (0, "store", 7)
    assert fetch(migrated_database, "SELECT count(*) AS n FROM audit_events")[0]["n"] == 7


async def in_topic(servers: str, name: str) -> int:
    """How many messages a topic holds."""
    consumer = AIOKafkaConsumer(bootstrap_servers=servers)
    await consumer.start()
    try:
        ends = await consumer.end_offsets([TopicPartition(name, partition) for partition in range(2)])
    finally:
        await consumer.stop()
    return sum(ends.values())
