"""The answer of a service on its way to somebody who may not see all of it.

Between the service's connection and the exchange. An answer from which something may have to go is held back until it
is whole, read strictly, rewritten and passed on; what cannot be read with certainty is `redaction_failed`, and nothing
of it is passed on. An error of the service's keeps its status: its fields go by their names wherever they stand,
because an error has another shape than the answer the route describes, and what is no JSON goes whole.

No deadline of its own: while the answer is held back the client waits for its first byte, which `first_byte_s` bounds.
"""

import re
from typing import Any, Final, Protocol

import msgspec

from audit.redact import Variant, strike_names, strike_path
from gateway.case import Case
from gateway.errors import Code, GatewayError, UpstreamError
from gateway.forward.answered import Answered
from gateway.forward.headers import header_text
from gateway.metrics import GatewayMetrics
from gateway.strict_json import NotStrictJson, parse_document
from gateway.wire.framing import Ending, Framing
from gateway.wire.head import Head, ResponseHead

FIELDS: Final = b"x-redacted-fields"
"""The pointers whose fields went, as the route has them; `*` when the whole body did."""

_DEPTH: Final = 64
_CONTAINERS: Final = 50_000
"""Lists and objects in an answer: a MiB of nothing else is 350,000, and a quarter of a second of everybody's time."""
_JSON: Final = re.compile(
    rb'application/(?:[a-z0-9!#$&^_.-]+\+)?json[ \t]*(?:;[ \t]*charset[ \t]*=[ \t]*(?:utf-8|"utf-8")[ \t]*)?',
    re.IGNORECASE,
)
"""One parameter at most, and that one UTF-8: a reader who believes another would find other fields (RFC 8259 s8.1)."""
_STORABLE: Final = (b"cache-control", b"private, no-store")

_CACHING: Final = frozenset({b"cache-control", b"cdn-cache-control", b"surrogate-control", b"expires", b"pragma"})
_VALIDATORS: Final = frozenset(
    {
        b"etag",
        b"last-modified",
        b"content-md5",
        b"digest",
        b"content-digest",
        b"repr-digest",
        b"signature",
        b"signature-input",
        b"accept-ranges",
        b"content-range",
        b"content-encoding",
        b"content-length",
    }
)
"""Whatever says something about the original bytes: who can guess a field can prove the guess by its digest."""

_SUCCESS: Final = range(200, 300)
_PARTIAL: Final = 206
_NOT_MODIFIED: Final = 304


class Refusable(Answered, Protocol):
    """The exchange, as far as a held answer needs it."""

    def refuse(self, error: GatewayError) -> None:
        """End the exchange with an answer of our own."""


def private(head: ResponseHead) -> ResponseHead:
    """An answer that no cache keeps: the next caller may see less of it than this one."""
    kept = tuple(pair for pair in head.headers if pair[0] not in _CACHING and pair[0] != FIELDS)
    return head.changed((*kept, _STORABLE))


class Redacting:
    """Holds an answer back until what its caller may not see is out of it.

    Args:
        then: Who takes what is left: the exchange, or who stands before it.
        exchange: Who refuses what cannot be read.
        case: Whose answer; `withheld` says which fields.
        variant: How fields go.
        limit_bytes: What is held at most.
        metrics: Counts what went.
    """

    __slots__ = ("_body", "_case", "_exchange", "_head", "_limit", "_metrics", "_over", "_size", "_then", "_variant")

    def __init__(
        self,
        then: Answered,
        exchange: Refusable,
        case: Case,
        variant: Variant,
        limit_bytes: int,
        metrics: GatewayMetrics,
    ) -> None:
        self._then = then
        self._exchange = exchange
        self._case = case
        self._variant = variant
        self._limit = limit_bytes
        self._metrics = metrics
        self._head: ResponseHead | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._over = False

    def on_interim(self, head: ResponseHead) -> None:
        """A 1xx answer stays here: its fields are the service's, and nobody needs them."""

    def on_head(self, head: ResponseHead) -> None:
        """Take a head; refuse at once what no body can make readable."""
        self._head = head
        nothing_comes = head.framing.ending is Ending.NONE or head.framing == Framing(Ending.LENGTH, 0)
        problem = _problem(head, self._case.head, empty=nothing_comes)
        if head.framing.ending is Ending.LENGTH and head.framing.length > self._limit:
            problem = problem or "too large"
        if problem:
            self._unreadable(problem)

    def on_body(self, data: bytes) -> None:
        """Hold a piece back."""
        if self._over:
            return
        self._size += len(data)
        if self._size > self._limit:
            self._unreadable("too large")
            return
        self._body.append(data)

    def on_end(self) -> None:
        """The answer is whole: take the fields out and pass the rest on."""
        head = self._head
        if self._over or head is None:
            return
        raw = b"".join(self._body)
        self._body.clear()
        if not raw:
            self._pass_on(head, b"", b"")
            return
        if raw.count(b"{") + raw.count(b"[") > _CONTAINERS:  # those in text count, too: they are fewer
            self._unreadable("too many containers")
            return
        try:
            document = parse_document(raw, _DEPTH)
            struck = self._strike(document, by_name=head.status not in _SUCCESS)
            content = msgspec.json.encode(document) if struck else raw
        except (NotStrictJson, ValueError, TypeError, RecursionError) as exc:
            self._unreadable(str(exc) if isinstance(exc, NotStrictJson) else "not strict JSON")
            return
        self._metrics.redacted("redacted" if struck else "clean")
        self._pass_on(head, content, b", ".join(_field_value(pointer) for pointer in struck))

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        """All of it came at once."""
        self.on_head(head)
        self.on_body(body)
        self.on_end()

    def on_upstream_error(self, error: UpstreamError) -> None:
        """The service failed; of what it had sent nothing is passed on."""
        if not self._over:
            self._body.clear()
            self._then.on_upstream_error(error)

    def on_upstream_pause(self, *, paused: bool) -> None:
        """The service does not keep up with the request, or has caught up."""
        self._then.on_upstream_pause(paused=paused)

    def _strike(self, document: Any, *, by_name: bool) -> list[str]:
        """Take the fields out.

        Returns:
            The pointers that led to any; of fields found by name, the pointers that have the name.
        """
        found: list[str] = []
        for item in self._case.withheld:
            if by_name:
                count = strike_names(document, item.names, self._variant)
                found += item.pointers if count else ()
            else:
                counts = [strike_path(document, path, self._variant) for path in item.paths]
                count = sum(counts)
                found += [pointer for pointer, struck in zip(item.pointers, counts, strict=True) if struck]
            if count:
                self._case.redacted += count
                self._metrics.fields_redacted(item.data_class, count)
        return found

    def _pass_on(self, head: ResponseHead, content: bytes, fields: bytes) -> None:
        """Play the answer to its end."""
        self._over = True
        self._then.on_answer(_rewritten(head, len(content), fields), content)

    def _unreadable(self, reason: str) -> None:
        """A success that cannot be looked through is refused; an error loses its body and says what it says."""
        self._body.clear()
        head = self._head
        if head is None or head.status in _SUCCESS or head.status == _NOT_MODIFIED:
            self._over = True
            self._metrics.redacted("failed")
            self._exchange.refuse(UpstreamError(f"redaction: {reason}", code=Code.REDACTION_FAILED))
            return
        self._metrics.redacted("dropped")
        kept = tuple(pair for pair in head.headers if pair[0] != b"content-type")
        self._pass_on(head.changed(kept), b"", b"*")


def _problem(head: ResponseHead, request: Head | None, *, empty: bool) -> str:
    """Why an answer's body cannot be looked through, told from its head; empty when it can, or has none."""
    if head.status in {_PARTIAL, _NOT_MODIFIED}:
        return "a part, where the whole was asked for"
    values: dict[bytes, list[bytes]] = {}
    for name, value in head.headers:
        values.setdefault(name.replace(b"_", b"-"), []).append(value)
    if any(value.lower() != b"identity" for value in values.get(b"content-encoding", ())):
        return "content coding"
    if b"content-range" in values and head.status in _SUCCESS:
        return "a part, where the whole was asked for"
    types = values.get(b"content-type", [])
    if empty and not types:
        return ""
    if len(types) != 1 or not _JSON.fullmatch(types[0]):
        # Of what has no body nothing can be seen; for HEAD the answer is the one GET would get.
        only_head = request is not None and request.method == b"HEAD"
        return "" if empty and not only_head else "not JSON in UTF-8"
    return ""


def _rewritten(head: ResponseHead, length: int, fields: bytes) -> ResponseHead:
    """The head of what is left: its own length, nothing about the original, nothing to keep."""
    head = private(head)
    kept = [pair for pair in head.headers if pair[0].replace(b"_", b"-") not in _VALIDATORS]
    if fields:
        kept.append((FIELDS, fields))
    framing = head.framing if head.framing.ending is Ending.NONE else Framing(Ending.LENGTH, length)
    return head.changed(tuple(kept), framing)


def _field_value(pointer: str) -> bytes:
    """A pointer as one member of a list (RFC 9110 s5.6.1): what would end it is percent-encoded."""
    return header_text(pointer).replace(b",", b"%2C")
