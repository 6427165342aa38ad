"""The shadow with a real process: what it is offered it decides, and nothing of it can hurt anybody."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from audit.codec import decode, encode
from audit.emit import Emitter
from audit.event import AuditEvent
from audit.spool.inspect import dump
from gateway.clock import Clock
from gateway.shadow import keeper as module
from gateway.shadow.keeper import Live, Shadow
from gateway.shadow_settings import ShadowSettings
from gateway.sources import SourceFile
from policies.load import read_folder
from tests.builders.patience import PATIENCE_S
from tests.builders.questions import ROOT, real_bundle, real_catalogue
from tests.builders.recorded import decided
from tests.gateway.supervisor.crews import alive

NOTHING = "import sys, socket, time; s = socket.socket(fileno=int(sys.argv[1])); "
ANSWER = (
    "import sys, socket, time, msgspec; s = socket.socket(fileno=int(sys.argv[1]));"
    "m = msgspec.msgpack.encode({}); s.sendall(len(m).to_bytes(4, 'big') + m); time.sleep(60)"
)


class Stage:
    """A shadow under way."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.candidate = folder / "candidate"
        self.candidate.mkdir()
        files, schema = read_folder(ROOT / "policies")
        for name, text in [*files, schema]:
            (self.candidate / name).write_text(text)
        self.spool = folder / "spool"
        self.emitter = Emitter(self.spool / "me", "me")
        self.registry = CollectorRegistry()
        self.live = Live(SourceFile(*schema), real_catalogue().names, strict=False)
        command = options.pop("command", module.PROCESS)
        settings = ShadowSettings(folder=self.candidate, **{"sample": 1.0, **options})
        self.shadow = Shadow(
            self.candidate, settings, lambda: self.live, self.emitter, Clock(), self.registry, command=command
        )

    def edit(self, before: str, after: str, file: str = "order.cedar") -> None:
        """Change the candidate."""
        path = self.candidate / file
        assert before in path.read_text()
        path.write_text(path.read_text().replace(before, after))

    def metric(self, name: str, **labels: str) -> float:
        """A sample's value."""
        return self.registry.get_sample_value(f"lychgate_shadow_{name}", labels) or 0.0

    async def until(self, condition: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        """Poll."""
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, self.shadow.status()
            await asyncio.sleep(0.01)

    async def in_use(self) -> None:
        """Until a candidate decides."""
        await self.until(lambda: self.shadow.status()["version"] != "")

    def events(self) -> list[AuditEvent]:
        """What it recorded; the emitter is closed for it."""
        self.emitter.close()
        return [decode(record) for record in dump(self.spool)]


@asynccontextmanager
async def running(folder: Path, **options: Any) -> AsyncIterator[Stage]:
    """A stage whose shadow runs; afterwards its process is gone."""
    stage = Stage(folder, **options)
    task = asyncio.ensure_future(stage.shadow.run())
    try:
        yield stage
    finally:
        pid = stage.shadow.status()["pid"]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        stage.emitter.close()
        assert pid is None or not alive(pid)


def listings(count: int, role: str = "Support") -> list[bytes]:
    """So many decisions."""
    return [encode(decided(role, "order:list", number)) for number in range(count)]


async def test_divergences_are_counted_and_recorded_with_both_answers(tmp_path: Path) -> None:
    """By action and kind; the event names the decision and stands in its tenant."""
    async with running(tmp_path) as stage:
        stage.edit('Role::"Support", ', "")
        await stage.in_use()
        stage.shadow.offer([*listings(3), *listings(2, "Cashier"), b"no record"])
        await stage.until(lambda: stage.shadow.status()["compared"] == 5)
        assert stage.metric("divergences_total", action="order:list", kind="newly_denied") == 3
        assert stage.metric("compared_total") == 5
        assert stage.metric("in_use") == 1
        version = stage.shadow.status()["version"]
        first, *others = stage.events()
    assert len(others) == 2
    assert (first.event_type, first.kind, first.tenant_id, first.action) == (
        "policy.shadow.diverged",
        "system",
        "acme",
        "order:list",
    )
    assert first.details == {
        "decision_id": decided("Support", "order:list").event_id,
        "kind": "newly_denied",
        "live_effect": "allow",
        "live_reasons": ["order.read"],
        "live_policy_version": real_bundle().version,
        "shadow_effect": "deny",
        "shadow_reasons": [],
        "shadow_policy_version": version,
    }


async def test_a_wholly_different_set_cannot_fill_the_spool(tmp_path: Path) -> None:
    """So many events a second; every divergence is counted."""
    async with running(tmp_path, events_per_s=2) as stage:
        stage.edit('Role::"Support", ', "")
        await stage.in_use()
        stage.shadow.offer(listings(150))
        await stage.until(lambda: stage.shadow.status()["diverged"] == 150)
        withheld = stage.shadow.status()["withheld"]
        assert stage.metric("events_withheld_total") == withheld
        assert len(stage.events()) == 150 - withheld <= 6


async def test_a_candidate_is_read_anew_when_asked(tmp_path: Path) -> None:
    """Another version, other answers; and when the live schema changes, without being asked."""
    async with running(tmp_path) as stage:
        await stage.in_use()
        version = stage.shadow.status()["version"]
        stage.shadow.offer(listings(1))
        await stage.until(lambda: stage.shadow.status()["compared"] == 1)
        stage.edit('Role::"Support", ', "")
        stage.shadow.ask()
        await stage.until(lambda: stage.shadow.status()["version"] not in {"", version})
        stage.shadow.offer(listings(1))
        await stage.until(lambda: stage.shadow.status()["diverged"] == 1)
        loads = stage.metric("loads_total", result="installed")
        stage.live = stage.live._replace(strict=True)
        stage.shadow.offer(listings(1))
        await stage.until(lambda: stage.metric("loads_total", result="installed") == loads + 1)


async def test_a_broken_candidate_is_told_of_and_the_next_one_taken(tmp_path: Path) -> None:
    """With file and line; until then records pass by, and nothing is decided by the one before."""
    async with running(tmp_path) as stage:
        await stage.in_use()
        stage.edit("permit (", "premit (")
        stage.shadow.ask()
        await stage.until(lambda: "order.cedar:5:" in stage.shadow.status()["problem"])
        assert stage.shadow.status()["version"] == ""
        assert stage.metric("in_use") == 0
        assert stage.metric("loads_total", result="refused") == 1
        stage.shadow.offer(listings(5))
        assert stage.shadow.status()["waiting"] == 0
        stage.edit("premit (", "permit (")
        stage.shadow.ask()
        await stage.in_use()


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (lambda folder: [path.unlink() for path in folder.iterdir()], "no `.cedar` file here"),
        (lambda folder: (folder / "huge.cedar").write_text("//" * (5 << 20)), "larger than 8388608 bytes"),
        (lambda folder: os.mkfifo(folder / "pipe.cedar"), "pipe.cedar: not a file"),
        (lambda folder: (folder / "order.cedar").write_bytes(b"\xff"), "order.cedar:1: not UTF-8"),
    ],
)
async def test_a_folder_that_is_none_is_told_of(
    tmp_path: Path, prepare: Callable[[Path], object], problem: str
) -> None:
    """Empty, too large, a pipe that nobody writes to, not text."""
    stage = Stage(tmp_path)
    prepare(stage.candidate)
    task = asyncio.ensure_future(stage.shadow.run())
    await stage.until(lambda: problem in stage.shadow.status()["problem"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    stage.emitter.close()


async def test_a_candidate_that_would_end_its_process_is_refused(tmp_path: Path) -> None:
    """Nested deeper than the parser's stack: it is not shown to it, and the next candidate is decided by."""
    async with running(tmp_path) as stage:
        deep = "(" * 5_000 + "true" + ")" * 5_000
        (stage.candidate / "deep.cedar").write_text(
            f'@id("deep") @reason("r") forbid (principal, action, resource) when {{ {deep} }};'
        )
        stage.shadow.ask()
        await stage.until(lambda: "nested more than 200 deep" in stage.shadow.status()["problem"])
        (stage.candidate / "deep.cedar").unlink()
        stage.shadow.ask()
        await stage.in_use()
        assert stage.metric("restarts_total") == 0


async def test_a_killed_process_is_replaced(tmp_path: Path) -> None:
    """What it had in hand is counted as dropped; then it decides again."""
    async with running(tmp_path) as stage:
        await stage.in_use()
        os.kill(stage.shadow.status()["pid"], signal.SIGKILL)
        await stage.until(lambda: stage.metric("restarts_total") == 1)
        await stage.in_use()
        stage.shadow.offer(listings(4))
        await stage.until(lambda: stage.shadow.status()["compared"] == 4)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (NOTHING + "time.sleep(60)", "no answer within 0.3 s"),
        (NOTHING + "s.close()", "it ended"),
        (NOTHING + "s.sendall(b'\\xff' * 8); time.sleep(60)", "a frame of 4294967295 bytes"),
        (NOTHING + "s.sendall(b'\\0\\0\\0\\1x'); time.sleep(60)", "not a message"),
        (ANSWER.format({"type": "judged"}), "it answered `Judged`"),
    ],
)
async def test_a_process_that_misbehaves_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, reason: str
) -> None:
    """Silent, gone, out of its mind: it is killed, told of, and started again later."""
    monkeypatch.setattr(module, "_LOAD_S", 0.3)
    async with running(tmp_path, command=(sys.executable, "-c", script)) as stage:
        await stage.until(lambda: reason in stage.shadow.status()["problem"])
        assert stage.shadow.status()["version"] == ""


async def test_a_process_that_is_too_slow_loses_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch counts as dropped, and nobody waited for it."""
    monkeypatch.setattr(module, "_JUDGE_S", 0.3)
    loaded = ANSWER.format({"type": "loaded", "version": "v"})
    async with running(tmp_path, command=(sys.executable, "-c", loaded)) as stage:
        await stage.in_use()
        stage.shadow.offer(listings(7))
        await stage.until(lambda: "no answer within 0.3 s" in stage.shadow.status()["problem"])
        assert stage.metric("dropped_total", why="process") == 7


async def test_more_than_can_be_decided_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number and by size; offering never waits."""
    monkeypatch.setattr(module, "QUEUE_RECORDS", 10)
    async with running(tmp_path) as stage:
        await stage.in_use()
        stage.shadow.offer(listings(25))
        assert stage.shadow.status()["waiting"] == 10
        assert stage.metric("dropped_total", why="queue") == 15
        await stage.until(lambda: stage.shadow.status()["compared"] == 10)
        monkeypatch.setattr(module, "QUEUE_BYTES", 10)
        stage.shadow.offer(listings(1))
        assert stage.metric("dropped_total", why="queue") == 16
