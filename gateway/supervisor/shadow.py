"""The shadow's place in the supervisor: fed by what the relay delivers, told of reloads, shown in the status."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry

from audit.emit import Emitter
from gateway.clock import Clock
from gateway.settings import PolicySettings
from gateway.shadow.keeper import Live, Shadow
from gateway.shadow_settings import ShadowSettings
from gateway.supervisor.delivery import Delivery
from gateway.supervisor.live import follow
from gateway.supervisor.supervisor import Supervisor


def start_shadow(
    settings: ShadowSettings,
    policies: PolicySettings,
    supervisor: Supervisor,
    delivery: Delivery,
    emitter: Emitter,
    clock: Clock,
    registry: CollectorRegistry,
    tasks: asyncio.TaskGroup,
) -> "tuple[Callable[[], None], list[asyncio.Task[None]]]":
    """Start the shadow set, where one is configured.

    Returns:
        What has it read anew, and the tasks it runs in; its files are followed where `policies.watch` says so. Without
        a folder or a share there is neither a process nor anything that looks at records.
    """
    if settings.folder is None or settings.sample == 0:
        return (lambda: None), []

    def live() -> Live:
        sources = supervisor.sources
        return Live(sources.schema, supervisor.snapshot.catalogue.names, sources.strict)

    shadow = Shadow(settings.folder, settings, live, emitter, clock, registry)
    delivery.tap(shadow.offer)
    supervisor.shown["shadow"] = shadow.status
    started = [tasks.create_task(shadow.run())]
    if policies.watch:
        started.append(tasks.create_task(_follow(settings.folder, policies, shadow.ask)))
    return shadow.ask, started


async def _follow(folder: Path, policies: PolicySettings, ask: Callable[[], None]) -> None:
    """Have the folder read anew when its files have changed and come to rest; it has been read once already."""
    first = True

    async def changed() -> bool:
        nonlocal first
        if not first:
            ask()
        first = False
        return True

    await follow([folder], changed, settle_s=policies.settle_s, poll_s=policies.poll_s)
