"""One round: load and faults together, then everything mended, drained, stopped, and the evidence gathered."""

import asyncio
import random
import signal
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import evidence as seen
from tests.chaos.evidence import Disturbance, Evidence
from tests.chaos.plan import CLOCK, GATEWAY, Fault, Form, Strike
from tests.chaos.process import Process, gone, hold, tell
from tests.chaos.servers import Servers
from tests.chaos.shop import Shop
from tests.chaos.stack import Stack

_LOOK_S = 0.05
_ASK_S = 0.5
_DRAIN_S = 120.0
_FOLD_S = 1.5
"""Until the last fold's second is over, and its tick."""
_AGAIN_S = 3.0
_RESTART_S = 0.5


@dataclass
class Round:
    """A round.

    Args:
        home: Its folder.
        servers: What outlives it.
        form: With or without the broker.
        name: Of its database and topics; `[a-z0-9_]+`.
        strikes: The faults, in the order of their times.
        dice: The load's.
        seconds: Of load.
        rate: Requests a second, about.
        say: Told a line at a time.
    """

    home: Path
    servers: Servers
    form: Form
    name: str
    strikes: Sequence[Strike]
    dice: random.Random
    seconds: float
    rate: float
    say: Callable[[str], None]
    disturbed: list[Disturbance] = field(default_factory=list)
    promised: list[tuple[float, float]] = field(default_factory=list)
    drained_s: float = 0.0
    down: Counter[str] = field(default_factory=Counter)
    gave_up: Counter[str] = field(default_factory=Counter)
    turns: dict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def run(self) -> Evidence:
        """Carry it out.

        Raises:
            NotStarted: A part did not come up, at first or when it was mended.
        """
        moves = any(strike.fault in CLOCK for strike in self.strikes)
        self.stack = Stack(self.home, self.servers, self.form, self.name, moves)
        try:
            await self.servers.mend()  # a round that was not finished may have left them as it fell
            await self.stack.start()
            shop = Shop(
                self.stack.url,
                lambda role, tenant, user: self.stack.issuer.mint(roles=[role], tenant=tenant, user=user),
                self.dice,
                self.rate,
            )
            await self._storm(shop)
            await self._drain()
            return await self._gather(shop)
        finally:
            await self.stack.stop()

    async def _storm(self, shop: Shop) -> None:
        """Load, faults and those who look on; then everything is mended."""
        async with asyncio.TaskGroup() as watchers:
            looking = [watchers.create_task(each()) for each in (self._look, self._ask_store, self._start_again)]
            began = time.monotonic()
            async with asyncio.TaskGroup() as storm:
                storm.create_task(shop.run(self.seconds))
                for strike in self.strikes:
                    storm.create_task(self._strike(strike, began))
            began_at = time.time()
            dead = self.stack.gateway.pid is None
            await self.stack.mend()
            if dead:
                self.disturbed.append(Disturbance("mend", began_at, time.time()))
            for task in looking:
                task.cancel()

    async def _look(self) -> None:
        while True:
            self.stack.look()
            await asyncio.sleep(_LOOK_S)

    async def _ask_store(self) -> None:
        while True:
            through = await seen.complete_through(self.stack.dsn)
            if through is not None:  # what came before we had the answer is given the benefit of the doubt
                self.promised.append((time.time(), through))
            await asyncio.sleep(_ASK_S)

    async def _start_again(self) -> None:
        """As a service manager does: what ended by itself is started again."""
        stack = self.stack
        while True:
            await asyncio.sleep(_RESTART_S)
            for process in (stack.gateway, stack.services, *stack.consumers):
                if process.pid is None and not self.down[process.name]:
                    self.gave_up[process.name] += 1
                    process.start()

    async def _strike(self, strike: Strike, began: float) -> None:
        await asyncio.sleep(max(0.0, began + strike.at_s - time.monotonic()))
        # Whoever is being started again is not killed meanwhile: his start would fail, and it is ours.
        async with self.turns[strike.fault.target]:
            began_at = time.time()
            await self._carry_out(strike)
            if strike.fault in GATEWAY:
                self.disturbed.append(Disturbance(strike.fault, began_at, time.time()))

    async def _carry_out(self, strike: Strike) -> None:  # noqa: C901, PLR0912 - a case a fault
        stack, servers, rest = self.stack, self.servers, strike.lasts_s
        match strike.fault:
            case Fault.KILL_GATEWAY:
                async with self._dead(stack.gateway, rest):
                    await stack.kill(stack.gateway.pids)
            case Fault.KILL_SUPERVISOR:
                async with self._dead(stack.gateway, rest):
                    pids = stack.gateway.pids
                    await stack.kill(pids[:1])
                    if not await gone(pids):  # its workers leave by themselves
                        await stack.kill(pids)
            case Fault.KILL_WORKER:
                if workers := stack.workers:
                    await stack.kill([workers[strike.amount % len(workers)]])
            case Fault.STOP_GATEWAY | Fault.STOP_WORKER:
                pids = stack.gateway.pids if strike.fault is Fault.STOP_GATEWAY else stack.workers[:1]
                await self._paused(pids, rest)
            case Fault.KILL_SERVICES:
                async with self._dead(stack.services, rest):
                    await stack.kill(stack.services.pids)
            case Fault.KILL_POSTGRES:
                await servers.kill_postgres()
                await asyncio.sleep(rest)
                await servers.start_postgres()
            case Fault.STOP_POSTGRES:
                await self._paused(servers.postgres_pids, rest)
            case Fault.KILL_BROKER if servers.broker is not None:
                await asyncio.to_thread(servers.broker.kill)
                await asyncio.sleep(rest)
                if servers.broker.pid is None:
                    await asyncio.to_thread(servers.broker.start)
            case Fault.STOP_BROKER if servers.broker is not None and servers.broker.pid is not None:
                await self._paused([servers.broker.pid], rest)
            case Fault.KILL_BROKER | Fault.STOP_BROKER:
                return  # it is not there to be hurt
            case Fault.KILL_CONSUMER:
                consumer = stack.consumers[strike.amount % len(stack.consumers)]
                async with self._dead(consumer, rest):
                    await consumer.kill()
            case Fault.STOP_CONSUMER:
                await self._paused(stack.consumers[strike.amount % len(stack.consumers)].pids, rest)
            case Fault.FILL_DISK:
                until = time.monotonic() + rest
                while time.monotonic() < until:  # what is freed is filled again
                    stack.disk.fill()
                    await asyncio.sleep(0.1)
                stack.disk.free()
            case Fault.MOVE_CLOCK:
                stack.move_clock(strike.amount)
                await asyncio.sleep(rest)
                stack.move_clock(0)
            case Fault.RUN_AHEAD:
                stack.move_clock(strike.amount)
                await asyncio.sleep(rest)
                async with self._dead(stack.services, 0.0), self._dead(stack.gateway, 0.0):
                    await stack.kill([*stack.gateway.pids, *stack.services.pids])
                    stack.move_clock(0)

    @asynccontextmanager
    async def _dead(self, process: Process, rest: float) -> AsyncIterator[None]:
        """While a process is killed and for a while after, nobody starts it again."""
        self.down[process.name] += 1
        try:
            yield
            await asyncio.sleep(rest)
        finally:
            self.down[process.name] -= 1
        if process.pid is None and not self.down[process.name]:  # two faults may have met
            process.start()

    async def _paused(self, pids: Sequence[int], rest: float) -> None:
        await hold(pids)
        await asyncio.sleep(rest)
        tell(pids, signal.SIGCONT)

    async def _drain(self) -> None:
        """Stop cleanly, those first whose records others deliver; again and again until the store knows every end."""
        began = time.monotonic()
        await asyncio.sleep(_FOLD_S)
        self.stack.look()
        ends = [await self.stack.services.end()]
        while True:
            ends.append(await self.stack.gateway.end())
            if await self._drained(_AGAIN_S if self.form is Form.DIRECT else 3 * _AGAIN_S):
                break
            if time.monotonic() - began > _DRAIN_S:
                break  # the oracle says what is missing
            self.stack.gateway.start()
            await self.stack.ready_gateway()
            await asyncio.sleep(_AGAIN_S)
            self.stack.look()
        ends += [await consumer.end() for consumer in self.stack.consumers]
        self.drained_s = time.monotonic() - began
        if any(ends):
            self.say(f"  stopped with exit codes {ends}")

    async def _drained(self, within_s: float) -> bool:
        """Whether the store knows the end of every epoch that is the newest of its producer."""
        self.stack.look()
        newest: dict[str, int] = {}
        for producer, epoch in self.stack.counters:
            newest[producer] = max(epoch, newest.get(producer, 0))
        deadline = time.monotonic() + within_s
        while not set(newest.items()) <= await seen.told_ended(self.stack.dsn):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.2)
        return True

    async def _gather(self, shop: Shop) -> Evidence:
        rows, dead, conflicts = await seen.stored(self.stack.dsn)
        duplicates = None
        if self.form is Form.KAFKA and self.servers.broker is not None:
            servers = self.servers.broker.bootstrap_servers
            for message in await seen.topic(servers, self.stack.dead_letter_topic):
                reason = next((value for name, value in message.headers if name == "reason"), b"")
                dead.append(seen.letter(reason.decode(), message.value or b""))
            duplicates = seen.repeated(await seen.topic(servers, self.stack.topic))
        faults = {strike.fault for strike in self.strikes}
        return Evidence(
            shop.asked,
            rows,
            seen.each_once(dead),
            conflicts,
            {key: known.taken for key, known in self.stack.counters.items() if key[1]},
            await seen.told_ended(self.stack.dsn),
            self.disturbed,
            self.promised,
            ahead=Fault.RUN_AHEAD in faults,
            steady=not faults & CLOCK,
            duplicates=duplicates,
        )
