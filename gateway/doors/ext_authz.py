"""Envoy's ext_authz over gRPC: the listener. Importing this module loads gRPC, so only who serves it does.

grpc.aio runs on the supervisor's own uvloop. A question whose deadline has passed, or whose Envoy has gone, is
cancelled by it; what was decided by then is recorded.
"""

from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import grpc
import grpc.aio
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse

from gateway.doors import asked, attributes
from gateway.doors.checks import Checks, peer_at
from gateway.doors.errors import CannotListen
from gateway.serve.hops import TrustedHops

SERVICE: Final = "envoy.service.auth.v3.Authorization"
_MESSAGE_BYTES: Final = 4 * 1024 * 1024
_BEHIND: Final = 4
"""Calls that gRPC itself takes on, as a multiple of those that are answered: beyond that it says RESOURCE_EXHAUSTED."""

_Context: TypeAlias = "grpc.aio.ServicerContext[CheckRequest, CheckResponse]"


class ExtAuthz:
    """The gRPC listener.

    Args:
        checks: Answers.
        hops: The proxies and balancers in front of Envoy.
        inflight: Questions in hand at most, as `checks` has it.
    """

    def __init__(self, checks: Checks, hops: TrustedHops, inflight: int) -> None:
        self._checks = checks
        self._hops = hops
        self._most = inflight * _BEHIND
        self._server: grpc.aio.Server | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen; returns the port.

        Raises:
            CannotListen: With the address.
        """
        self._server = server = grpc.aio.server(
            maximum_concurrent_rpcs=self._most,
            options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", _MESSAGE_BYTES)],
        )
        handler = grpc.unary_unary_rpc_method_handler(
            self._check, request_deserializer=CheckRequest.FromString, response_serializer=_serialized
        )
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Check": handler}),))
        try:
            bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except RuntimeError as exc:
            raise CannotListen(f"cannot listen on {host}:{port}") from exc
        await server.start()
        return bound

    async def close(self, grace_s: float) -> None:
        """Take no more questions, answer those in hand within that time."""
        if self._server is not None:
            await self._server.stop(grace_s)

    async def _check(self, request: CheckRequest, context: _Context) -> CheckResponse:
        source = peer_at(self._hops, attributes.source_of(request))
        told = await self._checks.check(
            asked.ENVOY_GRPC,
            _address(context.peer()),
            lambda _: attributes.read(request, self._hops.client, source),
        )
        return attributes.answer(told)


def _serialized(response: CheckResponse) -> bytes:
    data: bytes = response.SerializeToString()
    return data


def _address(peer: Any) -> tuple[str, int]:
    """GRPC's text of a peer: `ipv4:127.0.0.1:1234`, `ipv6:%5B::1%5D:1234`; nobody for any other."""
    kind, _, rest = unquote(str(peer)).partition(":")
    host, _, port = rest.rpartition(":")
    if kind not in {"ipv4", "ipv6"} or not port.isdecimal():
        return ("unknown", 0)
    return (host.strip("[]"), int(port))
