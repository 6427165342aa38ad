"""The `doors` section of `lychgate.yaml`: who else may ask, and how."""

from typing import Annotated

from pydantic import Field

from gateway.settings import Network, Port, Section


class ExtAuthzSettings(Section):
    """`doors.ext_authz`: Envoy's `envoy.service.auth.v3.Authorization` over gRPC.

    Attributes:
        enabled: Whether it listens. Without it nothing of gRPC is loaded, which saves 20 MiB.
        host: Where it listens; loopback unless configured.
        port: Its port.
    """

    enabled: bool = False
    host: str = "127.0.0.1"
    port: Port = 8083


class DoorSettings(Section):
    """`doors`: proxies that ask instead of being asked through.

    Attributes:
        peers: Addresses of the proxies that are believed about a request, as CIDR, `127.0.0.1/32` for one on this
            machine. Everybody else is refused, so that without any the doors are closed.
        envoy_prefix: The `path_prefix` of Envoy's ext_authz over HTTP, on the operations port.
        inflight: Questions in hand at most; one more is answered `overloaded`.
        ext_authz: See `ExtAuthzSettings`.
    """

    peers: tuple[Network, ...] = ()
    envoy_prefix: Annotated[str, Field(pattern=r"^(/[A-Za-z0-9_-]+)+$")] = "/authz/envoy"
    inflight: Annotated[int, Field(ge=1)] = 1024
    ext_authz: ExtAuthzSettings = ExtAuthzSettings()
