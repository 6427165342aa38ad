"""How many connections there are, and how many each client has."""

from enum import Enum
from ipaddress import IPv6Address

from gateway.limits import Limits
from gateway.model import Peer


class Turned(Enum):
    """Why a connection is not let in; `gateway.metrics.TURNED_AWAY` has the same words."""

    TOTAL = "total"
    PER_CLIENT = "per_client"


class Clients:
    """Counts of one worker. A client is one IPv4 address or one /64 of IPv6: whoever has one of these has all of it.

    Trusted hops are counted in the total alone: their connections are everybody's.
    """

    __slots__ = ("_limit", "_most", "_open", "total")

    def __init__(self, limits: Limits) -> None:
        self._most = limits.connections
        self._limit = limits.connections_per_client
        self._open: dict[str | bytes, int] = {}
        self.total = 0

    def enter(self, peer: Peer) -> Turned | None:
        """Count a connection; returns why it cannot be let in, and has not been counted then."""
        if self.total >= self._most:
            return Turned.TOTAL
        if self._limit and not peer.hop:
            client = _client(peer.ip)
            count = self._open.get(client, 0)
            if count >= self._limit:
                return Turned.PER_CLIENT
            self._open[client] = count + 1
        self.total += 1
        return None

    def leave(self, peer: Peer) -> None:
        """A connection that was let in has ended."""
        self.total -= 1
        if self._limit and not peer.hop:
            client = _client(peer.ip)
            count = self._open[client] - 1
            # INVARIANT: only clients that are here are remembered, so the table is no larger than the connections.
            if count:
                self._open[client] = count
            else:
                del self._open[client]


def _client(ip: str) -> str | bytes:
    """The address of IPv4, the first half of an address of IPv6."""
    return IPv6Address(ip).packed[:8] if ":" in ip else ip
