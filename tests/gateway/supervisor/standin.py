"""A worker that obeys and does nothing else: `python -m tests.gateway.supervisor.standin FD`.

What it should do wrong is told by the name of the routes file it is sent:
`refuse` cannot build (`refuse-slot-1`: only in slot 1), `slow` takes half a second, `silent` never answers,
`die` exits, `garbage` breaks the protocol, `deaf` does not drain,
`forgetful` does not answer what is revoked, `tells` says how much that was before its sources.
"""

import asyncio
import os
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from gateway.control import (
    AskMetrics,
    Channel,
    Commit,
    Configure,
    Drain,
    Drained,
    FromWorker,
    Hello,
    Install,
    Installed,
    KidUnknown,
    MetricsReply,
    Revoke,
    Revoked,
    ToWorker,
    worker_channel,
)
from gateway.metrics import GatewayMetrics, families
from gateway.sources import Sources


class Standin:
    """What it remembers between frames."""

    def __init__(self, channel: Channel[FromWorker, ToWorker]) -> None:
        self.registry = CollectorRegistry()
        self.metrics = GatewayMetrics(self.registry, ["order"])
        self.channel = channel
        self.version = ""
        self.mood = ""
        self.slot = -1
        self.held: dict[int, str] = {}
        self.revoked = 0

    async def run(self) -> None:
        """Answer every frame until told to leave, or until the supervisor is gone."""
        self.channel.send(Hello(os.getpid()))
        async for message in self.channel:
            match message:
                case Install(seq=seq, sources=sources, hold=hold):
                    await self.install(seq, sources, hold=hold)
                case Commit(seq=seq, prepared=prepared):
                    self.version = self.held.pop(prepared)
                    self.channel.send(Installed(seq, self.version))
                case Revoke(seq=seq, entries=entries):
                    self.revoked += len(entries)
                    if self.mood != "forgetful":
                        self.channel.send(Revoked(seq))
                case AskMetrics(seq=seq):
                    self.metrics.answered("order", b"GET", 200, 0.001)
                    self.metrics.connections.set(2)
                    self.channel.send(MetricsReply(seq, families(self.registry)))
                case Drain() if self.mood != "deaf":
                    self.channel.send(Drained())
                    await self.channel.close()
                    return
                case Configure(config):
                    self.slot = config.slot
                case Drain():
                    pass

    async def install(self, seq: int, sources: Sources, *, hold: bool) -> None:
        """Acknowledge, or do wrong as the mood says."""
        self.mood = sources.routes.name
        match self.mood:
            case "die":
                sys.exit(3)
            case "refuse" | "refuse-slot-1" if self.mood == "refuse" or self.slot == 1:
                self.channel.send(Installed(seq, self.version, "cannot build"))
                return
            case "silent":
                return
            case "waits":  # until the file is there that the routes name
                self.channel.send(KidUnknown("builds", str(os.getpid())))
                await _there(Path(sources.routes.text))
            case "leaves once" if await _first(Path(sources.routes.text)):
                await self.channel.close()
                await asyncio.sleep(60)  # its process is there a while longer
            case "garbage":
                self.channel._writer.write(b"\xff\xff\xff\xff")
            case "tells":  # what it was told before its sources
                self.channel.send(KidUnknown("revoked", str(self.revoked)))
            case "unknown-kid":
                self.channel.send(KidUnknown("dev", "k2"))
        if hold:
            self.held[seq] = sources.version
        else:
            self.version = sources.version
        self.channel.send(Installed(seq, self.version))


async def _first(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)  # noqa: ASYNC240 - a stand-in has nothing else to do
    except FileExistsError:
        return False
    return True


async def _there(path: Path) -> None:
    while not path.exists():  # noqa: ASYNC110, ASYNC240 - whoever makes it tells nobody
        await asyncio.sleep(0.01)


async def main() -> None:
    """Be a worker."""
    await Standin(await worker_channel(int(sys.argv[1]))).run()


if __name__ == "__main__":
    asyncio.run(main())
