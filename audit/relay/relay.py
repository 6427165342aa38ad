"""The relay, put together: the folders, the main sink's lane, and a lane for each sink beside it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry

from audit.metrics import RelayMetrics
from audit.relay.folders import Folders
from audit.relay.lane import Lane, Tell
from audit.relay.ways import Pace
from audit.sinks.port import Sink


class Beside(NamedTuple):
    """A sink beside the main one.

    Attributes:
        sink: The sink.
        bound_bytes: Bytes of one producer that may be kept on disk for this sink alone before it is moved on; None: it
            is required, and holds what it has not taken.
    """

    sink: Sink
    bound_bytes: int | None


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """How far a sink is, for people.

    Attributes:
        sink: Its name.
        caught_up: Whether everything that was on disk at the last look has been delivered.
        failures: Batches in a row that the sink did not take.
        last_error: Why, the last time.
        backlog_bytes: Undelivered bytes by producer.
        required: Whether it holds what it has not taken, however much.
    """

    sink: str
    caught_up: bool
    failures: int
    last_error: str
    backlog_bytes: dict[str, int] = field(default_factory=dict)
    required: bool = True


class Relay:
    """Empties all folders under a root into the main sink, and into others beside it.

    Attributes:
        lanes: The main sink's first.
    """

    def __init__(
        self,
        root: Path,
        sink: Sink,
        *,
        beside: Sequence[Beside] = (),
        batch_records: int = 2000,
        batch_bytes: int = 4 << 20,
        poll_interval_s: float = 0.02,
        backoff_max_s: float = 5.0,
        adopt_after_s: float = 2.0,
        deliver_s: float = 30.0,
        metrics: RelayMetrics | None = None,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        metrics = metrics or RelayMetrics(CollectorRegistry())
        pace = Pace(batch_records, batch_bytes, poll_interval_s, backoff_max_s, deliver_s)
        folders = Folders(root, adopt_after_s, metrics)
        self.lanes = [Lane(sink, folders, pace, metrics, main=True, bound_bytes=None, now_ns=now_ns)]
        for other in beside:
            self.lanes.append(
                Lane(other.sink, folders, pace, metrics, main=False, bound_bytes=other.bound_bytes, now_ns=now_ns)
            )

    @property
    def main(self) -> Lane:
        """The main sink's lane."""
        return self.lanes[0]

    def tell(self, tell: Tell) -> None:
        """Say who records what a sink was moved over."""
        for lane in self.lanes:
            lane.tell = tell

    async def run(self) -> None:
        """Relay into every sink until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for lane in self.lanes:
                tasks.create_task(lane.run())

    async def step(self) -> bool:
        """One round of the main sink's lane; see `Lane.step`."""
        return await self.main.step()

    async def flush(self, within_s: float) -> bool:
        """Deliver what is on disk.

        Returns:
            Whether the sinks that are required have all of it within that time.
        """
        done = await asyncio.gather(*(lane.flush(within_s) for lane in self.lanes))
        return all(went for lane, went in zip(self.lanes, done, strict=True) if lane.required)

    def status(self) -> RelayStatus:
        """How far the main sink is."""
        return _status(self.main)

    def statuses(self) -> list[RelayStatus]:
        """How far each sink is, the main one first."""
        return [_status(lane) for lane in self.lanes]


def _status(lane: Lane) -> RelayStatus:
    return RelayStatus(lane.sink.name, lane.caught_up, lane.failures, lane.last_error, lane.backlog(), lane.required)
