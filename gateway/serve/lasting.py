"""What lasts: open tunnels, event streams, and answers that take long. Watched, and cut when they may no longer go on.

A decision holds for as long as what it was made from. So each of these is cut when its token expires, and is judged
again, as a whole and by the time it is now, when a new snapshot of policies, roles, routes and keys is in force.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from gateway.case import Case, Closing
from gateway.clock import Clock
from gateway.errors import Forbidden, GatewayError, Internal, NoRoute
from gateway.limits import Limits
from gateway.metrics import GatewayMetrics
from gateway.pipeline import Refuse, admit, judge
from gateway.snapshot import Snapshot
from gateway.wire.head import HeadReader, ResponseHead
from gateway.wire.websocket import handshake

_SLICE_S: Final = 0.002
_PAUSE_S: Final = 0.006
"""Judging again takes at most a quarter of the loop, 2 ms at a time: 10,000 tunnels at 150 us are done in 6 s."""


class Kind(StrEnum):
    """What lasts; the label of its metrics."""

    TUNNEL = "tunnel"
    STREAM = "event_stream"
    RESPONSE = "response"


class Cut(msgspec.Struct, frozen=True, gc=False):
    """Why something is cut.

    Attributes:
        why: `token_expired`, `refused` or `drain`.
        again: For `refused`, the request as it was judged this time.
        policy_version: Of the policies that it was judged by this time.
    """

    why: str
    again: Case | None = None
    policy_version: str = ""


class Owner(Protocol):
    """The exchange or the tunnel itself."""

    def cut_off(self, cut: Cut) -> None:
        """End now, and record why."""


class Lasting:
    """One of them.

    Attributes:
        kind: Which.
        owner: Who ends it.
        case: The request that began it, as it was judged then.
        judged_by: The snapshot that it was judged by last; None while it has to be judged again.
        head: The request's, credential and all.
        body: The request's body, where the decision needed it.
        began_at: When it began to last, in the loop's time.
        expires_at: Seconds since the epoch when its token expires; 0 where it has none.
        patience_s: How much longer than any other answer it may be silent.
        cut: Why it is being cut.
    """

    __slots__ = ("began_at", "body", "case", "cut", "expires_at", "head", "judged_by", "kind", "owner", "patience_s")

    def __init__(self, kind: Kind, owner: Owner, case: Case, judged_by: Snapshot | None, body: bytes) -> None:
        self.kind = kind
        self.owner = owner
        self.case = case
        self.judged_by = judged_by
        self.head = case.head
        self.body = body
        self.began_at = 0.0
        self.expires_at = case.identity.expires_at if case.identity is not None else 0.0
        self.patience_s = 0.0
        self.cut: Cut | None = None


def is_event_stream(head: ResponseHead) -> bool:
    """Whether an answer without a length is a stream of server-sent events (HTML s9.2)."""
    for name, value in head.headers:
        if name == b"content-type":
            return value.partition(b";")[0].strip().lower() == b"text/event-stream"
    return False


def stream_closing(item: Lasting, now: float) -> Closing:
    """How an event stream ended, at `now` in the loop's time."""
    cut = item.cut
    return Closing(
        kind=item.kind.value,
        why=item.case.cut or "closed",
        lasted_s=now - item.began_at,
        again=cut.again if cut is not None else None,
        policy_version=cut.policy_version if cut is not None else "",
    )


class Watch:
    """Everything of a worker that lasts.

    Args:
        current: The snapshot in force.
        limits: How long what may take.
        metrics: What is counted.
        clock: The worker's.
        loop: Its loop.
        fault: Told of exceptions that nobody foresaw.
    """

    def __init__(
        self,
        current: Callable[[], Snapshot | None],
        limits: Limits,
        metrics: GatewayMetrics,
        clock: Clock,
        loop: asyncio.AbstractEventLoop,
        fault: Callable[[Exception, str], None],
    ) -> None:
        self._current = current
        self._limits = limits
        self._metrics = metrics
        self._clock = clock
        self._loop = loop
        self._fault = fault
        self._items: dict[Lasting, None] = {}
        self._count = dict.fromkeys(Kind, 0)
        self._settled: Snapshot | None = None  # what everything that is not in `_due` was judged by
        self._due: deque[Lasting] = deque()
        self._slice: asyncio.TimerHandle | None = None
        self._draining = False

    @property
    def tunnels(self) -> int:
        """Open tunnels."""
        return self._count[Kind.TUNNEL]

    def add(
        self,
        kind: Kind,
        owner: Owner,
        case: Case,
        judged_by: Snapshot | None,
        *,
        body: bytes = b"",
        block: bytes = b"",
    ) -> Lasting:
        """Begin to watch; `discard` must follow when it is over.

        Args:
            kind: What it is.
            owner: Who ends it.
            case: The request that began it.
            judged_by: The snapshot by which it was allowed.
            body: The request's body, where the decision needed it.
            block: The request's head, where it was known by its bytes: the case's own is then without the credential.
        """
        item = Lasting(kind, owner, case, judged_by, body)
        if block:
            item.head = HeadReader(self._limits).read(block)
        item.began_at = self._loop.time()
        if kind is Kind.STREAM:
            item.patience_s = max(0.0, self._limits.lasting_idle_s - self._limits.stall_s)
        self._items[item] = None
        self._count[kind] += 1
        current = self._current()
        # It was judged while another snapshot came, or began to last after a revocation that it did not know.
        if judged_by is not current or self._draining or (current is not None and current.revocations.active):
            self._due.append(item)
            self._go_on()
        return item

    def discard(self, item: Lasting, why: str) -> None:
        """It is over."""
        if item in self._items:
            del self._items[item]
            self._count[item.kind] -= 1
            self._metrics.lasting_over(item.kind.value, why)

    def tick(self) -> None:
        """Cut what has expired; begin to judge again where another snapshot is in force."""
        now = self._clock.now()
        if expired := [item for item in self._items if 0.0 < item.expires_at <= now]:
            self._due.extendleft(expired)  # many tokens may expire in the same second
            self._go_on()
        if self._current() is not self._settled:
            self.judge_again()
        for kind, count in self._count.items():
            self._metrics.lasting.labels(kind.value).set(count)

    def judge_again(self) -> None:
        """Judge everything again, a few at a time."""
        self._settled = self._current()
        for item in self._items:
            item.judged_by = None
        self._due = deque(self._items)
        self._go_on()

    def revoked(self) -> None:
        """Look, now and a few at a time, for what belongs to somebody who is revoked."""
        # INVARIANT: whatever else was due is still looked at, because everything is.
        self._due = deque(self._items)
        if self._slice is not None:
            self._slice.cancel()
        self._slice = self._loop.call_later(0.0, self._look) if self._due else None

    def drain(self) -> None:
        """End tunnels and event streams, which would not end by themselves; answers are waited for."""
        self._draining = True
        self._due = deque(self._items)
        self._go_on()

    def close(self) -> None:
        """Look no more."""
        self._due.clear()
        if self._slice is not None:
            self._slice.cancel()
            self._slice = None

    def _go_on(self) -> None:
        if self._due and self._slice is None:
            self._slice = self._loop.call_later(_PAUSE_S, self._look)

    def _look(self) -> None:
        """Look at some of those that are due, then let the loop have its turn."""
        self._slice = None
        until = self._loop.time() + _SLICE_S
        while self._due:
            item = self._due.popleft()
            if item in self._items:
                try:
                    self._look_at(item)
                except Exception as exc:  # noqa: BLE001 - the edge: one that cannot be ended must not keep the others
                    self._fault(exc, item.case.trace_id)
            if self._loop.time() >= until:
                break
        self._go_on()

    def _look_at(self, item: Lasting) -> None:
        if self._draining and item.kind is not Kind.RESPONSE:
            self._cut(item, Cut("drain"))
            return
        if 0.0 < item.expires_at <= self._clock.now():
            self._cut(item, Cut("token_expired"))
            return
        snapshot = self._current()
        if snapshot is None:
            return
        identity, revocations = item.case.identity, snapshot.revocations
        revoked = revocations.active and identity is not None and revocations.blocks(identity)
        if item.judged_by is snapshot and not revoked:
            return
        again = _judged_again(item, snapshot, self._clock, self._limits, self._fault)
        if again.error is not None:
            self._cut(item, Cut("refused", again, snapshot.bundle.version))
            return
        item.judged_by = snapshot
        item.expires_at = again.identity.expires_at if again.identity is not None else 0.0

    def _cut(self, item: Lasting, cut: Cut) -> None:
        item.cut = cut
        item.owner.cut_off(cut)


def _judged_again(
    item: Lasting, snapshot: Snapshot, clock: Clock, limits: Limits, fault: Callable[[Exception, str], None]
) -> Case:
    """The same request as if it came now; its `error` says why it would be refused."""
    case = item.case
    now = clock.now()
    again = Case(event_id=case.event_id, trace_id=case.trace_id, received_at=now, peer=case.peer, head=item.head)
    try:
        route = admit(again, snapshot, limits.body_bytes, limits.decided_body_bytes)
        if case.match is None or route.service != case.match.route.service:
            raise NoRoute("the route leads to another service")  # noqa: TRY301 - refusals of this place and of `admit` are one
        if item.kind is Kind.TUNNEL and not (case.head and route.websocket and _may_open(case, snapshot)):
            raise NoRoute("the route opens no tunnel")  # noqa: TRY301 - as above
        verdict = judge(again, snapshot, item.body if route.reads_body else None, clock.text(now))
        if isinstance(verdict, Refuse):
            again.error = verdict.error
        elif set(again.withheld) - set(case.withheld):
            again.error = Forbidden("fields of the answer are withheld now")
    except GatewayError as error:
        again.error = error
    except Exception as exc:  # noqa: BLE001 - the edge: what nobody foresaw goes on for nobody
        fault(exc, case.trace_id)
        again.error = Internal(f"unforeseen {type(exc).__name__}")
    return again


def _may_open(case: Case, snapshot: Snapshot) -> bool:
    """Whether the tunnel's handshake would still do; raises where its origin would not."""
    if case.head is None or case.match is None:
        return False
    return handshake(case.head, snapshot.origins[case.match.route.service]) is not None
