"""Which connection carries a request. Pure: effects are returned, the caller has the sockets.

Connections are kept for each address, the one used last first, so that those nobody needs grow old and are closed.
"""

from typing import Generic, Protocol, TypeVar

from gateway.forward.breaker import Circuit, State
from gateway.sources import BreakerSource


class Kept(Protocol):
    """A connection, as far as a pool knows it: `until` is when it has been unused for too long."""

    until: float


Conn = TypeVar("Conn", bound=Kept)


class Place(Generic[Conn]):
    """One address of a service.

    Attributes:
        address: `host:port`.
        busy: Requests it has in hand, or connections it is being asked for.
        kept: Unused connections to it, the one used last at the end.
        circuit: Whether requests go there.
        dropped: Whether the address has gone from the configuration: nothing is kept for it.
    """

    __slots__ = ("address", "busy", "circuit", "dropped", "kept")

    def __init__(self, address: str, rules: BreakerSource) -> None:
        self.address = address
        self.busy = 0
        self.kept: list[Conn] = []
        self.circuit = Circuit(rules)
        self.dropped = False


class Pool(Generic[Conn]):
    """Connections of one service.

    Args:
        addresses: `host:port` of each instance.
        idle_limit: Unused connections kept for each address.
        idle_s: How long an unused one is kept.
        rules: When an address is left alone.

    Attributes:
        addresses: As given.
        places: One for each.
    """

    __slots__ = ("_idle_limit", "_idle_s", "_turn", "addresses", "places")

    def __init__(
        self, addresses: tuple[str, ...], idle_limit: int, idle_s: float, rules: BreakerSource | None = None
    ) -> None:
        self.addresses = addresses
        self._idle_limit = idle_limit
        self._idle_s = idle_s
        self._turn = 0
        rules = rules or BreakerSource()
        self.places: list[Place[Conn]] = [Place(address, rules) for address in addresses]

    def __repr__(self) -> str:
        """What is idle, busy and left alone, for people and tests."""
        idle = sum(len(place.kept) for place in self.places)
        busy = sum(place.busy for place in self.places)
        text = f"<Pool {', '.join(self.addresses)}: {busy} busy, {idle} idle"
        shut = sum(place.circuit.state is not State.CLOSED for place in self.places)
        return f"{text}, {shut} shut>" if shut else f"{text}>"

    def choose(self, now: float, avoid: Place[Conn] | None = None) -> Place[Conn] | None:
        """Take an address: one whose time to be tried again has come, else the least loaded, in turn among equals.

        Where every circuit is open, one that was opened by answers is asked all the same, the one that failed longest
        ago first: its own 503 says more than our 502. One that does not answer is not asked (ADR 0080).

        Args:
            now: The loop's time.
            avoid: A place that will not do.

        Returns:
            The place, which counts as busy until the caller counts it down; None when there is none to ask.
        """
        places = self.places
        count = len(places)
        if count == 1:  # the usual case
            place = places[0]
            if place.circuit.state is State.CLOSED and place is not avoid:
                place.busy += 1
                return place
        self._turn = turn = (self._turn + 1) % count if count else 0
        best: Place[Conn] | None = None
        for index in range(turn - count, turn):
            place = places[index]
            if place is avoid:
                continue
            if place.circuit.state is State.CLOSED:
                if best is None or place.busy < best.busy:
                    best = place
            elif place.circuit.admits(now):
                place.circuit.probe(now)
                best = place
                break
        if best is None:
            answering = [place for place in places if place.circuit.answers and place is not avoid]
            best = min(answering, key=lambda place: place.circuit.failed_at, default=None)
        if best is not None:
            best.busy += 1
        return best

    def lend(self, place: Place[Conn], now: float) -> Conn | None:
        """An unused connection to a place; None when one must be opened."""
        kept = place.kept
        # The last was put there last: when it is too old, so are all the others, and `expired` will find them.
        return kept.pop() if kept and kept[-1].until > now else None

    def keep(self, place: Place[Conn], conn: Conn, now: float) -> Conn | None:
        """Keep a connection that can be used again.

        Returns:
            A connection to close in its stead when enough are kept, else None.
        """
        if self._idle_limit == 0:
            return conn
        conn.until = now + self._idle_s
        kept = place.kept
        kept.append(conn)
        return kept.pop(0) if len(kept) > self._idle_limit else None

    def adopt(self, other: "Pool[Conn]") -> list[Conn]:
        """Take over the places of a pool whose addresses were others, with what is known of them.

        Returns:
            Connections to addresses that are gone: close them.
        """
        known = {place.address: place for place in other.places}
        self.places = [known.pop(place.address, place) for place in self.places]
        other.places = list(known.values())
        return other.drop()

    def drop(self) -> list[Conn]:
        """The service is gone: nothing is kept any more, nor what comes back later.

        Returns:
            Everything unused: close it.
        """
        for place in self.places:
            place.dropped = True
        return self.drain()

    def expired(self, now: float) -> list[Conn]:
        """Take out what has been unused for too long."""
        old: list[Conn] = []
        for place in self.places:
            kept = place.kept
            while kept and kept[0].until <= now:
                old.append(kept.pop(0))
        return old

    def drain(self) -> list[Conn]:
        """Take out everything unused."""
        found = [conn for place in self.places for conn in place.kept]
        for place in self.places:
            place.kept.clear()
        return found
