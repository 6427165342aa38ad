"""Answers as bytes: what a scripted service says, and what a client was told."""

import json
from typing import Any

CRLF = b"\r\n"


def json_answer(value: Any, *fields: str, status: str = "200 OK", mime: str | None = "application/json") -> bytes:
    """A service's whole answer with a length; bytes go as they are, anything else as JSON; `mime` None says nothing."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    lines = [
        f"HTTP/1.1 {status}",
        *([f"Content-Type: {mime}"] if mime else []),
        *fields,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(lines).encode() + CRLF * 2 + body


def chunked(*pieces: bytes, fields: tuple[str, ...] = (), trailers: str = "") -> bytes:
    """A service's whole answer in chunks."""
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", "Transfer-Encoding: chunked", *fields]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return "\r\n".join(lines).encode() + CRLF * 2 + body + b"0\r\n" + trailers.encode("latin-1") + CRLF


def status_of(answer: bytes) -> int:
    """The status of the first answer."""
    return int(answer.split(b" ", 2)[1])


def header_of(answer: bytes) -> dict[str, list[str]]:
    """Every field of the first answer, names in lower case."""
    found: dict[str, list[str]] = {}
    for line in answer.partition(CRLF * 2)[0].decode("latin-1").split("\r\n")[1:]:
        name, _, value = line.partition(":")
        found.setdefault(name.lower(), []).append(value.strip())
    return found


def content_of(answer: bytes) -> bytes:
    """What follows the head of the first answer."""
    return answer.partition(CRLF * 2)[2]


def json_of(answer: bytes) -> Any:
    """That, as JSON."""
    return json.loads(content_of(answer))
