"""The shadow's place in the supervisor: fed by what the relay delivers, told of reloads, shown in the status."""

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from gateway.clock import Clock
from gateway.shadow.keeper import Live, Shadow
from gateway.shadow_settings import ShadowSettings
from gateway.supervisor.delivery import Delivery
from gateway.supervisor.supervisor import Supervisor


def start_shadow(
    settings: ShadowSettings,
    supervisor: Supervisor,
    delivery: Delivery,
    emitter: Emitter,
    clock: Clock,
    registry: CollectorRegistry,
    tasks: asyncio.TaskGroup,
) -> "tuple[Callable[[], None], list[asyncio.Task[None]]]":
    """Start the shadow set, where one is configured.

    Returns:
        What has it read anew, and the task it runs in. Without a folder or a share there is neither a process nor
        anything that looks at records.
    """
    if settings.folder is None or settings.sample == 0:
        return (lambda: None), []

    def live() -> Live:
        sources = supervisor.sources
        return Live(sources.schema, supervisor.snapshot.catalogue.names, sources.strict)

    shadow = Shadow(settings.folder, settings, live, emitter, clock, registry)
    delivery.tap(shadow.offer)
    supervisor.shown["shadow"] = shadow.status
    return shadow.ask, [tasks.create_task(shadow.run())]
