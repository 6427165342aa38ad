"""The processes behind the spool: `python -m load.audit.relaying relay|consumer CONFIGURATION`, a file of JSON."""

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from audit.kafka.run import run as consume
from audit.settings import AuditSettings, StoreSettings
from gateway.supervisor.delivery import Delivery


async def _relay(audit: AuditSettings, store: StoreSettings) -> None:
    delivery = Delivery(audit, store, CollectorRegistry())
    task = asyncio.ensure_future(delivery.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
    await delivery.close()


def main() -> int:
    """Run one until SIGTERM."""
    told = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
    audit, store = AuditSettings.model_validate(told["audit"]), StoreSettings.model_validate(told["store"])
    if sys.argv[1] == "consumer":
        return consume(audit, store)
    uvloop.install()
    asyncio.run(_relay(audit, store))
    return 0


if __name__ == "__main__":
    sys.exit(main())
