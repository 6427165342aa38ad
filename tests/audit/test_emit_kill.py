"""SIGKILL at any instant, many times over one folder: while it opens, adopts, writes, syncs, begins a segment."""

import asyncio
import json
import os
import sys
from pathlib import Path

from audit.relay import Relay
from audit.spool.segment import segments
from tests.audit.test_relay import ListSink
from tests.builders.spool import account, check

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("LYCHGATE_KILLS", "60"))


async def test_killed_at_any_instant(tmp_path: Path) -> None:
    """Every acked record arrives; every other number of every epoch arrives or is named, none twice over."""
    folder = tmp_path / "child"
    killer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.audit.killed", str(folder), str(KILLS), str(KILLS),
        stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    sink = ListSink()
    relay = Relay(tmp_path, sink, adopt_after_s=0.0)  # it competes with each successor for the dead one's folder
    while killer.returncode is None:
        await relay.step()
        await asyncio.sleep(0.003)
    assert killer.returncode == 0
    assert killer.stdout is not None
    said = json.loads(await killer.stdout.read())
    assert await relay.flush(20)
    assert segments(folder) == []
    acked = {int(epoch): numbers for epoch, numbers in said["acked"].items()}
    assert sum(map(len, acked.values())) >= KILLS // 2
    events, folder_of = sink.events, folder
    for epoch, taken in said["taken"].items():
        check(events, folder_of, acked.get(int(epoch), ()), epoch=int(epoch), taken=taken)
        found = account(events, int(epoch))
        assert found.named.without(found.delivered) == found.named, "named as lost, and delivered"
