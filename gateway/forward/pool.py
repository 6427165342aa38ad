"""Which connection carries a request. Pure: effects are returned, the caller has the sockets.

Connections are kept for each address, the one used last first, so that those nobody needs grow old and are closed.
"""

from typing import Generic, TypeVar

Conn = TypeVar("Conn")


class Pool(Generic[Conn]):
    """Connections of one service.

    Args:
        addresses: `host:port` of each instance.
        idle_limit: Unused connections kept for each address.
        idle_s: How long an unused one is kept.
    """

    __slots__ = ("_busy", "_idle", "_idle_limit", "_idle_s", "_turn", "addresses")

    def __init__(self, addresses: tuple[str, ...], idle_limit: int, idle_s: float) -> None:
        self.addresses = addresses
        self._idle_limit = idle_limit
        self._idle_s = idle_s
        self._idle: dict[str, list[tuple[float, Conn]]] = {address: [] for address in addresses}
        self._busy = dict.fromkeys(addresses, 0)
        self._turn = 0

    def __repr__(self) -> str:
        """What is idle and busy, for people and tests."""
        idle = sum(len(kept) for kept in self._idle.values())
        return f"<Pool {', '.join(self.addresses)}: {sum(self._busy.values())} busy, {idle} idle>"

    def choose(self, now: float) -> tuple[str, Conn | None, list[Conn]]:
        """Take the least loaded address, in turn among equals, and an unused connection to it where there is one.

        Args:
            now: The loop's time.

        Returns:
            The address, a connection or None when one must be opened, and connections that have grown old: close them.
            The address counts as busy until `release`.
        """
        count = len(self.addresses)
        if count == 1:
            address = self.addresses[0]
        else:
            self._turn += 1
            order = [self.addresses[(self._turn + shift) % count] for shift in range(count)]
            address = min(order, key=self._busy.__getitem__)
        self._busy[address] += 1
        kept = self._idle[address]
        old: list[Conn] = []
        while kept and kept[0][0] <= now:
            old.append(kept.pop(0)[1])
        return address, kept.pop()[1] if kept else None, old

    def release(self, address: str) -> None:
        """The request on this address is over."""
        self._busy[address] -= 1

    def keep(self, address: str, conn: Conn, now: float) -> Conn | None:
        """Keep a connection that can be used again.

        Returns:
            A connection to close in its stead when enough are kept, else None.
        """
        kept = self._idle.get(address)
        if kept is None or self._idle_limit == 0:
            return conn
        kept.append((now + self._idle_s, conn))
        return kept.pop(0)[1] if len(kept) > self._idle_limit else None

    def forget(self, address: str, conn: Conn) -> None:
        """An unused connection is gone."""
        kept = self._idle.get(address, [])
        kept[:] = [item for item in kept if item[1] is not conn]

    def expired(self, now: float) -> list[Conn]:
        """Take out what has been unused for too long."""
        old: list[Conn] = []
        for kept in self._idle.values():
            while kept and kept[0][0] <= now:
                old.append(kept.pop(0)[1])
        return old

    def drain(self) -> list[Conn]:
        """Take out everything unused."""
        found = [conn for kept in self._idle.values() for _, conn in kept]
        for kept in self._idle.values():
            kept.clear()
        return found
