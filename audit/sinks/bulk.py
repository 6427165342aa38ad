"""What is said to a search engine's `_bulk`, and what it answers. Pure.

Each document is sent with the action `create` under an id of ours, so a document that is there already is answered 409
and is as good as taken. An answer is believed only if it speaks of exactly what was sent, in its order.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from audit.errors import SinkUnavailable

FILTER = "errors,items.create._id,items.create.status,items.create.error.type"
"""What of the answer we ask for: never a document's values, which an error's reason would quote."""
CREATED, CONFLICT, FORBIDDEN, NOT_FOUND, TOO_LARGE, TOO_MANY = 201, 409, 403, 404, 413, 429
_UNAUTHORIZED, _OK, _SERVER = 401, 200, 500
_WORD_CHARS = 64


class Document(NamedTuple):
    """One record as two lines: what to do, and the document."""

    key: str
    lines: bytes


class Refusal(NamedTuple):
    """A document that the engine cannot hold."""

    key: str
    status: int
    kind: str


class Outcome(NamedTuple):
    """What became of the documents of one request.

    Attributes:
        taken: How many are there now.
        again: Indices of those that were not taken now and may be later.
        refused: Indices of those it will never take, with why.
        denied: Why it takes nothing at all from us; empty if it does.
    """

    taken: int
    again: Sequence[int]
    refused: Sequence[tuple[int, Refusal]]
    denied: str = ""


class _Error(msgspec.Struct):
    type: str = "unknown"


class _Created(msgspec.Struct):
    status: int
    id: str = msgspec.field(name="_id", default="")
    error: _Error | None = None


class _Item(msgspec.Struct):
    create: _Created


class _Answer(msgspec.Struct):
    items: list[_Item]


_ANSWER = msgspec.json.Decoder(_Answer)


def document(index: str, key: str, at_ms: int, body: bytes) -> Document:
    """A record for the bulk body.

    Args:
        index: Start of the index's name; year and month of the record's id follow.
        key: Its id there.
        at_ms: The time in its id, milliseconds since the epoch.
        body: One line of JSON.

    Raises:
        ValueError: a time no calendar has.
    """
    try:
        month = datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y.%m")
    except (ValueError, OverflowError, OSError) as exc:
        raise ValueError("a time no calendar has") from exc
    action = msgspec.json.encode({"create": {"_index": f"{index}-{month}", "_id": key}})
    return Document(key, b"%b\n%b\n" % (action, body))


def requests(documents: Sequence[Document], max_bytes: int) -> Iterator[tuple[int, int]]:
    """From which document to which each request goes, so that none is larger; one document alone may be."""
    first = size = 0
    for at, each in enumerate(documents):
        if at > first and size + len(each.lines) > max_bytes:
            yield first, at
            first, size = at, 0
        size += len(each.lines)
    if first < len(documents):
        yield first, len(documents)


def outcome(documents: Sequence[Document], answer: bytes) -> Outcome:
    """Read the answer to a request that was answered 200.

    Raises:
        SinkUnavailable: it does not speak of what was sent; nothing in it is believed.
    """
    try:
        items = [item.create for item in _ANSWER.decode(answer).items]
    except msgspec.DecodeError as exc:
        raise SinkUnavailable("search: the answer is not one to a bulk request") from exc
    if len(items) != len(documents):
        raise SinkUnavailable(f"search: {len(documents)} documents sent, {len(items)} answered")
    again: list[int] = []
    refused: list[tuple[int, Refusal]] = []
    taken, denied = 0, ""
    for at, (sent, item) in enumerate(zip(documents, items, strict=True)):
        if item.id != sent.key:
            raise SinkUnavailable("search: the answer is of other documents")
        status = item.status
        kind = _word(item.error.type) if item.error is not None else "unknown"
        if status in (_OK, CREATED, CONFLICT):
            taken += 1
        elif status == TOO_MANY or status >= _SERVER:
            again.append(at)
        elif status in (_UNAUTHORIZED, FORBIDDEN, NOT_FOUND):  # of the index and our rights, not of the document
            again.append(at)
            denied = f"search: an index is refused ({status} {kind})"
        else:
            refused.append((at, Refusal(sent.key, status, kind)))
    return Outcome(taken, again, refused, denied)


def _word(text: str) -> str:
    """A foreign word that may stand in a log."""
    return "".join(c for c in text[:_WORD_CHARS] if c.isascii() and (c.isalnum() or c in "_-.")) or "unknown"
