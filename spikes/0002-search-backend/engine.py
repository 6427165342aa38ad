"""What each of the three is asked for."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from questions import Question


class Engine(Protocol):
    """A store of events, in a folder of its own."""

    pid: int
    version: str
    own_way: str
    """How the product writes, or would write, to it."""

    def write(self, records: list[bytes]) -> None:
        """Make records durable the product's way, all or none."""
        ...

    def load(self, folder: Path, first: int, beyond: int) -> None:
        """Take chunks the fastest way there is."""
        ...

    def settled(self) -> None:
        """Let statistics and refreshes that would come by themselves come now."""
        ...

    def ask(self, question: Question) -> str:
        """An answer, as `questions.answer` has it."""
        ...

    def reader(self) -> AbstractContextManager[Callable[[Question], str]]:
        """`ask` for one thread more."""
        ...

    def seen(self, tenant: str, event_id: str) -> bool:
        """Whether a reader sees this event, if it is the newest of its tenant."""
        ...

    def disk(self) -> int:
        """Bytes it takes."""
        ...

    def drop_week(self) -> int:
        """Take the oldest week away; returns how many records are left."""
        ...

    def drop_tenant(self, tenant: str) -> int:
        """Take a tenant away; returns how many records of it are left."""
        ...

    def stop(self) -> None:
        """End it."""
        ...
