"""What an API does, tried out: each answer is of a run, none of a manual."""

import contextlib
from collections.abc import Callable
from typing import Any

import h11
import httptools
import zttp

STEP, MOST = 16 * 1024, 4 * 1024 * 1024
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"


class _Nothing:
    """Callbacks for httptools that keep nothing."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """One field, or one trailer: it does not say which."""

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""


def _feeds() -> dict[str, Callable[[], Callable[[bytes], None]]]:
    """By parser: a new connection's way to take bytes."""

    def by_httptools() -> Callable[[bytes], None]:
        parser = httptools.HttpRequestParser(_Nothing())
        return parser.feed_data

    def by_zttp() -> Callable[[bytes], None]:
        parser = zttp.Connection(zttp.SERVER)

        def feed(data: bytes) -> None:
            parser.receive_data(data)
            while isinstance(parser.next_event(), zttp.Request | zttp.Data | zttp.EndOfMessage):
                pass

        return feed

    def by_h11() -> Callable[[bytes], None]:
        parser = h11.Connection(h11.SERVER)

        def feed(data: bytes) -> None:
            parser.receive_data(data)
            while parser.next_event() not in (h11.NEED_DATA, h11.PAUSED):
                pass

        return feed

    return {"httptools": by_httptools, "zttp": by_zttp, "h11": by_h11}


def endless(first: bytes, piece: bytes) -> dict[str, str]:
    """How many KiB each takes of something that never ends, and is of no use before it does."""
    found = {}
    for name, make in _feeds().items():
        feed, given = make(), 0
        try:
            feed(first)
            while given < MOST:
                feed(piece)
                given += len(piece)
            found[name] = f"never within {MOST >> 20} MiB"
        except (httptools.HttpParserError, zttp.ProtocolError, h11.RemoteProtocolError):
            found[name] = f"within {(given + len(piece)) >> 10} KiB"
    return found


def trailers() -> dict[str, str]:
    """Whether a field behind the body can be told from one before it."""
    raw, names = CHUNKED + b"0\r\nX-Late: y\r\n\r\n", []

    class Fields:
        """What httptools calls back."""

        def on_header(self, name: bytes, _value: bytes) -> None:
            """One field, or one trailer."""
            names.append(name)

    httptools.HttpRequestParser(Fields()).feed_data(raw)
    found = {"httptools": "no: the same callback" if names[-1] == b"X-Late" else "never told"}
    one = zttp.Connection(zttp.SERVER)
    one.receive_data(raw)
    one.next_event()
    found["zttp"] = "yes: at the end's event" if one.next_event().trailers else "never told"
    two = h11.Connection(h11.SERVER)
    two.receive_data(raw)
    two.next_event()
    found["h11"] = "yes: at the end's event" if list(two.next_event().headers) else "never told"
    return found


def pipelined() -> dict[str, str]:
    """Whether the next request stays where it is until it is asked for."""
    raw, seen = (HEAD + b"\r\n") * 2, []

    class Ends:
        """What httptools calls back."""

        def on_message_complete(self) -> None:
            """One request."""
            seen.append(1)

    httptools.HttpRequestParser(Ends()).feed_data(raw)
    found = {"httptools": "yes" if len(seen) == 1 else "no: all that is fed is parsed"}
    one = zttp.Connection(zttp.SERVER)
    one.receive_data(raw)
    one.next_event()
    waits = one.next_event() is zttp.NEED_DATA
    one.start_next_cycle()
    found["zttp"] = "yes: until the next cycle" if waits and isinstance(one.next_event(), zttp.Request) else "no"
    two = h11.Connection(h11.SERVER)
    two.receive_data(raw)
    two.next_event()
    two.next_event()
    found["h11"] = "yes: until this one is answered" if two.next_event() is h11.PAUSED else "no"
    return found


def head_answer() -> dict[str, str]:
    """Whether a client's parser can be told that the answer to HEAD has no body, whatever its length says."""
    seen: list[int] = []

    class Statuses:
        """What httptools calls back."""

        def on_headers_complete(self) -> None:
            """One answer's head."""
            seen.append(parser.get_status_code())

    parser = httptools.HttpResponseParser(Statuses())
    try:
        parser.feed_data(ANSWERS)
    except httptools.HttpParserError:
        seen.append(-1)
    found = {"httptools": "no: the next answer is taken for its body" if seen[:2] != [200, 204] else "yes"}

    asked = h11.Connection(h11.CLIENT)
    asked.send(h11.Request(method="HEAD", target="/", headers=[("Host", "a")]))
    asked.send(h11.EndOfMessage())
    asked.receive_data(ANSWERS)
    asked.next_event()
    found["h11"] = "yes: it has seen the request" if isinstance(asked.next_event(), h11.EndOfMessage) else "no"

    other = zttp.Connection(zttp.CLIENT)
    other.send_request(b"HEAD", b"/", b"1.1", [(b"Host", b"a")])
    other.end_message()
    other.receive_data(ANSWERS)
    other.next_event()
    found["zttp"] = "yes: it has seen the request" if isinstance(other.next_event(), zttp.EndOfMessage) else "no"
    return found


def upgraded_body() -> dict[str, str]:
    """Whether the body of a POST that offers an upgrade is still read as a body."""
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"
    bodies: list[bytes] = []

    class Bodies:
        """What httptools calls back."""

        def on_body(self, body: bytes) -> None:
            """A piece of a body."""
            bodies.append(body)

    with contextlib.suppress(httptools.HttpParserUpgrade):
        httptools.HttpRequestParser(Bodies()).feed_data(raw)
    found = {"httptools": "yes" if bodies else "no: it stops"}
    one = zttp.Connection(zttp.SERVER)
    one.receive_data(raw)
    one.next_event()
    found["zttp"] = "yes" if isinstance(one.next_event(), zttp.Data) else "no"
    two = h11.Connection(h11.SERVER)
    two.receive_data(raw)
    two.next_event()
    found["h11"] = "yes" if isinstance(two.next_event(), h11.Data) else "no"
    return found


def table() -> list[dict[str, Any]]:
    """What was tried, a row each."""
    tried = {
        "a head without an end is refused": endless(HEAD, b"X: " + b"y" * (STEP - 5) + b"\r\n"),
        "one field without an end is refused": endless(HEAD + b"X: ", b"y" * STEP),
        "a chunk extension without an end is refused": endless(CHUNKED + b"5;x=", b"y" * STEP),
        "trailers without an end are refused": endless(CHUNKED + b"0\r\n", b"X: " + b"y" * (STEP - 5) + b"\r\n"),
        "trailers stand apart from fields": trailers(),
        "the body of a request that offers an upgrade is read": upgraded_body(),
        "an answer to HEAD has no body": head_answer(),
        "the next pipelined request waits until it is asked for": pipelined(),
    }
    return [{"what": what} | {name: it[name] for name in ("httptools", "zttp", "h11")} for what, it in tried.items()]
