"""An emitter that refuses what the registry does not know: for the tests of a service, and for its staging.

    audit = AuditProducer(CheckedEmitter(folder, "svc-order", registry=packaged()), service="order")

A service in production has the plain emitter, which asks nothing, so that being checked costs nothing there.
"""

import asyncio
import concurrent.futures
from typing import Any

from audit.emit import Emitter
from audit.event import AuditEvent
from audit.registry.check import problems
from audit.registry.errors import EventRefused
from audit.registry.model import Registry


class CheckedEmitter(Emitter):
    """As `Emitter`; an event that is not as registered is an error of its emitter, and nothing of it is written.

    Args:
        registry: What events there are.
        others: As `Emitter` takes them.

    Raises:
        EventRefused: From every way of emitting. The number that was taken is named as lost when the emitter closes.
    """

    def __init__(self, *others: Any, registry: Registry, **named: Any) -> None:
        super().__init__(*others, **named)
        self._registry = registry

    def emit(self, event: AuditEvent, *, durable: bool = False, folded: int = 0) -> bool:
        """As `Emitter.emit`."""
        self._require(event)
        return super().emit(event, durable=durable, folded=folded)

    def _durably(self, event: AuditEvent, waiter: asyncio.Future[None] | concurrent.futures.Future[None]) -> None:
        self._require(event)
        super()._durably(event, waiter)

    def _require(self, event: AuditEvent) -> None:
        found = problems(event, self._registry)
        if found:
            raise EventRefused("; ".join(found))
