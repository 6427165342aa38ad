"""One worker as its parent sees it."""

import asyncio
import os
import signal
import sys

import pytest

from gateway.control import WorkerConfig
from gateway.supervisor.child import Child, ChildGone
from tests.builders.patience import PATIENCE_S
from tests.gateway.supervisor.crews import STANDIN, alive, make_sources

CONFIG = WorkerConfig(slot=0, listen_fd=0, producer_id="w0", spool_folder="spool/w0")


def _nobody(_issuer: str, _kid: str) -> None:
    """Nobody wants to know of unknown keys here."""


async def test_exit_codes_are_told() -> None:
    """By itself, by a signal, and by a program that is no worker at all."""
    for command, code in [((sys.executable, "-c", "raise SystemExit(7)"), 7), (STANDIN, -signal.SIGTERM)]:
        child = await Child.start(command, CONFIG, _nobody)
        async with asyncio.TaskGroup() as tasks:
            attended = tasks.create_task(child.attend())
            if command is STANDIN:
                await child.install(1, make_sources(), 10)
                os.kill(child.pid, signal.SIGTERM)
        assert attended.result() == code
        child.kill()  # of one that is gone: nothing


async def test_a_question_ends_with_the_worker() -> None:
    """Whoever waits is told at once, and whoever asks later too."""
    child = await Child.start(STANDIN, CONFIG, _nobody)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.attend())
        await child.install(1, make_sources(), 10)
        asked = tasks.create_task(_gone(child, 2))
        await asyncio.sleep(0)
        child.kill()
        assert await asked
    assert await _gone(child, 3)


async def test_it_does_not_share_the_terminals_signals() -> None:
    """A worker leads a session of its own: Ctrl-C is the supervisor's."""
    child = await Child.start(STANDIN, CONFIG, _nobody)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(child.attend())
        await child.install(1, make_sources(), 10)
        assert os.getsid(child.pid) == child.pid != os.getsid(0)
        child.drain(1.0)
    assert child.drained
    assert not alive(child.pid)


async def test_one_that_hangs_after_its_end_is_killed() -> None:
    """A process that has closed its channel and stays is not waited for."""
    stays = (sys.executable, "-c", "import os, sys, time; os.close(int(sys.argv[1])); time.sleep(60)")
    child = await Child.start(stays, CONFIG, _nobody)
    async with asyncio.timeout(PATIENCE_S):
        assert await child.attend() == -signal.SIGKILL


async def test_a_command_that_is_not_there_is_an_error_without_leaks() -> None:
    """Nothing stays open when nothing could be started: warnings are errors here."""
    with pytest.raises(FileNotFoundError):
        await Child.start(("/no/such/program",), CONFIG, _nobody)


async def _gone(child: Child, seq: int) -> bool:
    try:
        await child.install(seq, make_sources("silent"), 10)
    except ChildGone:
        return True
    return False
