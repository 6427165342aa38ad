"""WebSocket (RFC 6455) as far as a gateway needs it: both halves of the handshake, and where frames end. Pure.

Messages are not read. What passes is followed frame by frame all the same: so that a close frame of our own can be put
between two frames and never into one, and because bytes that are no frames show that the two ends do not mean the same
connection, which is how a tunnel is used to smuggle.
"""

import base64
import binascii
import hashlib
from typing import Final

import msgspec

from gateway.errors import BadRequest, Code, Forbidden, UpstreamError
from gateway.wire.framing import NO_BODY, Ending
from gateway.wire.head import Head, ResponseHead, read_response

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 s1.3
_VERSION: Final = b"13"
_NONCE_BYTES: Final = 16  # RFC 6455 s4.1, item 7

GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
POLICY_VIOLATION: Final = 1008
"""Close codes of RFC 6455 s7.4.1 that the gateway itself says."""

_CLOSE: Final = 0x8
_OPCODES: Final = frozenset({0x0, 0x1, 0x2, _CLOSE, 0x9, 0xA})
_ALONE: Final = frozenset({0x89, 0x8A})  # ping and pong, which may stand between fragments
_WHOLE: Final = _ALONE | {0x81, 0x82, 0xC1, 0xC2}  # and messages of one frame, deflated (RFC 7692) or not
_CONTROL: Final = 0x8  # the opcode's bit that all control frames have
_FIN, _MASKED = 0x80, 0x80
_CONTROL_BYTES: Final = 125  # RFC 6455 s5.5
_LENGTH_16, _LENGTH_64 = 126, 127
_CODE_BYTES: Final = 2
_SHORT_BYTES, _HIGHEST = 0xFFFF, 1 << 63


class Origins(msgspec.Struct, frozen=True, gc=False):
    """Which pages may open a service's tunnels.

    Attributes:
        allowed: `Origin` values, as browsers serialise them.
        without: Whether a request without `Origin` may: every browser sends one, so it is another kind of program.
    """

    allowed: frozenset[bytes] = frozenset()
    without: bool = False


class Handshake(msgspec.Struct, frozen=True, gc=False):
    """A request to open a tunnel, found in order.

    Attributes:
        accept: What the service must answer to its key.
        protocols: The subprotocols it offers.
    """

    accept: bytes
    protocols: frozenset[bytes] = frozenset()


def handshake(head: Head, origins: Origins) -> Handshake | None:
    """Judge whether a request opens a tunnel; for routes that have one.

    Args:
        head: Of the request. `wire.head` leaves `upgrade` in it only where a GET offers `websocket` and nothing else.
        origins: Of the service.

    Returns:
        None for a request that asks for no tunnel. It passes as what it is without its `Upgrade`: HTTP/1.0 knows none
        (RFC 9110 s7.8).

    Raises:
        BadRequest: It asks for one and is malformed (RFC 6455 s4.2.1), or it has a body.
        Forbidden: Its `Origin` may not.
    """
    if not head.http_11 or head.get(b"upgrade") is None:
        return None
    options = {option.lower() for option in _listed(head.get_all(b"connection"))}
    if b"upgrade" not in options:
        return None
    if head.framing != NO_BODY and not (head.framing.ending is Ending.LENGTH and head.framing.length == 0):
        raise BadRequest("websocket: a body", close=True)
    if any(option.startswith(b"sec-websocket-") or option == b"origin" for option in options):
        raise BadRequest("websocket: the handshake named in Connection", close=True)
    if head.get_all(b"sec-websocket-version") != [_VERSION]:
        raise BadRequest("websocket: version", close=True, headers=((b"sec-websocket-version", _VERSION),))
    keys = head.get_all(b"sec-websocket-key")
    if len(keys) != 1 or not _is_key(keys[0]):
        raise BadRequest("websocket: key", close=True)
    _check_origin(head.get_all(b"origin"), origins)
    return Handshake(accept(keys[0]), frozenset(_listed(head.get_all(b"sec-websocket-protocol"))))


def accept(key: bytes) -> bytes:
    """What answers a `Sec-WebSocket-Key` (RFC 6455 s4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def upgrading(head: bytes) -> bytes:
    """A head that says nothing of an upgrade, as all that this gateway writes, made to ask for this one or to grant it.

    Args:
        head: From the first line to the empty line.
    """
    return head[:-2] + b"connection: Upgrade\r\nupgrade: websocket\r\n\r\n"


def switched(block: bytes, opened: Handshake) -> ResponseHead:
    """Read a service's 101.

    Args:
        block: From the status line to the empty line, both included.
        opened: What was asked for.

    Raises:
        UpstreamError: `upstream_invalid`: it does not accept this handshake (RFC 6455 s4.1, what a client checks).
    """
    # llhttp treats what follows a 101 as no HTTP, and httptools raises for it; of any other 1xx it reads the fields.
    head = read_response(block.replace(b" 101", b" 100", 1), b"GET")
    upgrades = [value.lower() for value in head.get_all(b"upgrade")]
    options = {option.lower() for option in _listed(head.get_all(b"connection"))}
    protocols = _listed(head.get_all(b"sec-websocket-protocol"))
    accepted = (
        block.startswith(b"HTTP/1.1 ")
        and upgrades == [b"websocket"]
        and b"upgrade" in options
        and not any(option.startswith(b"sec-websocket-") for option in options)
        and head.get_all(b"sec-websocket-accept") == [opened.accept]
        and len(protocols) <= 1
        and opened.protocols.issuperset(protocols)
        and not head.get_all(b"content-length")  # RFC 9110 s8.6, RFC 9112 s6.1: not in a 1xx
        and not head.get_all(b"transfer-encoding")
    )
    if not accepted:
        raise UpstreamError("upstream head: a 101 that does not fit the handshake", code=Code.UPSTREAM_INVALID)
    return msgspec.structs.replace(head, status=101)


def close_frame(code: int, mask: bytes = b"") -> bytes:
    """A close frame without a reason in words.

    Args:
        code: RFC 6455 s7.4.
        mask: Four bytes, towards a service; empty towards a client (s5.1).
    """
    payload = code.to_bytes(_CODE_BYTES, "big")
    if not mask:
        return bytes((_FIN | _CLOSE, len(payload))) + payload
    covered = bytes(byte ^ key for byte, key in zip(payload, mask, strict=False))
    return bytes((_FIN | _CLOSE, _MASKED | len(payload))) + mask + covered


class Frames:
    """Follows the frames of one direction; holds at most one frame's header.

    Args:
        masked: Whether these frames must be masked: a client's must, a service's must not be (RFC 6455 s5.1).

    Attributes:
        closed: Whether a close frame has begun: nothing may follow it.
        code: Of that close frame; None where it has none, or while it is not whole.
    """

    __slots__ = ("_code", "_held", "_in_message", "_key", "_left", "_masked", "closed", "code")

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked
        self._held = b""  # of a header that is not whole
        self._left = 0  # bytes of payload to come
        self._in_message = False  # between the fragments of one
        self._key = b""
        self._code = b""
        self.closed = False
        self.code: int | None = None

    @property
    def between(self) -> bool:
        """Whether the last byte was the last of a frame, or there was none yet."""
        return not self._left and not self._held

    def take(self, data: bytes) -> int:
        """Follow `data`.

        Returns:
            How many bytes of it lead up to the last end of a frame in it; 0 where none ends in it.

        Raises:
            ValueError: It is not WebSocket: an opcode that RFC 6455 does not know, the wrong masking, a control frame
                that is long or in fragments, a fragment out of its order, a length not written the shortest way, or
                anything after a close frame.
        """
        at, end = 0, 0
        size = len(data)
        while at < size:
            if not self._left and not self._held and not self.closed:
                at = end = self._pass_short(data, at)
                if at == size:
                    break
            if self._left:
                step = min(self._left, size - at)
                if self.closed:
                    self._read_code(data[at : at + step])
                self._left -= step
                at += step
            else:
                at += self._begin(data[at : at + 14])
            if not self._left and not self._held:
                end = at
        return end

    def _pass_short(self, data: bytes, at: int) -> int:
        """Pass the short frames that are all there, as most are; returns where they end.

        What whoever wants to hold the loop would send: 0.3 us a frame here, and 1 us by the way of all others.
        """
        base, header = (_MASKED, 6) if self._masked else (0, 2)
        kinds = _ALONE if self._in_message else _WHOLE
        last = len(data) - header
        while at <= last and data[at] in kinds:
            length = data[at + 1] - base
            ahead = at + header + length
            if not 0 <= length <= _CONTROL_BYTES or ahead > len(data):
                break
            at = ahead
        return at

    def _begin(self, data: bytes) -> int:
        """Take what `data` has of a frame's header; returns how much of it that was."""
        if self.closed:
            raise ValueError("frame after the close")
        before = len(self._held)
        held = self._held + data
        needed = _header_size(held)
        if len(held) < needed:
            self._held = held
            return len(data)
        self._held = b""
        self._open(held[:needed])
        return needed - before

    def _open(self, header: bytes) -> None:
        """Judge a whole header."""
        opcode = header[0] & 0x0F
        fin = bool(header[0] & _FIN)
        if opcode not in _OPCODES:
            raise ValueError("opcode")
        if bool(header[1] & _MASKED) is not self._masked:
            raise ValueError("masking")
        short = header[1] & 0x7F
        length = short
        if short == _LENGTH_16:
            length = int.from_bytes(header[2:4], "big")
        elif short == _LENGTH_64:
            length = int.from_bytes(header[2:10], "big")
        if short > _CONTROL_BYTES and not _is_shortest(short, length):
            raise ValueError("length")
        if opcode & _CONTROL:
            if not fin or length > _CONTROL_BYTES:
                raise ValueError("control frame")
        elif self._in_message is not (opcode == 0):
            raise ValueError("fragment")
        else:
            self._in_message = not fin
        if opcode == _CLOSE:
            self.closed = True
            self._key = header[-4:] if self._masked else b"\0\0\0\0"
        self._left = length

    def _read_code(self, payload: bytes) -> None:
        """The first two bytes of a close frame's payload are its code (RFC 6455 s5.5.1)."""
        if self.code is None:
            self._code += payload[: _CODE_BYTES - len(self._code)]
            if len(self._code) == _CODE_BYTES:
                self.code = ((self._code[0] ^ self._key[0]) << 8) | (self._code[1] ^ self._key[1])


def _header_size(held: bytes) -> int:
    """How long the header is that these bytes begin (RFC 6455 s5.2), as far as they tell."""
    if len(held) < 2:  # noqa: PLR2004 - the second byte tells
        return 2
    size = {_LENGTH_16: 4, _LENGTH_64: 10}.get(held[1] & 0x7F, 2)
    return size + 4 if held[1] & _MASKED else size


def _is_shortest(short: int, length: int) -> bool:
    """RFC 6455 s5.2: the minimal number of bytes, and the most significant bit 0."""
    return length > _CONTROL_BYTES if short == _LENGTH_16 else _SHORT_BYTES < length < _HIGHEST


def _is_key(value: bytes) -> bool:
    """Sixteen bytes in base64, to the letter."""
    try:
        nonce = base64.b64decode(value, validate=True)
    except binascii.Error:
        return False
    return len(nonce) == _NONCE_BYTES and len(value) == 24  # noqa: PLR2004 - 16 bytes with their padding


def _check_origin(sent: list[bytes], origins: Origins) -> None:
    """RFC 6455 s10.2: a page of another site speaks with the authority of whoever looks at it."""
    if len(sent) > 1:
        raise BadRequest("origin: repeated", close=True)
    if not sent:
        if not origins.without:
            raise Forbidden("websocket: no origin")
    elif sent[0] not in origins.allowed:
        raise Forbidden("websocket: origin")


def _listed(values: list[bytes]) -> list[bytes]:
    """The members of a comma-separated list."""
    return [member for value in values for part in value.split(b",") if (member := part.strip())]
