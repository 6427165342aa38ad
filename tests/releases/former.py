"""A former release at work on today's store: run with its own code first on the path, told on standard input.

In come logins, keys, events, messages and tenants; out goes what its writer wrote, its reader read, its keeper did and
its consumer made of messages, as JSON.
"""

import asyncio
import base64
import json
import sys
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

import audit
from audit.ids import EventIds
from audit.kafka.taken import sort
from audit.keeper.jobs import Keeper
from audit.keeper.run import make_keeper
from audit.settings import AuditSettings, StoreSettings
from audit.store import Store
from query import sql
from query.access import Scope
from query.filters import Filter, Order
from query.history import shown
from query.reader import Reader


async def write(told: dict[str, Any]) -> dict[str, Any]:
    """One event of each kind under new ids, what cannot be a row, an offset moved, a producer's word."""
    ids, made = EventIds(), {}
    for kind in told["kinds"]:
        made.setdefault(kind["event_id"], ids.next())
    records = [json.dumps({**kind, "event_id": made[kind["event_id"]]}).encode() for kind in told["kinds"]]
    store = Store(told["writer"])
    written = await store.write([*records, b"not JSON"])
    [offset] = await store.claim("audit.events.v1", [0], "lychgate")
    moved = offset.__class__(offset.topic, 0, offset.group_id, offset.next_offset + 1, offset.epoch, 1)
    again = await store.write(records, offsets=[moved], marks=[("gateway-w0", 8, 0, 1, 1_900_000_000_000, False)])
    await store.close()
    return {
        "rows": written.rows,
        "dead": len(written.dead),
        "duplicates": again.duplicates,
        "offset": [offset.next_offset, offset.epoch],
        "ids": sorted(made.values()),
    }


async def read(told: dict[str, Any]) -> dict[str, list[str]]:
    """Every event of the tenants, by id."""
    reader = await Reader.connect(
        told["reader"], pool_count=1, statement_timeout_s=5, acquire_timeout_s=5, connect_timeout_s=5
    )
    found = {}
    for tenant in told["tenants"]:
        scope = Scope(tenant, (tenant,))
        rows = await reader.read(
            tenant,
            lambda _, scope=scope: sql.page(Filter(), scope, Order.DESC, after=None, until=None, limit=200),
        )
        assert all(shown(row) for row in rows.rows)
        found[tenant] = [str(row.event_id) for row in rows.rows]
    await reader.close()
    return found


async def keep(told: dict[str, Any]) -> dict[str, bool]:
    """Each of its jobs, once."""
    settings = AuditSettings.model_validate(
        {
            "retention": {"days": 3650},
            "integrity": {
                "key_file": told["seal_key"],
                "public_keys": [told["seal_before"]],
                "checkpoint_file": told["checkpoints"],
            },
        }
    )
    keeper: Keeper = make_keeper(settings, StoreSettings(), CollectorRegistry())
    keeper._dsn = told["keeper"]
    return {job.name: await keeper.once(job.name) for job in keeper._jobs}


def consume(told: dict[str, Any]) -> dict[str, int]:
    """Messages of the topic, sorted for the store."""
    held = [
        SimpleNamespace(
            value=base64.b64decode(message["value"]),
            headers=tuple((name, base64.b64decode(value)) for name, value in message["headers"]),
        )
        for message in told["messages"]
    ]
    records, marks = sort({TopicPartition("audit.events.v1", 0): held}, 1)
    return {"records": len(records), "marks": len(marks)}


async def main() -> None:
    """All of it."""
    told = json.load(sys.stdin)
    done = {
        "code": audit.__file__,
        "written": await write(told),
        "kept": await keep(told),
        "read": await read(told),
        "consumed": consume(told),
    }
    json.dump(done, sys.stdout)


if __name__ == "__main__":
    asyncio.run(main())
