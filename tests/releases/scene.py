"""What a release leaves behind, made by its own code: run in a checkout of it by `tests.releases.make`.

    python scene.py OWNER_DSN FOLDER

A store with events of every kind, weeks of them sealed, one purged, a hold, conflicts, dead letters, offsets and
watermarks; spool folders of a process that ended and of one that was killed; messages as they stand in the topics.
Everything that later code is held against goes to `facts.json`.
"""

import asyncio
import base64
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from audit.codec import encode
from audit.emit import Emitter
from audit.event import Change, Decision, Input, Kind, Outcome, Phase, Resource, Severity
from audit.fold import FoldKey
from audit.ids import EventIds
from audit.integrity.keys import load_seal_key
from audit.kafka.message import event_message, letter_messages, watermark_messages
from audit.keeper.holds import Scope, place
from audit.keeper.jobs import Keeper, opened
from audit.keeper.retention import purge_job
from audit.metrics import PurgeMetrics
from audit.migrate import migrate
from audit.settings import RetentionSettings
from audit.sinks import Watermark
from audit.store import Store
from tests.builders.aged import aged_store, now_ms
from tests.builders.audit import make_event
from tests.builders.seals import SealedStore, event_of
from tests.servers.postgres import KEEPER_PASSWORD, READER_PASSWORD, WRITER_PASSWORD, Postgres, logins_of

IDS = EventIds()


def every_kind() -> list[Any]:
    """One event of each kind and phase, and of each part that only some have."""
    pair, grave = IDS.next(), Severity.SECURITY
    denied = Decision("deny", ("order.no",), code="forbidden", missing_role="Manager", policy_version="abc")
    asked = Input({"id": "u-1"}, {"id": "o-1"}, {"amount": 12}, "s1")
    changed = (Change("/status", "replace", "paid", "cancelled"), Change("/lines/0", "remove", {"sku": "A"}))
    return [
        make_event(event_id=IDS.next()),
        make_event(event_id=pair, phase=Phase.DECIDED, crud="c", outcome=None, status=None, input=asked),
        make_event(event_id=pair, phase=Phase.COMPLETED, crud="c", status=201, decision=None),
        make_event(event_id=IDS.next(), phase=Phase.DECIDED, crud="u", outcome=None, status=None),
        make_event(event_id=IDS.next(), decision=denied, outcome=Outcome.FAILURE, status=403, severity=Severity.WARN),
        make_event(event_id=IDS.next(), kind=Kind.DOMAIN, event_type="order.order.cancelled", changes=changed),
        make_event(event_id=IDS.next(), kind=Kind.ADMIN, event_type="gateway.token.revoked", severity=grave),
        make_event(event_id=IDS.next(), kind=Kind.SYSTEM, event_type="audit.loss", actor=None, client=None),
        make_event(event_id=IDS.next(), tenant_id="-", actor=None, resource=None),
        make_event(event_id=IDS.next(), tenant_id="globex", details={"email": "ada@example.org"}),
        make_event(event_id=IDS.next(), tenant_id="platform", resource=Resource("Tenant", "acme")),
    ]


async def store_scene(logins: Any, folder: Path) -> dict[str, Any]:
    """Everything the store may hold."""
    await aged_store(logins, [("acme", 75.0), ("globex", 75.0)])
    sealed = SealedStore(logins, folder)
    await sealed.write([event_of(ago, at) for ago in (4, 3, 2) for at in range(5)])
    await sealed.complete()
    await sealed.seal()
    await sealed.write([event_of(3, 700)])  # late: an addendum
    store = Store(logins.writer)
    events = every_kind()
    await store.write([encode(event) for event in events])
    await store.write([encode(make_event(event_id=events[0].event_id, action="order:other"))])
    dead = [b"{", b'{"event_id": "no"}', encode(event_of(300, 1))]
    await store.write(dead)
    [offset, *_] = await store.claim("audit.events.v1", [0, 1, 2], "lychgate")
    await store.write([encode(make_event(event_id=IDS.next()))], offsets=[offset.__class__(*_moved(offset))])
    await store.report([("gateway-w0", 7, -1, 1, now_ms(), False), ("svc-order", 3, -1, 1, now_ms(), True)])
    await store.close()
    async with opened(logins.keeper) as connection:
        await place(connection, Scope("globex"), reason="case 17/26", by="legal")
    job = purge_job(RetentionSettings(days=60), PurgeMetrics(CollectorRegistry()))
    assert await Keeper(logins.keeper, [job]).once("purge")
    await sealed.seal()
    report = await sealed.verify()
    assert report.findings == [], report.findings
    key = load_seal_key(sealed.settings.key_file)
    (folder / "seal.pub").write_text(key.public_pem())
    (folder / "seal.pem").unlink()  # nobody seals on with it
    (folder / "seal.pem.pub").unlink(missing_ok=True)
    return {"kinds": [json.loads(encode(event)) for event in events], "seals": report.seals, "dead": len(dead)}


def _moved(offset: Any) -> tuple[Any, ...]:
    return (offset.topic, offset.partition, offset.group_id, 41, offset.epoch, 4711)


async def spool_scene(root: Path) -> dict[str, Any]:
    """A folder whose process ended, and one whose process was killed."""
    emitted: dict[str, Any] = {}
    clean = Emitter(root / "gateway-w0", "gateway-w0")
    emitted["gateway-w0"] = _emit(clean)
    for _ in range(3):  # alike: one record
        clean.emit_folded(FoldKey("unauthenticated", "10.0.0.0/24", "order.list"), None, _stamped)
    await clean.aclose()
    read, write = os.pipe()
    if (child := os.fork()) == 0:
        killed = Emitter(root / "gateway-w1", "gateway-w1")
        ids = _emit(killed)
        killed.producer()  # a number that was taken and never written
        os.write(write, json.dumps(ids).encode())
        os.kill(os.getpid(), signal.SIGKILL)
    emitted["gateway-w1"] = json.loads(os.read(read, 65_536))
    os.waitpid(child, 0)  # noqa: ASYNC222 - nothing else runs here
    return emitted


def _stamped(stamp: Any, **fields: Any) -> Any:
    return make_event(event_id=stamp.event_id, producer=stamp.producer, **fields)


def _emit(emitter: Emitter) -> list[str]:
    """Three that are waited for, two that are only synced."""
    found = []
    for number in range(5):
        event = _stamped(emitter.stamp(), tenant_id="acme", details={"n": number})
        emitter.emit_and_wait(event)
        found.append(event.event_id)
    return found


def messages(kinds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the topics hold them."""
    events = [event_message(json.dumps(kind, separators=(",", ":")).encode()) for kind in kinds]
    marks = watermark_messages([Watermark("gateway-w0", 7, now_ms(), False)], [0])
    letters = letter_messages(event_message(b"{"), "malformed", "not JSON")
    return [
        {
            "key": None if message.key is None else base64.b64encode(message.key).decode(),
            "value": base64.b64encode(message.value).decode(),
            "headers": [[name, base64.b64encode(value).decode()] for name, value in message.headers],
        }
        for message in (*events, *marks, *letters)
    ]


async def main(owner_dsn: str, folder: Path) -> None:
    """Make all of it."""
    spooled = await spool_scene(folder / "spool")  # forks: before anything is connected
    await migrate(
        owner_dsn,
        writer_password=WRITER_PASSWORD,
        reader_password=READER_PASSWORD,
        keeper_password=KEEPER_PASSWORD,
    )
    server, _, name = owner_dsn.rpartition("/")
    facts = await store_scene(logins_of(Postgres(f"{server}/{name}"), name), folder)
    (folder / "messages.json").write_text(json.dumps(messages(facts["kinds"]), indent=1) + "\n")
    (folder / "facts.json").write_text(json.dumps({**facts, "spooled": spooled}, indent=1) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
