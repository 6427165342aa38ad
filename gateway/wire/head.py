"""Bytes to `Head` and `ResponseHead`.

Rules of our own stand in front of the parser (llhttp through httptools), because it accepts what an edge must not: a
missing `Host`, HTTP/0.9 and HTTP/2.0, chunked in HTTP/1.0, and, with an `Upgrade`, a body it then does not read. The
rules need no second parse: characters by deletion, line ends by counting, one pass over the fields the parser found.

Names come out in lower case (RFC 9110 s5.1: case means nothing), values without surrounding white space, order kept.
"""

import re
from typing import Final

import httptools
import msgspec

from gateway.errors import BadRequest, Code, MethodNotAllowed, TooLarge, UpstreamError
from gateway.limits import Limits
from gateway.wire.framing import Framing, request_framing, response_framing
from gateway.wire.grammar import HEAD_BYTES, UNRESERVED, is_token, only

END: Final = b"\r\n\r\n"
_NOT_A_HEAD: Final = (httptools.HttpParserError, httptools.HttpParserUpgrade)
"""The second is raised for a 101 and is no kind of the first."""

# RFC 9110 s7.2: uri-host [":" port], or nothing. Of RFC 3986's reg-name only what names in use are made of: no
# percent-encoding and no sub-delims, which the next hop may read differently.
_HOST: Final = re.compile(rb"(?:(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?)?")


class Head(msgspec.Struct, frozen=True, gc=False):
    """A request's head.

    Attributes:
        method: Upper-case token as sent.
        target: Origin-form, `/path?query`; an absolute-form target has become this one.
        http_11: Whether it is HTTP/1.1 (else 1.0).
        host: The one `Host` value; empty where HTTP/1.0 sent none.
        headers: Names in lower case, values as sent. `upgrade` is among them only where a GET offers `websocket`
            and nothing else; any other upgrade is as if it had not been.
        framing: How the body ends.
        keep_alive: Whether the connection may be kept. HTTP/1.0's own keep-alive was never specified well enough for
            an edge (RFC 9112 appendix C.2.2), so such a connection ends with its answer.
        expects_continue: Whether it waits for `100 Continue` before the body.
        size: Bytes of the head.
    """

    method: bytes
    target: bytes
    http_11: bool
    host: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    framing: Framing
    keep_alive: bool
    expects_continue: bool
    size: int

    def get(self, name: bytes) -> bytes | None:
        """The first value of a field, None without one."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def get_all(self, name: bytes) -> list[bytes]:
        """Every value of a field, in order."""
        return [value for key, value in self.headers if key == name]


class ResponseHead(msgspec.Struct, frozen=True, gc=False):
    """An answer's head, from an upstream.

    Attributes:
        status: 100-599.
        reason: The reason phrase, for people only.
        headers: Names in lower case, values as sent.
        framing: How the body ends.
        keep_alive: Whether the upstream lets the connection be used again.
        passed: What a client is sent of it, once that was worked out; the head may be remembered for its bytes.
    """

    status: int
    reason: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    framing: Framing
    keep_alive: bool
    passed: bytes = b""

    def changed(self, headers: tuple[tuple[bytes, bytes], ...], framing: Framing | None = None) -> "ResponseHead":
        """The same answer with other fields; nothing that was worked out for the original goes with it."""
        return ResponseHead(self.status, self.reason, headers, framing or self.framing, self.keep_alive)

    def keep_passed(self, passed: bytes) -> None:
        """Say what a client is sent of this head, for the next time it comes."""
        msgspec.structs.force_setattr(self, "passed", passed)

    def get_all(self, name: bytes) -> list[bytes]:
        """Every value of a field, in order."""
        return [value for key, value in self.headers if key == name]


class _Sink:
    """What httptools calls back."""

    __slots__ = ("complete", "headers", "reason", "target")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.target = b""
        self.reason = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp skips white space before a value and keeps what follows it; RFC 9110 s5.5: neither is part of it.
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_message_complete(self) -> None:
        self.complete = True


class HeadReader:
    """Parses request heads of one connection; keeps its parser while every head was a whole message."""

    __slots__ = ("_limits", "_parser", "_sink")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._sink = _Sink()
        self._parser: httptools.HttpRequestParser | None = None

    def read(self, block: bytes) -> Head:
        """Parse one head.

        Args:
            block: From the request line to the empty line, both included.

        Raises:
            BadRequest, TooLarge, MethodNotAllowed: With `close` set; nothing after this head can be trusted.
        """
        _check_block(block)
        sink = self._sink
        sink.clear()
        kept, self._parser = self._parser, None
        parser = kept or httptools.HttpRequestParser(sink)
        line_end = block.index(b"\r\n")
        _check_request_line(block[:line_end], self._limits)
        upgrade = b""
        plain = block
        if b"upgrade:" in block.lower():
            plain, upgrade = _without_upgrade(block)
        try:
            parser.feed_data(plain)
        except _NOT_A_HEAD as exc:
            if kept is not None:
                # llhttp takes `Proxy-Connection: close` for an end, too, and refuses whatever follows: what a parser
                # that was kept says of a head is not its last word.
                return self.read(block)
            raise BadRequest(f"head: {type(exc).__name__}", close=True) from None
        if upgrade == b"websocket" and block.startswith(b"GET "):
            sink.headers.append((b"upgrade", upgrade))
        head = self._head(parser.get_method(), parser.get_http_version(), len(block))
        if sink.complete:
            self._parser = parser
        return head

    def _head(self, method: bytes, version: str, size: int) -> Head:
        """Check the fields and put the head together."""
        headers = tuple(self._sink.headers)
        if len(headers) > self._limits.header_count:
            raise TooLarge("head: too many fields", code=Code.HEADER_TOO_LARGE, close=True)
        http_11 = version == "1.1"
        hosts: list[bytes] = []
        lengths: list[bytes] = []
        codings: list[bytes] = []
        connection = b""
        expects = False
        for name, value in headers:
            if name == b"host":
                hosts.append(value)
            elif name == b"content-length":
                lengths.append(value)
            elif name == b"transfer-encoding":
                codings.append(value)
            elif name == b"connection":
                connection += b"," + value.lower()
            elif name == b"expect":
                if value.lower() != b"100-continue":
                    raise BadRequest("head: unknown expectation", close=True)
                expects = http_11
        host = _one_host(hosts, http_11=http_11)
        target = self._sink.target
        if not target.startswith(b"/"):
            target = _origin_form(target, host, method)
        options = {option.strip() for option in connection.split(b",")}
        return Head(
            method,
            target,
            http_11,
            host,
            headers,
            request_framing(lengths, codings, http_11=http_11),
            http_11 and b"close" not in options,
            expects,
            size,
        )


def read_response(block: bytes, method: bytes) -> ResponseHead:
    """Parse the head of an answer.

    Args:
        block: From the status line to the empty line, both included.
        method: Of the request it answers: HEAD has no body whatever the fields say.

    Raises:
        UpstreamError: `upstream_invalid`.
    """
    try:
        _check_block(block)
    except BadRequest as exc:
        raise UpstreamError(f"upstream {exc.reason}", code=Code.UPSTREAM_INVALID) from None
    if not block.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")):
        raise UpstreamError("upstream head: version", code=Code.UPSTREAM_INVALID)
    sink = _Sink()
    parser = httptools.HttpResponseParser(sink)
    try:
        parser.feed_data(block)
    except _NOT_A_HEAD as exc:
        raise UpstreamError(f"upstream head: {type(exc).__name__}", code=Code.UPSTREAM_INVALID) from None
    status = parser.get_status_code()
    if not 100 <= status <= 599:  # noqa: PLR2004 - RFC 9110 s15
        raise UpstreamError("upstream head: status", code=Code.UPSTREAM_INVALID)
    headers = tuple(sink.headers)
    lengths = [value for name, value in headers if name == b"content-length"]
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    connection = b",".join(value.lower() for name, value in headers if name == b"connection")
    options = {option.strip() for option in connection.split(b",")}
    http_11 = block.startswith(b"HTTP/1.1")
    return ResponseHead(
        status,
        sink.reason,
        headers,
        response_framing(method, status, lengths, codings, http_11=http_11),
        b"close" not in options and (http_11 or b"keep-alive" in options),
    )


def _check_block(block: bytes) -> None:
    """Characters and line ends of a head, before any parser sees it."""
    if not only(block, HEAD_BYTES):
        raise BadRequest("head: control character", close=True)
    lines = block.count(b"\r\n")
    if block.count(b"\n") != lines or block.count(b"\r") != lines:
        raise BadRequest("head: bare CR or LF", close=True)
    # One byte is found three times as fast as two, and nearly no head has a tab.
    tabs = b"\t" in block
    if b"\r\n " in block or (tabs and b"\r\n\t" in block):
        raise BadRequest("head: folded field", close=True)
    if b" :" in block or (tabs and b"\t:" in block):
        _check_names(block)


def _check_names(block: bytes) -> None:
    """White space before a colon is a smuggling road only where it ends a field's name; in a value it is text."""
    for line in block.split(b"\r\n")[1:]:
        name, colon, _ = line.partition(b":")
        if colon and not is_token(name):
            raise BadRequest("head: field name", close=True)


def _check_request_line(line: bytes, limits: Limits) -> None:
    """Exactly `method SP target SP HTTP/1.x` (RFC 9112 s3)."""
    if len(line) > limits.request_line_bytes:
        raise TooLarge("request line too long", code=Code.URI_TOO_LONG, close=True)
    parts = line.split(b" ")
    if len(parts) != 3:  # noqa: PLR2004 - three parts, single spaces
        raise BadRequest("request line: not three parts", close=True)
    method, target, version = parts
    if not is_token(method):
        raise BadRequest("request line: method", close=True)
    if version not in {b"HTTP/1.1", b"HTTP/1.0"}:
        raise BadRequest("request line: version", close=True)
    if not target or b"\t" in target or b"#" in target:
        raise BadRequest("request line: target", close=True)
    if method in {b"CONNECT", b"TRACE"}:
        # RFC 9110 s9.3.6, s9.3.8: one opens a tunnel, the other echoes credentials. Neither is for a gateway.
        raise MethodNotAllowed("request line: method refused", close=True)


def _one_host(hosts: list[bytes], *, http_11: bool) -> bytes:
    """RFC 9112 s3.2: exactly one valid `Host` in HTTP/1.1, at most one in 1.0."""
    if len(hosts) > 1:
        raise BadRequest("host: repeated", close=True)
    if not hosts:
        if http_11:
            raise BadRequest("host: missing", close=True)
        return b""
    host = hosts[0]
    if not only(host, UNRESERVED) and not _HOST.fullmatch(host):
        raise BadRequest("host: not a host", close=True)
    return host


def _origin_form(target: bytes, host: bytes, method: bytes) -> bytes:
    """An absolute-form target (RFC 9112 s3.2.2) whose authority is `Host`, made origin-form; all else is refused."""
    if method == b"OPTIONS" and target == b"*":
        raise BadRequest("request line: asterisk-form", close=True)
    for scheme in (b"http://", b"https://"):
        if target[: len(scheme)].lower() == scheme:
            rest = target[len(scheme) :]
            # The authority must be the host to the letter, so where it ends need not be looked for.
            authority, rest = rest[: len(host)], rest[len(host) :]
            if not host or authority.lower() != host.lower() or rest[:1] not in {b"", b"/", b"?"}:
                raise BadRequest("request line: authority is not the host", close=True)
            return rest if rest.startswith(b"/") else b"/" + rest
    raise BadRequest("request line: target form", close=True)


def _without_upgrade(block: bytes) -> tuple[bytes, bytes]:
    """The head without `Upgrade`, so that the parser frames the body as if nothing had been offered; and what was."""
    kept: list[bytes] = []
    offered: list[bytes] = []
    for line in block[:-4].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"upgrade":
            offered.append(value.strip(b" \t").lower())
        else:
            kept.append(line)
    return b"\r\n".join(kept) + END, b", ".join(offered)
