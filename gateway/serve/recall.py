"""Heads that were judged before: found by their bytes, so that what cannot differ is not worked out again.

A client sends the same fields with every request of a connection, and many clients send the same request lines. A line
is remembered by its bytes, the fields below it by their SHA-256 (the trace aside), and what was allowed by caller and
shape of request. Only allowed requests of known callers are remembered: a stranger can push nobody out.

INVARIANT: a request that is found here would be admitted and allowed if it were judged anew by the snapshot in hand.
Everything that `pipeline.admit` and `pipeline.judge` look at is in the remembered bytes, but for the time, which is
compared with the credential's expiry here and is read by no policy of a remembered action, and for revocations, which
are asked each time.
"""

import hashlib
import re
from collections.abc import MutableMapping
from typing import Final, NamedTuple

import msgspec

from gateway.case import Case
from gateway.forward.headers import passed_fields
from gateway.known import Caller, Ruling, Target
from gateway.model import Route, Source
from gateway.revocations import Revocations
from gateway.snapshot import Snapshot
from gateway.wire.framing import Ending
from roles.security_context.claims import target_hash

_LINES: Final = 8192
_CALLERS: Final = 4096
_RULINGS: Final = 64
"""Entries; about 1 KiB a line and 3 KiB a caller, so 20 MiB at most, filled by callers with valid credentials only."""
_LINE_BYTES: Final = 512
_FIELDS_BYTES: Final = 3072

# W3C Trace Context s3.2: a new value each request, so it is cut out before the fields are compared. Only in this exact
# spelling, once, and not followed by a folded line.
_TRACE: Final = re.compile(rb"\r\ntraceparent: (00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})(?=\r\n[^ \t])")
_TRACE_START: Final = b"\r\ntraceparent: "
_METHODS: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE"})
_NOT_KEPT: Final = frozenset({b"cookie", b"x-api-key", b"api-key", b"proxy-authorization", b"upgrade", b"traceparent"})
"""Fields of a head that is not remembered: secrets, which outlive a request in no memory, and what changes framing."""


_CUT: Final = frozenset({"authorization", "traceparent"})
"""Fields that a remembered head is without."""


class Known(NamedTuple):
    """A request that was judged before.

    Attributes:
        target: What its line means.
        caller: Whose fields it has.
        ruling: What they were allowed.
        traces: The `traceparent` it came with, none or one.
    """

    target: Target
    caller: Caller
    ruling: Ruling
    traces: list[bytes]


class Recall:
    """What one worker remembers of heads; good for one snapshot.

    Attributes:
        hits: Heads that were found.
    """

    __slots__ = ("_callers", "_lines", "_revocations", "_snapshot", "hits")

    def __init__(self) -> None:
        self._callers: dict[bytes, Caller] = {}
        self._lines: dict[bytes, Target] = {}
        self._snapshot: Snapshot | None = None
        self._revocations = Revocations()
        self.hits = 0

    def __repr__(self) -> str:
        return f"Recall({len(self._callers)} callers, {len(self._lines)} lines, {self.hits} hits)"

    def forget(self, snapshot: Snapshot) -> tuple[MutableMapping[bytes, Caller], MutableMapping[bytes, Target]]:
        """Begin anew, for a new snapshot; returns what was remembered, which takes a while to free."""
        forgotten = self._callers, self._lines
        self._callers, self._lines = {}, {}
        self._snapshot = snapshot
        self._revocations = snapshot.revocations
        return forgotten

    def find(self, block: bytes, now: float) -> Known | None:
        """The request whose head this is, if it was judged before and its credential still holds.

        Args:
            block: From the request line to the empty line, both included.
            now: Seconds since the epoch.
        """
        line_end = block.find(b"\r\n")
        target = self._lines.get(block[:line_end])
        if target is None:
            return None
        fields, traces = _fields(block, line_end)
        caller = self._callers.get(hashlib.sha256(fields).digest())
        if caller is None or now >= caller.identity.expires_at:
            return None
        if self._revocations.active and self._revocations.blocks(caller.identity):
            return None  # judging it says why not
        ruling = caller.rulings.get(target.shape)
        if ruling is None:
            return None
        self.hits += 1
        return Known(target, caller, ruling, traces)

    def remember(self, block: bytes, case: Case, snapshot: Snapshot) -> None:
        """Keep what was found out about a head, where it may be kept.

        Args:
            block: The head's bytes.
            case: Allowed.
            snapshot: By which it was; ignored when it is no longer in force.
        """
        head, path, match, identity = case.head, case.path, case.match, case.identity
        question, answer = case.question, case.answer
        if head is None or path is None or match is None or identity is None or question is None or answer is None:
            return
        route = match.route
        # Whether all of an answer may be seen is part of what is remembered; who may not see all is asked each time.
        actions = (question.action, *(item.data_class.action for item in route.redact))
        line_end = block.find(b"\r\n")
        fields, traces = _fields(block, line_end)
        if (
            snapshot is not self._snapshot
            or not answer.allows
            or answer.errors
            or not identity.token_sha256
            or not _is_plain(route)
            or case.withheld
            or case.field_errors
            or not all(map(snapshot.decisions.remembers, actions))
            or question.resource.type == question.principal.type
            or not head.http_11
            or head.method not in _METHODS
            or not block.startswith(
                b"/", len(head.method) + 1
            )  # an authority in a line is judged with the fields' host
            or line_end > _LINE_BYTES
            or len(fields) > _FIELDS_BYTES
            or len(head.get_all(b"traceparent")) != len(traces)
            or len(head.get_all(b"authorization")) != 1
            or any(name.replace(b"_", b"-") in _NOT_KEPT for name, _ in head.headers if name != b"traceparent")
            or head.framing.ending is Ending.CHUNKED
        ):
            return
        read = any(map(snapshot.decisions.reads_resource, actions))
        shape = "\0".join(
            (head.method.decode("ascii"), route.id, _shape(route, path.target, question.resource.id, read))
        )
        digest = hashlib.sha256(fields).digest()
        caller = self._callers.get(digest)
        if caller is None:
            if len(self._callers) >= _CALLERS:
                del self._callers[next(iter(self._callers))]
            kept = tuple(pair for pair in head.headers if pair[0] not in {b"authorization", b"traceparent"})
            caller = self._callers[digest] = Caller(
                head.host,
                kept,
                head.framing,
                head.keep_alive,
                head.expects_continue,
                identity,
                snapshot.entities(identity.principal),
                passed_fields(head, head.framing),
                {},
            )
        if len(caller.rulings) >= _RULINGS:
            caller.rulings.clear()
        caller.rulings[shape] = Ruling(route, case.tenant_id or "", case.named_tenants, answer)
        line = block[:line_end]
        if line not in self._lines and len(self._lines) >= _LINES:
            del self._lines[next(iter(self._lines))]
        self._lines[line] = Target(
            head.method,
            head.target,
            path,
            match,
            shape,
            question.resource.id,
            msgspec.json.encode(question.resource.id)[1:-1],
            b"%b %b HTTP/1.1\r\n" % (head.method, path.target),
            target_hash(path.target),
        )


def _fields(block: bytes, line_end: int) -> tuple[bytes, list[bytes]]:
    """The head below its request line without the trace, and the trace."""
    at = block.find(_TRACE_START, line_end)
    found = _TRACE.match(block, at) if at >= 0 else None
    if found is None:
        return block[line_end:], []
    return block[line_end:at] + block[found.end() :], [found[1]]


def _is_plain(route: Route) -> bool:
    """Whether nothing of a route's requests but their heads decides, and nothing secret of them goes on."""
    reads_credential = any(item.source is Source.HEADER and item.key in _CUT for item in route.attributes)
    return not (route.reads_body or route.pass_authorization or route.trailers or route.problem or reads_credential)


def _shape(route: Route, target: bytes, resource_id: str, read: bool) -> str:
    """What of a request line can matter to a decision besides method and route."""
    if route.tenant_param is not None or any(item.source in {Source.PATH, Source.QUERY} for item in route.attributes):
        return target.decode("latin-1")
    # Text outside ASCII stands in a decision's key whole (`policies.memo`).
    return resource_id if read or not resource_id.isascii() else ""
