"""Who is believed when it says for whom it speaks: load balancers and proxies in front of us.

Computed once a connection: whether its other end is such a hop. Only then is anything looked at per request. From
anybody else the fields are dropped unread (`gateway/forward/headers.py`).
"""

import asyncio
import ipaddress
from typing import Final

from gateway.control import HopsConfig
from gateway.model import Peer
from gateway.wire.forwarded import SCHEMES, canonical, forwarded, x_forwarded_for

_MOST: Final = 32
"""Hops that are followed; a longer chain is nobody's network."""
_KEPT: Final = 4096
_KEPT_BYTES: Final = 256
"""What was read once of the fields is kept, by their text: reading is 15 us, clients come again."""
UNKNOWN: Final = Peer("unknown", 0)


class TrustedHops:
    """The hops in front of this gateway.

    Args:
        config: Networks, count and field. With none of the two, nobody is a hop.
    """

    __slots__ = ("_count", "_forwarded", "_known", "_networks")

    def __init__(self, config: HopsConfig) -> None:
        self._networks = tuple(ipaddress.ip_network(text) for text in config.networks)
        self._count = config.count
        self._forwarded = config.field == "forwarded"
        self._known: dict[tuple[str, tuple[bytes, ...], tuple[bytes, ...]], tuple[str, bytes]] = {}

    def arrival(self, transport: asyncio.BaseTransport) -> Peer:
        """The other end of a connection that was just accepted."""
        name = transport.get_extra_info("peername")
        return self.peer(name) if name else UNKNOWN

    def peer(self, name: tuple[str, int]) -> Peer:
        """An address as the system gives it: an IPv6 one may have a zone, or be an IPv4 one in disguise."""
        ip = name[0]
        if ":" in ip:
            ip = canonical(ip.partition("%")[0]) or ip
        hop = bool(self._networks or self._count) and self._believes(ip)
        return Peer(ip, name[1], hop=hop)

    def client(self, peer: Peer, headers: tuple[tuple[bytes, bytes], ...]) -> Peer:
        """For whom a hop speaks in one request: from the right, as far as hops are believed.

        Where the hop does not say, or not in an address, it speaks for itself.

        Args:
            peer: With `hop` set.
            headers: Of the request's head, names in lower case.
        """
        field = b"forwarded" if self._forwarded else b"x-forwarded-for"
        said = tuple([value for name, value in headers if name == field])
        protos = () if self._forwarded else tuple([value for name, value in headers if name == b"x-forwarded-proto"])
        key = (peer.ip, said, protos)
        known = self._known.get(key)
        if known is None:
            known = self._read(peer.ip, said, protos)
            if sum(map(len, said + protos)) <= _KEPT_BYTES:
                if len(self._known) >= _KEPT:
                    self._known.clear()
                self._known[key] = known
        ip, scheme = known
        return Peer(ip, 0, scheme or peer.scheme, peer.certificate, hop=True)

    def _read(self, ip: str, said: tuple[bytes, ...], protos: tuple[bytes, ...]) -> tuple[str, bytes]:
        """Address and scheme; the scheme empty where it is not told."""
        scheme, left = b"", self._count or _MOST
        for address, told in forwarded(said) if self._forwarded else x_forwarded_for(said):
            ip, scheme, left = address, told, left - 1
            if not left or not self._believes(ip):
                break
        if not self._forwarded:
            scheme = protos[0].lower() if len(protos) == 1 else b""
        return ip, scheme if scheme in SCHEMES else b""

    def _believes(self, ip: str) -> bool:
        """With networks, whoever is in one; with a count alone, whoever is near enough."""
        if not self._networks:
            return True
        address = ipaddress.ip_address(ip)
        return any(address in network for network in self._networks)
