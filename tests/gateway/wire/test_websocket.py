"""Both halves of the WebSocket handshake, and where frames begin and end."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import BadRequest, Code, Forbidden, UpstreamError
from gateway.wire.websocket import (
    POLICY_VIOLATION,
    Frames,
    Handshake,
    Origins,
    accept,
    close_frame,
    handshake,
    switched,
    upgrading,
)
from tests.builders.heads import block, in_pieces, read

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""The pair of RFC 6455 s1.3."""
ASKED = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
    "Origin: https://shop.example",
]
GRANTED = ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Accept: {ACCEPT}"]
SHOP = Origins(frozenset({b"https://shop.example"}))
MASK = b"\x01\x02\x03\x04"


def ask(*more: str, line: str = "GET /orders HTTP/1.1", without: str = "", origins: Origins = SHOP) -> Handshake | None:
    """What becomes of a handshake with more fields, or without one."""
    kept = [field for field in ASKED if not without or not field.startswith(without + ":")]
    return handshake(read(block(line, *kept, *more)), origins)


def grant(*more: str, line: str = "HTTP/1.1 101 Switching Protocols", without: str = "") -> list[tuple[bytes, bytes]]:
    """The fields of a 101 that is taken, with more of them, or without one."""
    kept = [field for field in GRANTED if not without or not field.startswith(without + ":")]
    opened = Handshake(ACCEPT.encode(), frozenset({b"chat"}))
    return list(switched(block(line, *kept, *more, host=None), opened).headers)


def frame(payload: bytes = b"", *, first: int = 0x82, mask: bytes = b"", length: bytes | None = None) -> bytes:
    """A frame: FIN and binary unless `first` says otherwise; its length as short as it goes unless given."""
    size = len(payload)
    if length is None:
        short = size if size < 126 else 126 if size < 1 << 16 else 127
        length = bytes((short,)) + (size.to_bytes({126: 2, 127: 8}[short], "big") if short > 125 else b"")
    if mask:
        length = bytes((length[0] | 0x80,)) + length[1:]
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes((first,)) + length + mask + payload


def test_a_key_is_answered_as_the_rfc_says() -> None:
    """The example of RFC 6455 s1.3."""
    assert accept(KEY.encode()) == ACCEPT.encode()


def test_a_handshake_in_order_opens() -> None:
    """It says what the service must answer, and which subprotocols it may choose."""
    assert ask("Sec-WebSocket-Protocol: chat, super", "Sec-WebSocket-Protocol: till") == Handshake(
        ACCEPT.encode(), frozenset({b"chat", b"super", b"till"})
    )


@pytest.mark.parametrize(
    "fields", [["connection: keep-alive, UPGRADE"], ["Connection: keep-alive", "Connection: upgrade"]]
)
def test_connection_is_a_list_without_case(fields: list[str]) -> None:
    """Firefox sends `keep-alive, Upgrade`."""
    assert ask(*fields, without="Connection") is not None


@pytest.mark.parametrize("offer", ["h2c", "websocket, h2c", "h2c, websocket", "websocket/13", "TLS/1.0", ""])
def test_any_other_offer_is_none(offer: str) -> None:
    """Only `websocket`, alone, is an upgrade here; the rest is not even seen."""
    head = read(block("GET / HTTP/1.1", f"Upgrade: {offer}", *ASKED[1:]))
    assert head.get(b"upgrade") is None
    assert handshake(head, SHOP) is None


def test_two_offers_are_none() -> None:
    """Not even of the same."""
    assert ask("Upgrade: websocket") is None


@pytest.mark.parametrize("line", ["HEAD / HTTP/1.1", "POST / HTTP/1.1", "GET / HTTP/1.0"])
def test_only_get_in_http_1_1_opens(line: str) -> None:
    """RFC 6455 s4.1; HTTP/1.0 has no upgrades (RFC 9110 s7.8)."""
    assert ask(line=line) is None


def test_an_offer_that_connection_does_not_name_is_none() -> None:
    """RFC 9110 s7.8: it may have come through a hop that does not know it."""
    assert ask(without="Connection") is None


@pytest.mark.parametrize(
    ("without", "more"),
    [
        ("", "Content-Length: 5"),
        ("", "Transfer-Encoding: chunked"),
        ("", "Connection: Sec-WebSocket-Key"),
        ("", "Connection: origin"),
        ("Sec-WebSocket-Version", "X: 1"),
        ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"),
        ("Sec-WebSocket-Version", "Sec-WebSocket-Version: 13, 8"),
        ("", "Sec-WebSocket-Version: 13"),
        ("Sec-WebSocket-Key", "X: 1"),
        ("", f"Sec-WebSocket-Key: {KEY}"),
        ("Sec-WebSocket-Key", "Sec-WebSocket-Key: short"),
        ("Sec-WebSocket-Key", f"Sec-WebSocket-Key: {KEY[:-2]}"),
        ("Sec-WebSocket-Key", f"Sec-WebSocket-Key: {KEY}AAAA"),
        ("Sec-WebSocket-Key", f"Sec-WebSocket-Key: {KEY.replace('Q', '-')}"),
        ("", "Origin: https://shop.example"),
        ("", "Origin: https://evil.example"),
    ],
)
def test_a_malformed_handshake_is_refused_and_the_connection_closed(without: str, more: str) -> None:
    """It is not passed on as something else: whoever sent it goes on in frames."""
    with pytest.raises(BadRequest) as refused:
        ask(more, without=without)
    assert refused.value.close
    if "version" in refused.value.reason:
        assert refused.value.headers == ((b"sec-websocket-version", b"13"),)


def test_a_length_of_nothing_is_no_body() -> None:
    """Some clients say so."""
    assert ask("Content-Length: 0") is not None


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://shop.example",
        "https://shop.example:8443",
        "https://shop.example.evil",
        "null",
        "",
    ],
)
def test_a_page_of_another_site_opens_nothing(origin: str) -> None:
    """RFC 6455 s10.2: compared to the letter."""
    with pytest.raises(Forbidden):
        ask(f"Origin: {origin}", without="Origin")


def test_a_program_without_an_origin_opens_where_that_is_said() -> None:
    """And nowhere else; nobody opens anything where nothing is said."""
    with pytest.raises(Forbidden):
        ask(without="Origin")
    assert ask(without="Origin", origins=Origins(without=True)) is not None
    for without in (True, False):
        with pytest.raises(Forbidden):
            ask(origins=Origins(without=without))


def test_a_101_that_fits_is_taken() -> None:
    """With the subprotocol it has chosen; names and values without case where they have none."""
    fields = ["upgrade: WebSocket", "connection: keep-alive, upgrade", f"Sec-Websocket-Accept: {ACCEPT}"]
    opened = Handshake(ACCEPT.encode(), frozenset({b"chat"}))
    head = switched(block("HTTP/1.1 101", *fields, "Sec-WebSocket-Protocol: chat", host=None), opened)
    assert head.status == 101
    assert head.get_all(b"sec-websocket-protocol") == [b"chat"]
    assert grant()


@pytest.mark.parametrize(
    ("without", "more"),
    [
        ("Upgrade", "X: 1"),
        ("Upgrade", "Upgrade: h2c"),
        ("", "Upgrade: websocket"),
        ("Connection", "X: 1"),
        ("Connection", "Connection: close"),
        ("", "Connection: Sec-WebSocket-Accept"),
        ("Sec-WebSocket-Accept", "X: 1"),
        ("Sec-WebSocket-Accept", f"Sec-WebSocket-Accept: {ACCEPT.lower()}"),
        ("Sec-WebSocket-Accept", f"Sec-WebSocket-Accept: {KEY}"),
        ("", f"Sec-WebSocket-Accept: {ACCEPT}"),
        ("", "Sec-WebSocket-Protocol: other"),
        ("", "Sec-WebSocket-Protocol: chat, chat"),
        ("", "Content-Length: 0"),
        ("", "Transfer-Encoding: chunked"),
        ("", "X: a\x00b"),
    ],
)
def test_a_101_that_does_not_fit_is_upstream_invalid(without: str, more: str) -> None:
    """A service that switches to anything else must not be given the client's bytes."""
    with pytest.raises(UpstreamError) as refused:
        grant(more, without=without)
    assert refused.value.code is Code.UPSTREAM_INVALID


@pytest.mark.parametrize("line", ["HTTP/1.0 101 Switching Protocols", "HTTP/1.1 1011 X", "HTTP/1.1 101X"])
def test_a_101_with_another_status_line_is_upstream_invalid(line: str) -> None:
    """There is one way to say it."""
    with pytest.raises(UpstreamError):
        grant(line=line)


def test_a_head_is_made_to_upgrade() -> None:
    """The two fields come last, once."""
    assert upgrading(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n") == (
        b"GET / HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\n"
    )


def follow(pieces: list[bytes], *, masked: bool) -> Frames:
    """Frames that have been given these pieces."""
    frames = Frames(masked=masked)
    for piece in pieces:
        frames.take(piece)
    return frames


FRAMES = [
    frame(b"", mask=MASK),
    frame(b"hello", mask=MASK),
    frame(b"ping", first=0x89, mask=MASK),
    frame(b"a", first=0x01, mask=MASK) + frame(b"b", first=0x8A, mask=MASK) + frame(b"c", first=0x80, mask=MASK),
    frame(b"x" * 126, mask=MASK),
    frame(b"\x00" * 65_535, mask=MASK),
    frame(b"\xff" * 65_536, mask=MASK),
    frame(b"deflated", first=0xC2, mask=MASK),
]


@pytest.mark.parametrize("which", range(len(FRAMES)))
@pytest.mark.parametrize("masked", [True, False])
def test_frames_are_followed_whatever_pieces_they_come_in(which: int, masked: bool) -> None:
    """Whole, byte by byte, split anywhere: only at its end is a frame between two."""
    data = FRAMES[which]
    if not masked:
        data = {0: frame(b""), 1: frame(b"hello"), 4: frame(b"x" * 126)}.get(which, frame(b"y" * 127))
    if len(data) > 300:  # the borders of its header are enough of a long one
        ways = [
            [data],
            [data[:14], data[14:]],
            *([data[:at], data[at:]] for at in range(1, 15)),
            [data[:-1], data[-1:]],
        ]
    else:
        ways = list(in_pieces(data))
    for pieces in ways:
        frames = Frames(masked=masked)
        assert frames.between
        for piece in pieces[:-1]:
            frames.take(piece)
        assert frames.take(pieces[-1]) == len(pieces[-1])
        assert frames.between
        assert not frames.closed


def test_the_last_end_of_a_frame_is_told() -> None:
    """That is where something of our own may stand."""
    frames = Frames(masked=False)
    one, two = frame(b"one"), frame(b"two")
    assert frames.take(one + two[:2]) == len(one)
    assert not frames.between
    assert frames.take(two[2:-1]) == 0
    assert frames.take(two[-1:] + one + two[:1]) == 1 + len(one)


@pytest.mark.parametrize("code", [1000, 1001, 4000])
@pytest.mark.parametrize("mask", [b"", MASK])
def test_the_code_of_a_close_is_read(code: int, mask: bytes) -> None:
    """With and without a mask, in any pieces."""
    data = frame(code.to_bytes(2, "big") + b"bye", first=0x88, mask=mask)
    for pieces in in_pieces(data):
        frames = Frames(masked=bool(mask))
        for piece in pieces:
            frames.take(piece)
        assert (frames.closed, frames.code, frames.between) == (True, code, True)


def test_a_close_may_say_nothing() -> None:
    """Then it has no code."""
    frames = Frames(masked=False)
    frames.take(frame(first=0x88))
    assert (frames.closed, frames.code) == (True, None)


@pytest.mark.parametrize("mask", [b"", MASK])
def test_a_close_of_ours_is_one(mask: bytes) -> None:
    """As the frames of others are judged."""
    frames = Frames(masked=bool(mask))
    data = close_frame(POLICY_VIOLATION, mask)
    assert frames.take(data) == len(data)
    assert (frames.closed, frames.code) == (True, 1008)


BROKEN = [
    (b"GET / HTTP/1.1\r\n\r\n", True),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", True),
    (b"\x16\x03\x01\x02\x00\x01", False),
    (frame(b"a"), True),
    (frame(b"a", mask=MASK), False),
    (frame(b"a", first=0x83), False),
    (frame(b"a", first=0x8B), False),
    (frame(b"a", first=0x09), False),
    (frame(b"x" * 126, first=0x89), False),
    (frame(b"a", first=0x80), False),
    (frame(b"a", first=0x02) + frame(b"a", first=0x82), False),
    (frame(b"a" * 5, length=b"\x7e\x00\x05"), False),
    (frame(b"", length=b"\x7e\x00\x7d"), False),
    (frame(b"", length=b"\x7f" + (65_535).to_bytes(8, "big")), False),
    (frame(b"", length=b"\x7f" + (1 << 63).to_bytes(8, "big")), False),
    (frame(b"\x03\xe8", first=0x88) + frame(b"a"), False),
    (frame(b"\x03\xe8", first=0x88) + frame(b"\x03\xe8", first=0x88), False),
]


@pytest.mark.parametrize("which", range(len(BROKEN)))
def test_what_is_no_websocket_is_found(which: int) -> None:
    """Other protocols, wrong masks, unknown opcodes, broken fragments, long lengths, words after the last."""
    data, masked = BROKEN[which]
    for pieces in in_pieces(data):
        with pytest.raises(ValueError, match=r"opcode|masking|length|control|fragment|after"):
            follow(pieces, masked=masked)


@given(st.lists(st.tuples(st.binary(max_size=300), st.booleans()), max_size=8), st.data())
def test_any_row_of_frames_in_any_pieces_ends_between_two(parts: list[tuple[bytes, bool]], data: st.DataObject) -> None:
    """The ends that are told are exactly those of the frames."""
    whole, ends = b"", {0}
    for payload, ping in parts:
        whole += frame(payload[:125] if ping else payload, first=0x89 if ping else 0x82, mask=MASK)
        ends.add(len(whole))
    frames = Frames(masked=True)
    at = 0
    while at < len(whole):
        step = data.draw(st.integers(1, len(whole) - at))
        told = frames.take(whole[at : at + step])
        inside = [end for end in ends if at < end <= at + step]
        assert told == (max(inside) - at if inside else 0)
        at += step
        assert frames.between is (at in ends)


@given(st.lists(st.binary(max_size=40), max_size=6), st.booleans())
def test_no_bytes_break_it_in_another_way(pieces: list[bytes], masked: bool) -> None:
    """Whatever comes is followed or is a `ValueError`, and what is held is never more than a header."""
    frames = Frames(masked=masked)
    try:
        for piece in pieces:
            frames.take(piece)
            assert len(frames._held) < 14
    except ValueError:
        pass


@given(st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30), max_size=4))
def test_no_fields_break_a_handshake_in_another_way(values: list[str]) -> None:
    """It opens, it is none, or it is refused."""
    names = ["Sec-WebSocket-Key", "Sec-WebSocket-Version", "Connection", "Origin"]
    fields = [f"{name}: {value}" for name, value in zip(names, values, strict=False)]
    with contextlib.suppress(BadRequest, Forbidden):
        head = read(block("GET / HTTP/1.1", "Upgrade: websocket", *fields))
        assert handshake(head, SHOP) is None or len(fields) == len(names)
