"""All doors, put together for the supervisor: they open after the operations port's socket and close with it."""

from typing import Final, Protocol

import structlog
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from gateway.clock import Clock
from gateway.control import HopsConfig
from gateway.doors.asked import ENVOY_GRPC
from gateway.doors.checks import Checks, Ids
from gateway.doors.http import HttpDoors
from gateway.doors.metrics import DoorMetrics
from gateway.doors.settings import DoorSettings
from gateway.metrics import GatewayMetrics
from gateway.ops.door import Door, Judged
from gateway.serve.hops import TrustedHops
from gateway.settings import GatewaySettings

_GRACE_S: Final = 2.0
"""A question is answered in milliseconds; one that waits longer waits for a disk that does not answer."""


_log = structlog.get_logger(__name__)


class _Listener(Protocol):
    """`gateway.doors.ext_authz.ExtAuthz`, named without loading it."""

    async def open(self, host: str, port: int) -> int: ...

    async def close(self, grace_s: float) -> None: ...


class Doors:
    """The doors of one gateway.

    Args:
        settings: The section `doors`.
        gateway: Whose limits hold, and whose hops are believed behind a proxy.
        judged: Gives the snapshot.
        door: Keeps the records.
        ids: Gives decision ids.
        clock: Wall time.
        requests: Where decisions are counted.
        registry: Where the doors' own numbers go.
    """

    def __init__(
        self,
        settings: DoorSettings,
        gateway: GatewaySettings,
        judged: Judged,
        door: Door,
        ids: Ids,
        clock: Clock,
        requests: GatewayMetrics,
        registry: CollectorRegistry,
    ) -> None:
        self._settings = settings
        proxies = TrustedHops(HopsConfig(networks=settings.peers))
        self._in_front = gateway.trusted_hops.networks
        self._checks = Checks(
            judged,
            door,
            ids,
            clock,
            proxies,
            gateway.limits.limits(),
            settings.inflight,
            requests,
            DoorMetrics(registry),
        )
        self._grpc: _Listener | None = None

    def before(self, app: ASGIApp) -> ASGIApp:
        """The operations port's application with the HTTP doors in front of it."""
        # A proxy names the hop before it; that is a client, another of our proxies, or a balancer of the gateway's.
        hops = TrustedHops(HopsConfig(networks=(*self._settings.peers, *self._in_front)))
        return HttpDoors(app, self._checks, hops, self._settings.envoy_prefix)

    async def open(self) -> int:
        """Listen for gRPC, if that is enabled.

        Returns:
            The port; 0 where it is not enabled.

        Raises:
            CannotListen: The address cannot be bound.
        """
        settings = self._settings.ext_authz
        if not settings.enabled:
            return 0
        from gateway.doors.ext_authz import ExtAuthz

        # Envoy names the other end of its own connection itself: only behind a balancer is more to be read.
        hops = TrustedHops(HopsConfig(networks=self._in_front))
        self._grpc = ExtAuthz(self._checks, hops, self._settings.inflight)
        port = await self._grpc.open(settings.host, settings.port)
        _log.info("door_open", door=ENVOY_GRPC, address=f"{settings.host}:{port}", peers=list(self._settings.peers))
        return port

    async def close(self) -> None:
        """Take no more questions over gRPC, answer those in hand. The HTTP doors close with the operations port."""
        if self._grpc is not None:
            await self._grpc.close(_GRACE_S)
