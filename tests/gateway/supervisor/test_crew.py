"""The crew with stand-in workers: real processes, real signals, no data plane."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control import REVOCATIONS_A_FRAME
from gateway.revocations import Revocation
from gateway.supervisor.crew import restart_delay
from tests.gateway.supervisor.crews import alive, make_sources, running_crew, until


def _restarts(registry: object) -> float:
    return registry.get_sample_value("lychgate_worker_restarts_total") or 0.0  # type: ignore[attr-defined]


async def test_every_slot_gets_a_worker_with_the_first_sources() -> None:
    """After the start each slot has a process of its own that decides by the sources in hand."""
    sources = make_sources()
    async with running_crew(sources) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        reports = stand.crew.report()
        assert [report.slot for report in reports] == [0, 1]
        assert len({report.pid for report in reports}) == 2
        assert {report.version for report in reports} == {sources.version}
        assert stand.registry.get_sample_value("lychgate_workers") == 2


async def test_install_returns_when_all_have_acknowledged() -> None:
    """New sources are in force everywhere when `install` returns."""
    async with running_crew(make_sources()) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        new = make_sources(text="# another")
        result = await stand.crew.install(new)
        assert (result.version, result.installed, result.problems) == (new.version, (0, 1), {})
        assert {report.version for report in stand.crew.report()} == {new.version}


async def test_what_one_cannot_build_nobody_takes() -> None:
    """Told so slot by slot, the old version stays in force everywhere, in the same workers, and is nobody's problem."""
    old = make_sources()
    async with running_crew(old) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        pids = [report.pid for report in stand.crew.report()]
        result = await stand.crew.install(make_sources("refuse-slot-1"), together=True)
        assert (result.problems, result.installed) == ({1: "cannot build"}, ())
        assert {report.version for report in stand.crew.report()} == {old.version}
        assert [report.pid for report in stand.crew.report()] == pids
        assert stand.crew.ready
        assert stand.registry.get_sample_value("lychgate_snapshot_installs_total", {"result": "failed"}) == 1
        new = make_sources(text="# another")
        assert (await stand.crew.install(new, together=True)).installed == (0, 1)
        assert stand.crew.behind == 0
        stand.crew._children[0].version = old.version
        assert stand.crew.behind == 1


async def test_who_cannot_take_keys_is_replaced() -> None:
    """The others take them: a key that was withdrawn must be believed by nobody who serves."""
    async with running_crew(make_sources()) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        victim = stand.crew.report()[1].pid
        assert victim is not None
        new = make_sources("refuse-slot-1")
        result = await stand.crew.install(new)
        assert (result.problems, result.installed) == ({1: "cannot build"}, (0,))
        assert stand.crew.report()[0].version == new.version
        await until(lambda: not alive(victim), "replaced")
        await until(lambda: stand.crew.serving == 1, "who cannot build does not serve")


async def test_a_worker_that_is_killed_meanwhile_holds_nothing_up(tmp_path: Path) -> None:
    """Its successor is asked once more, and then all take the new sources together."""
    async with running_crew(make_sources()) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        victim = stand.crew.report()[0].pid
        assert victim is not None
        new = make_sources("waits", text=str(tmp_path / "go"))
        installing = asyncio.ensure_future(stand.crew.install(new, together=True))
        await until(lambda: ("builds", str(victim)) in stand.kids, "it is at it")
        os.kill(victim, signal.SIGKILL)
        (tmp_path / "go").touch()
        result = await installing
        assert (result.problems, result.installed) == ({}, (0, 1))
        assert {report.version for report in stand.crew.report()} == {new.version}
        assert victim not in {report.pid for report in stand.crew.report()}


async def test_whoever_is_gone_is_not_asked_once_more(tmp_path: Path) -> None:
    """Its process has not ended yet when it is known to be lost: its successor is waited for, and asked."""
    async with running_crew(make_sources()) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        new = make_sources("leaves once", text=str(tmp_path / "left"))
        result = await stand.crew.install(new, together=True)
        assert (result.problems, result.installed) == ({}, (0, 1))
        assert {report.version for report in stand.crew.report()} == {new.version}


async def test_a_set_that_kills_whoever_builds_it_is_taken_by_nobody() -> None:
    """It is tried twice; then the old one decides, in new workers."""
    old = make_sources()
    async with running_crew(old, slots=1) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        result = await stand.crew.install(make_sources("die"), together=True)
        assert (result.problems, result.installed) == ({0: "the worker ended"}, ())
        await until(lambda: stand.crew.ready, "decides again")
        assert stand.crew.report()[0].version == old.version


async def test_a_killed_worker_is_started_again_with_the_newest_sources() -> None:
    """The successor of a killed worker takes its slot and the sources that are in hand by then."""
    async with running_crew(make_sources()) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        new = make_sources(text="# another")
        await stand.crew.install(new)
        victim = stand.crew.report()[1].pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        await until(lambda: stand.crew.report()[1].pid not in {None, victim} and stand.crew.ready, "successor ready")
        assert stand.crew.report()[1].version == new.version
        assert _restarts(stand.registry) == 1


async def test_a_silent_worker_is_replaced() -> None:
    """A worker that does not acknowledge in time is killed, and the caller is told."""
    async with running_crew(make_sources(), slots=1, install_s=1.0) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        before = stand.crew.report()[0].pid
        assert before is not None
        result = await stand.crew.install(make_sources("silent"))
        assert result.problems == {0: "the worker did not answer"}
        await until(lambda: not alive(before), "silent worker gone")


@pytest.mark.parametrize("mood", ["die", "garbage"])
async def test_a_worker_that_dies_of_an_install_does_not_hold_it_up(mood: str) -> None:
    """An order ends with the worker: nobody waits for an answer that cannot come."""
    async with running_crew(make_sources(), slots=1) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        before = stand.crew.report()[0].pid
        assert before is not None
        result = await stand.crew.install(make_sources(mood))
        await until(lambda: not alive(before), "worker gone")
        # With garbage the answer stands before the breach in the stream or is lost with it; both are an end.
        assert result.problems in ({}, {0: "the worker ended"})
        await until(lambda: _restarts(stand.registry) >= 1, "counted")
        await stand.crew.install(make_sources(text="# good again"))
        await until(lambda: stand.crew.ready, "recovered")


async def test_a_worker_that_keeps_dying_is_started_ever_more_slowly() -> None:
    """Restarts do not become a busy loop."""
    async with running_crew(make_sources("die"), slots=1) as stand:
        await until(lambda: _restarts(stand.registry) >= 3, "three restarts")
        assert stand.crew.serving == 0
        assert not stand.crew.ready


async def test_a_worker_without_a_first_snapshot_is_of_no_use() -> None:
    """One that cannot build what it starts with is replaced, so that it does when the sources are good again."""
    async with running_crew(make_sources("refuse"), slots=1) as stand:
        await until(lambda: _restarts(stand.registry) >= 1, "replaced")
        assert not stand.crew.complete_once
        await stand.crew.install(make_sources())
        await until(lambda: stand.crew.ready, "ready with good sources")


async def test_counters_of_the_dead_stay() -> None:
    """What a worker counted is still in the totals after it has died; its gauges are not."""
    async with running_crew(make_sources(), slots=2) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        await stand.crew.ask_metrics(2.0)
        assert _total(stand.totals, "lychgate_requests_total") == 2
        assert _total(stand.totals, "lychgate_connections") == 4
        victim = stand.crew.report()[0].pid
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        await until(lambda: stand.crew.report()[0].pid != victim, "worker gone")
        assert _total(stand.totals, "lychgate_requests_total") == 2
        assert _total(stand.totals, "lychgate_connections") == 2
        await until(lambda: stand.crew.ready, "successor ready")
        await stand.crew.ask_metrics(2.0)
        assert _total(stand.totals, "lychgate_requests_total") == 4


async def test_an_unknown_key_is_handed_on() -> None:
    """A worker's report of an unknown key reaches whoever fetches keys."""
    async with running_crew(make_sources("unknown-kid"), slots=1) as stand:
        await until(lambda: stand.kids == [("dev", "k2")], "kid reported")


async def test_drain_ends_every_worker_without_a_kill() -> None:
    """Workers that obey leave by themselves."""
    async with running_crew(make_sources()) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        pids = [report.pid for report in stand.crew.report() if report.pid]
        assert await stand.crew.drain(5.0) == 0
        assert not any(alive(pid) for pid in pids)
        assert _restarts(stand.registry) == 0


async def test_drain_kills_who_does_not_leave() -> None:
    """After the deadline whoever is left is killed, and counted."""
    async with running_crew(make_sources("deaf"), slots=1) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        pid = stand.crew.report()[0].pid
        assert pid is not None
        assert await stand.crew.drain(0.1) == 1
        assert not alive(pid)


@given(failures=st.integers(min_value=0, max_value=10_000), limit=st.floats(min_value=0.1, max_value=60))
def test_restart_delay_rises_and_is_bounded(failures: int, limit: float) -> None:
    """The wait never falls with more failures and never exceeds its limit; the first restart is at once."""
    assert 0 <= restart_delay(failures, limit) <= restart_delay(failures + 1, limit) <= limit
    assert restart_delay(0, limit) == 0


def _total(totals: object, name: str) -> float:
    return sum(
        sample.value
        for metric in totals.collect()  # type: ignore[attr-defined]
        for sample in metric.samples
        if sample.name == name
    )


def _entries(count: int) -> tuple[Revocation, ...]:
    return tuple(Revocation(kind="jti", issuer="dev", jti=f"t-{n}", expires_at=9.0) for n in range(count))


async def test_what_is_revoked_is_acknowledged_by_all() -> None:
    """Also where it takes several frames, and where there is nothing but word of staleness."""
    async with running_crew(make_sources()) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        assert await stand.crew.revoke(_entries(REVOCATIONS_A_FRAME * 2 + 1), stale=False) == 2
        assert await stand.crew.revoke((), stale=True) == 2


async def test_a_worker_knows_what_is_revoked_before_it_serves() -> None:
    """All of it, in any number of frames, ahead of its first sources."""
    entries = _entries(507)
    async with running_crew(make_sources("tells"), revoked=entries) as stand:
        await until(lambda: len(stand.kids) == 2, "both have told")
        assert set(stand.kids) == {("revoked", str(len(entries)))}


async def test_a_worker_that_does_not_acknowledge_is_killed() -> None:
    """Its successor is told everything; nobody waits for the one that is stuck."""
    async with running_crew(make_sources(), slots=1, install_s=3.0) as stand:
        await until(lambda: stand.crew.ready, "crew ready")
        await stand.crew.install(make_sources("forgetful"))
        before = stand.crew.report()[0].pid
        assert await stand.crew.revoke(_entries(1), stale=False) == 0
        await until(lambda: stand.crew.report()[0].pid not in {before, None}, "another worker")
