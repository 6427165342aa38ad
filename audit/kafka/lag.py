"""How far behind the consumer is, in records and in seconds. Pure, but for the clock it is given.

The seconds are the age of the oldest record that is not stored. Its time is known when the record is in hand; when it
is still in the topic (the fetch does not come, or has not come yet) it counts from the first look at the topic's end
that saw it. Idle is 0, however old the last record is, and a consumer that is stuck sees its lag grow.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

_LOOKS = 4096  # of the end, a partition; beyond that every second one is dropped


@dataclass(slots=True)
class _Partition:
    next_offset: int
    since_s: float
    looks: deque[tuple[float, int]] = field(default_factory=deque)
    in_hand_s: float | None = None


class Lag:
    """The partitions one consumer holds.

    Args:
        now_s: Seconds since the epoch, the producers' clock.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._partitions: dict[int, _Partition] = {}

    def hold(self, partition: int, next_offset: int) -> None:
        """A partition is ours from now on."""
        self._partitions[partition] = _Partition(next_offset, self._now_s())

    def forget(self, partition: int) -> None:
        """It is no longer ours."""
        self._partitions.pop(partition, None)

    def look(self, partition: int, end: int) -> None:
        """The topic's end was asked for."""
        held = self._partitions.get(partition)
        if held is None or (held.looks and held.looks[-1][1] == end):
            return
        held.looks.append((self._now_s(), end))
        if len(held.looks) > _LOOKS:
            held.looks = deque([*list(held.looks)[:-1:2], held.looks[-1]])

    def took(self, partition: int, first_s: float) -> None:
        """Records were fetched and are being stored; `first_s` is the time of the first."""
        held = self._partitions.get(partition)
        if held is not None:
            held.in_hand_s = first_s

    def stored(self, partition: int, next_offset: int) -> None:
        """Everything before is in the store."""
        held = self._partitions.get(partition)
        if held is not None:
            held.in_hand_s = None
            held.next_offset = next_offset
            while held.looks and len(held.looks) > 1 and held.looks[0][1] <= next_offset:
                held.looks.popleft()

    def events(self) -> dict[int, int]:
        """Records behind, by partition."""
        return {
            partition: max(0, held.looks[-1][1] - held.next_offset) if held.looks else 0
            for partition, held in list(self._partitions.items())
        }

    def seconds(self) -> float:
        """Of the partition that is furthest behind; safe to ask from another thread."""
        return max((self._behind_s(held) for held in list(self._partitions.values())), default=0.0)

    def _behind_s(self, held: _Partition) -> float:
        if held.in_hand_s is not None:
            return max(0.0, self._now_s() - held.in_hand_s)
        looks = list(held.looks)
        if not looks or looks[-1][1] <= held.next_offset:
            return 0.0
        seen_s = next((later[0] for before, later in pairwise(looks) if later[1] > held.next_offset >= before[1]), None)
        return max(0.0, self._now_s() - (looks[0][0] if seen_s is None else seen_s))
