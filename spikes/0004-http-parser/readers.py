"""The same bytes to each parser as it comes, and to the gateway's own wire; what each takes them for, in one form."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import h11  # noqa: E402
import httptools  # noqa: E402
import zttp  # noqa: E402

from gateway.errors import GatewayError  # noqa: E402
from gateway.limits import Limits  # noqa: E402
from gateway.wire.framing import BodyReader  # noqa: E402
from gateway.wire.head import END, Head, HeadReader  # noqa: E402

MOST = 64
"""Messages looked at of one input."""


@dataclass
class Message:
    """One request, as a parser saw it.

    Attributes:
        method: As sent.
        target: As sent.
        fields: Names in lower case.
        body: Decoded.
        whole: Whether its end was seen.
    """

    method: bytes = b""
    target: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    whole: bool = False

    @property
    def meaning(self) -> tuple[bytes, bytes, bytes, bytes | None]:
        """What decides where it goes and what it does: method, target, host and body."""
        host = next((value for name, value in self.fields if name == b"host"), None)
        target = self.target
        if host and target.lower().startswith(b"http://" + host.lower() + b"/"):
            target = target[len(b"http://") + len(host) :]  # the same request, in its other form
        return self.method, target, self.body, host


@dataclass
class Read:
    """What became of an input.

    Attributes:
        messages: Every whole request.
        heads: How many heads it took for good, whether or not what belongs to them came.
        refused: Why the parser went no further; empty where it would.
        asks_more: Whether a head was taken whose body has not ended.
        stopped: Whether it looks at no more of its own accord: the connection ends, or another protocol begins.
    """

    messages: list[Message]
    heads: int = 0
    refused: str = ""
    asks_more: bool = False
    stopped: bool = False


class _Calls:
    """What httptools calls back."""

    def __init__(self) -> None:
        self.all: list[Message] = []
        self.heads = 0
        self.parser: httptools.HttpRequestParser | None = None

    def on_message_begin(self) -> None:
        self.all.append(Message())

    def on_url(self, url: bytes) -> None:
        self.all[-1].target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.all[-1].fields.append((name.lower(), value.strip(b" \t")))

    def on_headers_complete(self) -> None:
        assert self.parser is not None
        self.all[-1].method = self.parser.get_method()
        self.heads += 1

    def on_body(self, body: bytes) -> None:
        self.all[-1].body += body

    def on_message_complete(self) -> None:
        self.all[-1].whole = True


def by_httptools(pieces: Sequence[bytes]) -> Read:
    """Llhttp in C, through callbacks."""
    calls = _Calls()
    parser = calls.parser = httptools.HttpRequestParser(calls)
    refused, stopped = "", False
    try:
        for piece in pieces:
            parser.feed_data(piece)
    except httptools.HttpParserUpgrade:
        stopped = True
    except httptools.HttpParserError as exc:
        refused = str(exc) or type(exc).__name__
    whole = [it for it in calls.all if it.whole]
    return Read(whole[:MOST], calls.heads, refused, asks_more=len(whole) < calls.heads, stopped=stopped)


def by_zttp(pieces: Sequence[bytes]) -> Read:
    """Zig, events."""
    parser = zttp.Connection(zttp.SERVER)
    found: list[Message] = []
    heads = 0
    current: Message | None = None
    try:
        for piece in pieces:
            parser.receive_data(piece)
            while len(found) < MOST:
                event = parser.next_event()
                if isinstance(event, zttp.Request):
                    fields = [(name.lower(), value) for name, value in event.headers]
                    current = Message(event.method, event.target, fields)
                    heads += 1
                    if event.end_stream:
                        current.whole = True
                        found.append(current)
                        current = None
                        parser.start_next_cycle()
                elif isinstance(event, zttp.Data) and current is not None:
                    current.body += event.data
                elif isinstance(event, zttp.EndOfMessage) and current is not None:
                    current.whole = True
                    found.append(current)
                    current = None
                    parser.start_next_cycle()
                else:
                    break
    except zttp.ProtocolError as exc:
        return Read(found, heads, str(exc) or type(exc).__name__)
    return Read(found, heads, asks_more=current is not None)


def by_h11(pieces: Sequence[bytes]) -> Read:
    """Python, events; it reads the next request only once this one is answered."""
    parser = h11.Connection(h11.SERVER)
    found: list[Message] = []
    heads = 0
    current: Message | None = None
    try:
        for piece in pieces:
            if piece:  # none means the end of the connection
                parser.receive_data(piece)
            while len(found) < MOST:
                event = parser.next_event()
                if isinstance(event, h11.Request):
                    current = Message(event.method, event.target, [(bytes(n), bytes(v)) for n, v in event.headers])
                    heads += 1
                elif isinstance(event, h11.Data) and current is not None:
                    current.body += bytes(event.data)
                elif isinstance(event, h11.EndOfMessage) and current is not None:
                    current.whole = True
                    found.append(current)
                    current = None
                    if not _answered(parser):
                        return Read(found, heads, stopped=True)
                else:
                    break
    except h11.RemoteProtocolError as exc:
        return Read(found, heads, str(exc) or type(exc).__name__)
    stopped = parser.their_state not in {h11.IDLE, h11.SEND_BODY}
    return Read(found, heads, asks_more=current is not None, stopped=stopped)


def _answered(parser: h11.Connection) -> bool:
    """Answer, as little as may be; whether there is a next request."""
    if parser.their_state is h11.MIGHT_SWITCH_PROTOCOL:
        return False
    parser.send(h11.Response(status_code=204, headers=[]))
    parser.send(h11.EndOfMessage())
    if parser.our_state is not h11.DONE or parser.their_state is not h11.DONE:
        return False
    parser.start_next_cycle()
    return True


def by_wire(pieces: Sequence[bytes]) -> Read:
    """The gateway: its own rules, llhttp for the head, its own chunked coding."""
    reader, found, heads, buffer = HeadReader(Limits()), [], 0, b""
    head: Head | None = None
    body: BodyReader | None = None
    current = Message()
    for piece in pieces:
        buffer += piece
        while True:
            if head is None or body is None:
                buffer = buffer.removeprefix(END[:2])
                end = buffer.find(END)
                if end < 0:
                    break
                try:
                    head = reader.read(buffer[: end + len(END)])
                except GatewayError as exc:
                    return Read(found, heads, exc.reason)
                heads += 1
                buffer, body = buffer[end + len(END) :], BodyReader(head.framing)
                current = Message(head.method, head.target, list(head.headers))
            try:
                taken, buffer = body.take(buffer)
            except ValueError as exc:
                return Read(found, heads, str(exc))
            current.body += taken
            if not body.done:
                break
            current.whole = True
            found.append(current)
            if not head.keep_alive:
                return Read(found, heads, stopped=True)
            head = body = None
    return Read(found, heads, asks_more=head is not None)


PARSERS: Mapping[str, Callable[[Sequence[bytes]], Read]] = {
    "httptools": by_httptools,
    "zttp": by_zttp,
    "h11": by_h11,
}
WIRE = "gateway/wire"
ALL: Mapping[str, Callable[[Sequence[bytes]], Read]] = {**PARSERS, WIRE: by_wire}
