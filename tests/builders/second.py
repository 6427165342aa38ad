"""A second opinion: what h11, which knows nothing of ours, reads in the same bytes."""

from typing import NamedTuple

import h11

_BOUND = 1 << 20
_FRAMING = ("Transfer-Encoding", "Content-Length")
"""h11 holds trailers to the rules of a header; what it says of one that is named so is not about the body."""


class Sent(NamedTuple):
    """A request as h11 reads it.

    Attributes:
        method: As sent.
        target: As sent.
        fields: Names in lower case.
        body: As far as it came.
        whole: Whether its end was seen.
    """

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool

    def get(self, name: bytes) -> list[bytes]:
        """Every value of a field."""
        return [value for key, value in self.fields if key == name]


class Said(NamedTuple):
    """A final answer as h11 reads it, and how it ended."""

    status: int
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool

    def get(self, name: bytes) -> list[bytes]:
        """Every value of a field."""
        return [value for key, value in self.fields if key == name]


def requests(data: bytes) -> tuple[list[Sent], str]:
    """Every request in these bytes, and why reading stopped (empty: there were no more)."""
    found: list[Sent] = []
    if not data:  # the client went before the turn ended in which its request would have been sent
        return found, ""
    why = _read(found, data)
    while isinstance(why, bytes):
        why = _read(found, why)
    return found, why


def _read(found: list[Sent], data: bytes) -> str | bytes:
    """Read on; returns why it stopped, or what is left behind an empty line that h11 does not suffer.

    RFC 9112 s2.2 lets a server ignore one before a request line, and many do.
    """
    conn = h11.Connection(h11.SERVER, max_incomplete_event_size=_BOUND)
    conn.receive_data(data)
    try:
        while True:
            event = conn.next_event()
            if isinstance(event, h11.Request):
                found.append(Sent(event.method, event.target, tuple(event.headers), b"", whole=False))
            elif isinstance(event, h11.Data):
                found[-1] = found[-1]._replace(body=found[-1].body + bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                found[-1] = found[-1]._replace(whole=True)
                conn.send(h11.Response(status_code=400, headers=[(b"content-length", b"0")]))
                conn.send(h11.EndOfMessage())
                if conn.our_state is not h11.DONE:
                    return "close"
                conn.start_next_cycle()
            else:
                return "" if event is h11.NEED_DATA else str(event)
    except h11.RemoteProtocolError as exc:
        if "no request line" in str(exc) and not conn.trailing_data[0].startswith(b"\r\n"):
            return conn.trailing_data[0]
        if conn.their_state is h11.ERROR and found and not found[-1].whole and any(it in str(exc) for it in _FRAMING):
            found[-1] = found[-1]._replace(whole=True)
            return conn.trailing_data[0]
        return str(exc)


class Answers:
    """A client's side of one connection, answer after answer.

    Args:
        data: Everything that came.
        ended: Whether the connection ended behind it.
    """

    def __init__(self, data: bytes, *, ended: bool) -> None:
        self._conn = h11.Connection(h11.CLIENT, max_incomplete_event_size=_BOUND)
        self._conn.receive_data(data)
        if ended and data:
            self._conn.receive_data(b"")

    def next(self, method: bytes) -> Said | None:
        """The answer to the next request, None where none came.

        Raises:
            h11.RemoteProtocolError: What came is no answer.
        """
        conn = self._conn
        if conn.our_state is not h11.IDLE:
            return None  # the one before was the last
        conn.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"a")]))
        conn.send(h11.EndOfMessage())
        said: Said | None = None
        try:
            while True:
                said, goes_on = _told(said, conn.next_event())
                if not goes_on:
                    break
        except h11.RemoteProtocolError as exc:
            if said is not None:  # begun, and broken off, unless the offence is in its trailers
                return said._replace(whole=any(it in str(exc) for it in _FRAMING))
            if conn.trailing_data[0]:
                raise
        if conn.our_state is h11.DONE and conn.their_state is h11.DONE:
            conn.start_next_cycle()
        return said

    @property
    def more(self) -> bytes:
        """What is left behind the answers so far."""
        return self._conn.trailing_data[0]


def _told(said: Said | None, event: object) -> tuple[Said | None, bool]:
    """An answer after one more event, and whether more of it can follow from what is there."""
    if isinstance(event, h11.Response):
        return Said(event.status_code, tuple(event.headers), b"", whole=False), True
    if isinstance(event, h11.InformationalResponse):
        return said, True
    if said is not None and isinstance(event, h11.Data):
        return said._replace(body=said.body + bytes(event.data)), True
    if said is not None and isinstance(event, h11.EndOfMessage):
        return said._replace(whole=True), False
    return said, False
