"""One connection to a service that a test plays: what is passed on, what is a lie, and when it is used again."""

import asyncio
import ssl
from collections.abc import Callable

import pytest

from gateway.errors import UpstreamError
from gateway.forward.breaker import State
from gateway.forward.pool import Place
from gateway.forward.upstream import UpstreamConnection
from gateway.limits import Limits
from gateway.sources import BreakerSource
from gateway.wire.head import ResponseHead
from tests.builders.heads import in_pieces


class Wire(asyncio.Transport):
    """The transport under a connection: takes what is written, and remembers what it was told to do."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.aborted = False
        self.high = 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Take the bound."""
        self.high = high or 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take bytes."""
        self.written += bytes(data)

    def pause_reading(self) -> None:
        """Stop."""
        self.reading = False

    def resume_reading(self) -> None:
        """Go on."""
        self.reading = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Belong to somebody else."""
        del protocol

    def abort(self) -> None:
        """Close."""
        self.aborted = True


class User:
    """Whoever waits for the answer, and writes down what it is told; `then` runs at the named event."""

    def __init__(self, **then: Callable[[], object]) -> None:
        self.told: list[str] = []
        self.body = b""
        self.head: ResponseHead | None = None
        self.error: UpstreamError | None = None
        self._then = then

    def _tell(self, what: str) -> None:
        self.told.append(what)
        self._then.get(what.partition(" ")[0], lambda: None)()

    def on_interim(self, head: ResponseHead) -> None:
        """1xx."""
        self._tell(f"interim {head.status}")

    def on_head(self, head: ResponseHead) -> None:
        """The head."""
        self.head = head
        self._tell(f"head {head.status}")

    def on_body(self, data: bytes) -> None:
        """A piece."""
        self.body += data
        self._then.get("body", lambda: None)()

    def on_end(self) -> None:
        """The end."""
        self._tell("end")

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        """All of it at once."""
        self.on_head(head)
        if body:
            self.on_body(body)
        self.on_end()

    def on_upstream_error(self, error: UpstreamError) -> None:
        """A failure."""
        self.error = error
        self._tell(f"error {error.code.word}")

    def on_upstream_pause(self, *, paused: bool) -> None:
        """Back-pressure."""
        self._tell(f"pause {paused}")


class Owner:
    """Who lends the connection, and writes down what it is told of it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def on_gone(self, conn: UpstreamConnection) -> None:
        """Unused, and of no more use."""
        assert conn.closed
        self.told.append("gone")

    def on_failed(self, conn: UpstreamConnection, kind: str) -> None:
        """A failure of the address."""
        conn.place.circuit.failed(conn.seen, 0.0, kind)
        self.told.append(kind)

    def on_recovered(self, conn: UpstreamConnection) -> None:
        """A good answer after trouble."""
        conn.place.circuit.good()
        self.told.append("recovered")


def _open(limits: Limits | None = None, owner: Owner | None = None) -> tuple[UpstreamConnection, Wire]:
    place: Place[UpstreamConnection] = Place("127.0.0.1:1", BreakerSource(failures=2))
    conn, wire = UpstreamConnection(place, limits or Limits(), owner or Owner()), Wire()
    conn.connection_made(wire)
    return conn, wire


def _exchange(
    answer: bytes, method: bytes = b"GET", pieces: list[bytes] | None = None
) -> tuple[User, UpstreamConnection, Wire]:
    """One exchange on a fresh connection."""
    conn, wire = _open()
    user = User()
    conn.send(user, method, b"REQUEST")
    for piece in pieces or [answer]:
        conn.data_received(piece)
    return user, conn, wire


GET_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
GOOD = [
    (b"GET", GET_OK, ["head 200", "end"], b"hello"),
    (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ["head 200", "end"], b""),
    (
        b"GET",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX: y\r\n\r\n",
        ["head 200", "end"],
        b"hello",
    ),
    (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ["head 200", "end"], b""),
    (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", ["head 200", "end"], b""),
    (b"GET", b"HTTP/1.1 204 No Content\r\n\r\n", ["head 204", "end"], b""),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", ["head 304", "end"], b""),
    (
        b"GET",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + GET_OK,
        ["interim 100", "interim 103", "head 200", "end"],
        b"hello",
    ),
]


@pytest.mark.parametrize(("method", "answer", "told", "body"), GOOD)
def test_an_answer_is_passed_on_however_it_comes(method: bytes, answer: bytes, told: list[str], body: bytes) -> None:
    """Whole, byte by byte and cut at every offset; then the connection can be used again.

    But for one that named a body it must not have: should it send it late, nobody takes it for the next answer.
    """
    trails = method == b"HEAD" or b" 304 " in answer
    for pieces in in_pieces(answer):
        user, conn, wire = _exchange(answer, method, pieces)
        assert (user.told, user.body) == (told, body), pieces
        assert wire.written == b"REQUEST"
        assert conn.finish() is not trails
        assert wire.aborted is trails


LIES = [
    (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    (b"GET", b"HTTP/1.1 204 No Content\r\n\r\nx"),
    (b"GET", b"HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"),
    (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nx"),
    (b"GET", GET_OK + b"x"),
    (b"GET", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"),
    (b"GET", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17),
    (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    (b"GET", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    (b"GET", b"SSH-2.0-OpenSSH\r\n\r\n"),
    (b"GET", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000),
]


@pytest.mark.parametrize(("method", "answer"), LIES)
def test_a_service_that_lies_is_upstream_invalid_and_its_connection_closed(method: bytes, answer: bytes) -> None:
    """Before any of the answer is passed on, where the lie comes with its head."""
    user, conn, wire = _exchange(answer, method)
    assert [word for word in user.told if not word.startswith("interim")] == ["error upstream_invalid"]
    assert user.body == b""
    assert user.error is not None
    assert user.error.kind == "invalid"
    assert wire.aborted
    assert conn.closed
    assert not conn.finish()


def test_a_chunk_that_lies_ends_an_answer_that_has_begun() -> None:
    """What was good is passed on; then it is told that no more will come."""
    user, _, wire = _exchange(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\nzz\r\n")
    assert (user.told, wire.aborted) == (["head 200", "error upstream_invalid"], True)


@pytest.mark.parametrize(
    "pieces",
    [
        [GET_OK[:-2], b"loHTTP/1.1 200 OK\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"],
    ],
)
def test_bytes_behind_an_answer_are_nobodys_and_end_the_connection(pieces: list[bytes]) -> None:
    """They are never the answer to the next request."""
    user, conn, wire = _exchange(b"", pieces=pieces)
    assert user.told == ["head 200", "end"]
    assert not conn.finish()
    assert wire.aborted


@pytest.mark.parametrize("how", ["speaks", "ends", "is lost"])
def test_an_unused_connection_that_speaks_or_ends_is_not_lent_again(how: str) -> None:
    """Nobody asked; and a request that changes something could not be sent a second time."""
    owner = Owner()
    conn, _ = _open(owner=owner)
    conn.send(User(), b"GET", b"REQUEST")
    conn.data_received(GET_OK)
    assert conn.finish()
    match how:
        case "speaks":
            conn.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        case "ends":
            assert conn.eof_received() is False
        case _:
            conn.connection_lost(None)
    assert (conn.closed, owner.told) == (True, ["gone"])


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
def test_a_connection_that_its_service_ends_is_not_used_again(answer: bytes) -> None:
    """The answer is whole all the same."""
    user, conn, wire = _exchange(answer)
    assert (user.told, user.body) == (["head 200", "end"], b"hello")
    assert not conn.finish()
    assert wire.aborted


@pytest.mark.parametrize(
    ("says_so", "exc", "last"),
    [
        (True, None, "end"),
        (True, ConnectionResetError(), "error upstream_invalid"),
        (False, None, "error upstream_invalid"),
    ],
)
def test_a_body_without_a_length_ends_when_the_service_says_so(says_so: bool, exc: Exception | None, last: str) -> None:
    """By its end of the connection. A reset is a failure, and so is an end that nobody has announced (TLS)."""
    user, conn, _ = _exchange(b"HTTP/1.1 200 OK\r\n\r\nhel")
    conn.data_received(b"lo")
    assert user.told == ["head 200"]
    if says_so:
        conn.eof_received()
    conn.connection_lost(exc)
    assert (user.told, user.body) == (["head 200", last], b"hello")
    assert not conn.finish()


@pytest.mark.parametrize("sent", [GET_OK[:-1], GET_OK[:20], b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_an_answer_that_breaks_off_is_upstream_invalid(sent: bytes) -> None:
    """Not one that can be asked for again: the service has begun to answer."""
    user, conn, _ = _exchange(sent)
    conn.eof_received()
    conn.connection_lost(None)
    assert user.told[-1] == "error upstream_invalid"
    assert user.error is not None
    assert user.error.kind == "invalid"


def test_a_connection_that_closes_without_a_byte_was_stale_if_it_was_kept() -> None:
    """That says nothing of the address; on a new one it does."""
    owner = Owner()
    conn, _ = _open(owner=owner)
    user = User()
    conn.send(user, b"GET", b"1")
    conn.connection_lost(None)
    assert user.error is not None
    assert (user.told, user.error.kind, conn.failure) == (["error upstream_unavailable"], "closed", "closed")
    assert owner.told == ["closed"]
    owner = Owner()
    conn, _ = _open(owner=owner)
    conn.send(User(), b"GET", b"1")
    conn.data_received(GET_OK)
    assert conn.finish()
    second = User()
    conn.send(second, b"GET", b"2")
    conn.connection_lost(ssl.SSLError(1, "whatever the reason"))
    assert second.error is not None
    assert (second.told, second.error.kind, conn.failure) == (["error upstream_unavailable"], "stale", "stale")
    assert owner.told == []


def test_what_tls_gave_up_is_told_as_that() -> None:
    """A service that asks for a certificate says so only after the handshake; the reason is for the record."""
    conn, _ = _open()
    user = User()
    conn.send(user, b"GET", b"1")
    alert = ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] (_ssl.c:2580)")
    alert.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
    conn.connection_lost(alert)
    assert user.error is not None
    assert (user.error.kind, user.error.reason) == ("tls", "tls: tlsv13 alert certificate required")


def test_a_tunnel_is_a_good_answer() -> None:
    """It may last for hours: its address is not waited for so long."""
    owner = Owner()
    conn, _ = _open(owner=owner)
    conn.place.circuit.failed(conn.seen, 0.0, "connect")
    conn.send(User(), b"GET", b".")
    conn.hand_over(asyncio.Protocol())
    assert owner.told == ["recovered"]
    assert not conn.finish()


def test_what_an_answer_says_of_its_address() -> None:
    """A fault status counts, the next good answer makes up for it; without trouble nobody is asked."""
    owner = Owner()
    conn, _ = _open(owner=owner)
    circuit = conn.place.circuit
    for status, told in ((200, []), (500, []), (503, ["status"]), (404, ["status", "recovered"]), (200, [])):
        conn.seen = circuit.marks
        conn.send(User(), b"GET", b".")
        conn.data_received(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)
        assert owner.told == (told or owner.told)
        assert conn.finish()
    assert (circuit.state, circuit.failures, circuit.marks) == (State.CLOSED, 0, 4)


def test_exchange_after_exchange_on_one_connection() -> None:
    """Nothing of one is left for the next."""
    conn, wire = _open()
    kept = [good for good in GOOD if good[0] == b"GET" and b" 304 " not in good[1]]
    for method, answer, told, body in kept * 2:
        user = User()
        conn.send(user, method, b".")
        conn.data_received(answer)
        assert (user.told, user.body) == (told, body)
        assert conn.finish()
    assert (wire.written, conn.used) == (b"." * 10, 10)


def test_a_user_who_gives_up_hears_no_more() -> None:
    """At any event: what is left of the bytes in hand is dropped with the connection."""
    for event in ("interim", "head", "body"):
        conn, wire = _open()
        user = User(**{event: conn.abort})
        conn.send(user, b"GET", b".")
        conn.data_received(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello")
        conn.data_received(b"more")
        conn.connection_lost(None)
        assert "end" not in user.told
        assert user.error is None
        assert wire.aborted
        conn.write(b"x")
        conn.pause(paused=True)
        assert (wire.written, wire.reading) == (b".", True)


@pytest.mark.parametrize(
    ("method", "answer", "again"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", False),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 00\r\n\r\n", True),
        (b"GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", False),
        (b"GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", False),
        (b"GET", b"HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n" + GET_OK, False),
        (b"GET", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + GET_OK, True),
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", True),
    ],
)
def test_a_connection_whose_answer_names_a_body_it_must_not_have_is_not_used_again(
    method: bytes, answer: bytes, again: bool
) -> None:
    """Should the service send it, it would come late, and be taken for the next answer."""
    user, conn, _ = _exchange(answer, method)
    assert user.told[-1] == "end"
    assert conn.finish() is again


def test_finishing_in_the_middle_closes() -> None:
    """What still comes would be taken for the next answer."""
    user, conn, wire = _exchange(GET_OK[:-1])
    assert not conn.finish()
    assert wire.aborted
    assert user.told == ["head 200"]


def test_a_connection_that_was_paused_is_read_again_when_it_is_kept() -> None:
    """The last piece may be more than a slow client takes; the next exchange must not wait for ever."""
    conn, wire = _open()
    user = User(body=lambda: conn.pause(paused=True))
    conn.send(user, b"GET", b".")
    conn.data_received(GET_OK)
    assert (user.told, wire.reading) == (["head 200", "end"], False)
    assert conn.finish()
    assert wire.reading


def test_reading_stops_and_goes_on() -> None:
    """Asked twice is as good as once."""
    conn, wire = _open()
    conn.send(User(), b"GET", b".")
    for paused in (True, True, False, False, True):
        conn.pause(paused=paused)
        assert wire.reading is not paused


def test_a_service_that_does_not_keep_up_is_told_of_and_not_lent_while_it_lags() -> None:
    """Bytes of the last request still wait: the next one's would not be bounded by them."""
    conn, wire = _open(Limits(write_buffer_bytes=1234))
    assert wire.high == 1234
    user = User()
    conn.send(user, b"POST", b".")
    conn.pause_writing()
    conn.resume_writing()
    conn.pause_writing()
    conn.data_received(GET_OK)
    assert user.told == ["pause True", "pause False", "pause True", "head 200", "end"]
    assert not conn.finish()
    assert wire.aborted


def test_a_head_is_bounded() -> None:
    """As the client's are; at the limit it is still waited for."""
    conn, _ = _open(Limits(response_header_bytes=100))
    user = User()
    conn.send(user, b"GET", b".")
    conn.data_received(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 79)
    assert user.told == []
    conn.data_received(b"xx")
    assert user.told == ["error upstream_invalid"]
