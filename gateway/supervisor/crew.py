"""All workers: one task a slot keeps a worker in it, and an order to one is an order to all.

Called by `gateway.supervisor.app`. A worker that dies is started again in its slot, with the slot's producer id and
spool folder, so that it adopts what its predecessor left; one that keeps dying is started ever more slowly.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count
from typing import Final, TypeAlias

import msgspec
import structlog

from gateway.control import REVOCATIONS_A_FRAME, Family, Installed, Revoke, Told, WorkerConfig
from gateway.metrics import SupervisorMetrics
from gateway.revocations import Revocation
from gateway.sources import Sources
from gateway.supervisor.child import WORKER, Child, ChildGone
from gateway.supervisor.totals import Totals

INSTALL_S: Final = 30.0
"""Building a snapshot of 200 policies is about half a second; a worker that needs this long is stuck."""
REVOKE_S: Final = 5.0
"""A worker answers within milliseconds; meanwhile whoever revokes waits, and a stuck one lets revoked callers in."""
HEALTHY_S: Final = 10.0
"""A worker that lived this long did not die of its start."""
_FIRST_DELAY_S: Final = 0.1
_DRAIN_GRACE_S: Final = 2.0
_REFILL_POLL_S: Final = 0.02
_ENDED: Final = "the worker ended"
_SILENT: Final = "the worker did not answer"
_LOST: Final = frozenset({_ENDED, _SILENT})

_log = structlog.get_logger(__name__)


Standing: TypeAlias = tuple[tuple[Revocation, ...], bool]
"""Entries that are in force, and whether there may be more that are not known."""


class Report(msgspec.Struct, frozen=True):
    """A slot, as `/internal/status` shows it. `pid` is None while no worker is in it."""

    slot: int
    pid: int | None
    version: str | None


class InstallResult(msgspec.Struct, frozen=True):
    """What became of new sources.

    Attributes:
        version: Of the sources.
        installed: Slots that decide by them.
        problems: Slot to why not.
    """

    version: str
    installed: tuple[int, ...]
    problems: dict[int, str]


def restart_delay(failures: int, limit_s: float) -> float:
    """How long to wait before the next start.

    Args:
        failures: How often in a row a worker of this slot died young; 0 after one that had lived.
        limit_s: The longest wait.

    Returns:
        Nothing at first, then doubling from 0.1 s.
    """
    if failures == 0:
        return 0.0
    return float(min(limit_s, _FIRST_DELAY_S * 2 ** min(failures - 1, 16)))


def _chunks(entries: Sequence[Revocation]) -> Iterator[tuple[Revocation, ...]]:
    """At least one, so that word of `stale` goes out alone too."""
    for start in range(0, max(1, len(entries)), REVOCATIONS_A_FRAME):
        yield tuple(entries[start : start + REVOCATIONS_A_FRAME])


class Crew:
    """The workers of this machine.

    Args:
        slots: How many.
        configure: What the worker of a slot is told first.
        totals: Where their numbers are summed.
        metrics: Where restarts and installs are counted.
        on_kid_unknown: Called with issuer and key id when a worker meets a token it has no key for.
        backoff_s: The longest wait before a restart.
        command: What becomes a worker.
        install_s: How long a worker may take to build a snapshot.
        revoked: Everything that is revoked, piece by piece; each is read when it is sent. Told to a worker before its
            sources.
        on_told: Called with what a worker tells of requests.

    Attributes:
        complete_once: Whether there has been a moment when every slot decided by the sources in hand.
    """

    def __init__(
        self,
        *,
        slots: int,
        configure: Callable[[int], WorkerConfig],
        totals: Totals,
        metrics: SupervisorMetrics,
        on_kid_unknown: Callable[[str, str], None],
        backoff_s: float,
        command: Sequence[str] = WORKER,
        install_s: float = INSTALL_S,
        revoked: Callable[[], Iterable[Standing]] = lambda: (),
        on_told: Callable[[Told], None] = lambda _: None,
    ) -> None:
        self._slots = slots
        self._configure = configure
        self._totals = totals
        self._metrics = metrics
        self._on_kid_unknown = on_kid_unknown
        self._backoff_s = backoff_s
        self._command = command
        self._install_s = install_s
        self._revoked = revoked
        self._on_told = on_told
        self._children: dict[int, Child] = {}
        self._sequence = count(1)
        self._current: Sources | None = None
        self._version = ""
        self._installing = asyncio.Lock()
        self._draining = asyncio.Event()
        self._ended = asyncio.Event()
        self._drain_until = 0.0
        self.complete_once = False

    @property
    def ready(self) -> bool:
        """Whether every slot has a worker that decides by the sources in hand."""
        if self._current is None:
            return False
        version = self._current.version
        return len(self._children) == self._slots and all(child.version == version for child in self._children.values())

    @property
    def serving(self) -> int:
        """How many workers have a snapshot."""
        return sum(child.version is not None for child in self._children.values())

    @property
    def behind(self) -> int:
        """How many workers decide by other sources than those in hand; more than none for long is a fault of ours."""
        return sum(child.version not in {None, self._version} for child in self._children.values())

    def report(self) -> tuple[Report, ...]:
        """Every slot, in order."""
        return tuple(
            Report(slot, child.pid, child.version) if (child := self._children.get(slot)) else Report(slot, None, None)
            for slot in range(self._slots)
        )

    async def run(self, sources: Sources) -> None:
        """Keep a worker in every slot until `drain`.

        Args:
            sources: What they start with, unless `install` has brought newer ones already.
        """
        if self._current is None:
            self._take(sources)
        try:
            async with asyncio.TaskGroup() as tasks:
                for slot in range(self._slots):
                    tasks.create_task(self._keep(slot))
        finally:
            self._ended.set()

    async def install(self, sources: Sources, *, together: bool = False) -> InstallResult:
        """Have every worker decide by new sources; returns when each has answered, or is gone.

        Every worker builds them first, and only then do all take them: within a millisecond of each other, under any
        load. A worker that does not answer is killed.

        Args:
            sources: The supervisor has built them already.
            together: Whether a worker that cannot build them, or dies of it twice, means that none takes them. If not,
                such a worker is replaced: its successor starts with the new ones, or not at all.

        Returns:
            Which slots took them. With `together`, none or all; a worker that dies later starts with what was decided.
        """
        async with self._installing:
            prepared, problems = await self._prepare(sources)
            if problems and together:
                # A worker that was lost meanwhile may have died of something else; its successor is asked once more.
                if any(problem in _LOST for problem in problems.values()):
                    await self._refilled(within_s=self._install_s)
                    prepared, problems = await self._prepare(sources)
                if problems:
                    self._metrics.installs.labels("failed").inc(len(problems))
                    return InstallResult(sources.version, (), problems)
            self._take(sources)
            for slot in problems:
                self._metrics.installs.labels("failed").inc()
                if (child := self._children.get(slot)) is not None:
                    child.kill()
            # One that is still being told what is revoked begins with what was taken just now.
            children = [child for child in self._children.values() if child.told and child.slot not in problems]
            later = await asyncio.gather(*(self._commit(child, prepared.get(child), sources) for child in children))
        problems |= {child.slot: problem for child, problem in zip(children, later, strict=True) if problem is not None}
        installed = tuple(sorted(child.slot for child in children if child.slot not in problems))
        return InstallResult(sources.version, installed, problems)

    async def _prepare(self, sources: Sources) -> tuple[dict[Child, int], dict[int, str]]:
        """Have all build; returns the number under which each holds it, and slot to why not."""
        asked = {child: next(self._sequence) for child in self._children.values() if child.told}
        answers = await asyncio.gather(
            *(
                self._answer(child, child.prepare(seq, sources, self._install_s), sources)
                for child, seq in asked.items()
            )
        )
        problems = {child.slot: problem for child, problem in zip(asked, answers, strict=True) if problem is not None}
        return {child: seq for child, seq in asked.items() if child.slot not in problems}, problems

    async def _commit(self, child: Child, prepared: int | None, sources: Sources) -> str | None:
        """Have one take what it holds, or what it has never seen because it was just born."""
        if prepared is None:
            return await self._install(child, sources)
        problem = await self._answer(child, child.commit(next(self._sequence), prepared, self._install_s), sources)
        if problem is not None:
            child.kill()  # the others have taken it; the successor will
        self._count(problem)
        return problem

    async def _refilled(self, within_s: float) -> None:
        """Wait until there is a worker in every slot again that decides."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.serving < self._slots:  # noqa: ASYNC110 - rare, and a worker takes half a second to come
                    await asyncio.sleep(_REFILL_POLL_S)

    async def revoke(self, entries: Sequence[Revocation], *, stale: bool) -> int:
        """Have every worker hold credentials against these entries too; returns when each has answered, or is gone.

        One that does not answer is killed: its successor is told everything before it serves. What is revoked must
        stand in `revoked` before this is called.

        Returns:
            How many workers have answered.
        """
        answered, within_s = 0, min(REVOKE_S, self._install_s)
        for chunk in _chunks(entries):
            children = list(self._children.values())
            answered = sum(
                await asyncio.gather(*(self._revoke(child, chunk, within_s, stale=stale) for child in children))
            )
        return answered

    async def ask_metrics(self, within_s: float) -> None:
        """Bring the totals up to date; a worker that does not answer in time stays at what it said last."""
        await asyncio.gather(*(self._ask_metrics(child, within_s) for child in list(self._children.values())))

    async def drain(self, within_s: float) -> int:
        """Let every worker finish, then end; `run` returns after it.

        Returns:
            How many had to be killed.
        """
        loop = asyncio.get_running_loop()
        self._drain_until = loop.time() + within_s
        self._draining.set()
        await self.ask_metrics(min(1.0, within_s))
        for child in self._children.values():
            child.drain(max(0.0, self._drain_until - loop.time()))
        try:
            async with asyncio.timeout_at(self._drain_until + _DRAIN_GRACE_S):
                await self._ended.wait()
        except TimeoutError:
            killed = self.kill()
            await self._ended.wait()
            return killed
        return 0

    def kill(self) -> int:
        """End every worker now; returns how many there were."""
        left = list(self._children.values())
        for child in left:
            _log.warning("worker_killed", slot=child.slot, pid=child.pid)
            child.kill()
        return len(left)

    def _take(self, sources: Sources) -> None:
        self._current, self._version = sources, sources.version

    async def _keep(self, slot: int) -> None:
        """A worker in this slot, again and again."""
        loop = asyncio.get_running_loop()
        failures = 0
        while not self._draining.is_set():
            began = loop.time()
            try:
                code: int | None = await self._live(slot)
            except OSError as exc:  # no process, no descriptor, no memory: it may pass
                _log.error("worker_not_started", slot=slot, reason=str(exc))
                code = None
            if self._draining.is_set():
                return
            failures = 0 if loop.time() - began >= HEALTHY_S else failures + 1
            delay = restart_delay(failures - 1 if failures else 0, self._backoff_s)
            self._metrics.worker_restarts.inc()
            _log.error("worker_died", slot=slot, exit_code=code, restart_in_s=delay)
            try:
                async with asyncio.timeout(delay):
                    await self._draining.wait()
            except TimeoutError:
                continue

    async def _live(self, slot: int) -> int:
        """The life of one worker; returns its exit code."""
        child = await Child.start(self._command, self._configure(slot), self._on_kid_unknown, self._on_told)
        self._children[slot] = child
        if self._draining.is_set():
            child.kill()  # it was born too late to have done anything
        try:
            async with asyncio.TaskGroup() as tasks:
                first = tasks.create_task(self._first_install(child))
                code = await child.attend()
                first.cancel()
        finally:
            child.kill()
            del self._children[slot]
            self._totals.retire(slot)
            self._metrics.workers.set(self.serving)
        return code

    async def _first_install(self, child: Child) -> None:
        """What a new worker starts with; one that cannot is of no use."""
        # Without the lock: between reading the sources and sending them nothing can come, and a worker takes them in
        # the order they are sent in.
        if self._current is None:
            raise RuntimeError("a worker without sources")
        # What is revoked meanwhile it is told as everybody is; new sources wait until it has been told all of it.
        for entries, stale in self._revoked():
            if not await self._revoke(child, entries, self._install_s, stale=stale):  # it may still be starting
                child.kill()
                return
        child.told = True
        problem = await self._install(child, self._current)
        if problem is not None:
            child.kill()

    async def _revoke(self, child: Child, entries: tuple[Revocation, ...], within_s: float, *, stale: bool) -> bool:
        try:
            await child.revoke(Revoke(next(self._sequence), entries, stale), within_s)
        except ChildGone:
            return False
        except TimeoutError:
            _log.error("revoke_not_answered", slot=child.slot, pid=child.pid)
            child.kill()
            return False
        return True

    async def _install(self, child: Child, sources: Sources) -> str | None:
        """Have one build and take them; returns why it did not."""
        problem = await self._answer(child, child.install(next(self._sequence), sources, self._install_s), sources)
        self._count(problem)
        return problem

    async def _answer(self, child: Child, asked: Awaitable[Installed], sources: Sources) -> str | None:
        """What a worker has against what it was asked; one that is silent is killed."""
        try:
            problem = (await asked).problem
        except ChildGone:
            problem = _ENDED
        except TimeoutError:
            problem = _SILENT
            child.kill()
        if problem is not None:
            _log.error("install_failed", slot=child.slot, pid=child.pid, version=sources.version, reason=problem)
        return problem

    def _count(self, problem: str | None) -> None:
        self._metrics.installs.labels("failed" if problem else "installed").inc()
        self.complete_once = self.complete_once or self.ready
        self._metrics.workers.set(self.serving)

    async def _ask_metrics(self, child: Child, within_s: float) -> None:
        try:
            families: tuple[Family, ...] = await child.ask_metrics(next(self._sequence), within_s)
        except (ChildGone, TimeoutError):
            return  # what it said last stands
        if self._children.get(child.slot) is child:
            self._totals.update(child.slot, families)
