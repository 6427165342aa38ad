"""One question of a proxy: admitted, judged and recorded as a request to the public port is, and answered.

What the public port could do with an allowed request and a door cannot, is refused here: decide on a body that did not
come, take fields out of the answer, watch a tunnel, forward other bytes than the proxy will.
"""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog

from gateway.case import Case
from gateway.clock import Clock
from gateway.doors.asked import Allowed, Asked, Denied, described_head
from gateway.doors.metrics import DoorMetrics
from gateway.errors import BadRequest, Code, Forbidden, GatewayError, Internal, TooLarge, Unready, UnsupportedMedia
from gateway.forward.context import injected
from gateway.forward.headers import proxy_removes
from gateway.forward.trace import trace_id
from gateway.identify.refusal import TokenRefused
from gateway.limits import Limits
from gateway.metrics import GatewayMetrics
from gateway.model import Peer, Route
from gateway.ops.door import Door, Judged, refused
from gateway.pipeline import Refuse, admit, judge
from gateway.serve.hops import UNKNOWN, TrustedHops
from gateway.snapshot import Snapshot
from gateway.wire.forwarded import canonical

_COMPLAIN_S: Final = 60.0
"""An unknown peer is logged at most once in this time: strangers choose how often they come."""
_KEPT: Final = 1024
"""Addresses that are remembered."""

_log = structlog.get_logger(__name__)


class Ids(Protocol):
    """Who gives out decision ids."""

    def event_id(self) -> str:
        """The next."""


class Checks:
    """Answers what proxies ask, whichever door they come to.

    Args:
        judged: Gives the snapshot at the moment of asking.
        door: Keeps the records.
        ids: Gives each question its id.
        clock: Wall time.
        proxies: Who may ask, by address.
        limits: Of heads and decided bodies, as on the public port.
        inflight: Questions in hand at most; one more is `overloaded`.
        requests: Where decisions are counted, with everybody else's.
        metrics: Where questions are counted.
    """

    def __init__(
        self,
        judged: Judged,
        door: Door,
        ids: Ids,
        clock: Clock,
        proxies: TrustedHops,
        limits: Limits,
        inflight: int,
        requests: GatewayMetrics,
        metrics: DoorMetrics,
    ) -> None:
        self._judged = judged
        self._door = door
        self._ids = ids
        self._clock = clock
        self._proxies = proxies
        self._limits = limits
        self._most = inflight
        self._requests = requests
        self._metrics = metrics
        self._inflight = 0
        self._complained_at = float("-inf")
        self._known: dict[str, Peer] = {}

    async def check(self, door: str, address: tuple[str, int], read: Callable[[Peer], Asked]) -> Allowed | Denied:
        """Answer one question.

        Args:
            door: One of `gateway.doors.asked.DOORS`.
            address: Of the proxy: who is at the other end of the connection.
            read: Gives the request that the proxy describes; raises `GatewayError` where it makes no sense. Only
                called for a proxy that is believed.

        Returns:
            The answer, recorded as promised.
        """
        started = time.perf_counter()
        proxy = self._proxy(address)
        case = Case(event_id=self._ids.event_id(), trace_id=trace_id([]), received_at=self._clock.now(), peer=proxy)
        details: dict[str, Any] = {"door": door, "proxy": proxy.ip}
        allowed: Allowed | None = None
        error: GatewayError | None = None
        self._inflight += 1
        try:
            try:
                self._let_in(proxy)
                allowed = self._judge(case, read(proxy))
            except GatewayError as exc:
                error = exc
            except Exception as exc:  # noqa: BLE001 - the edge: what nobody foresaw is refused and told, never let by
                _log.error("door_failed", door=door, trace_id=case.trace_id, exc_info=exc)
                error = Internal(f"unforeseen {type(exc).__name__}")
            durable = error is None and case.match is not None and case.match.route.durable
            error = await self._door.settle(case, error, details, durable=durable)
        finally:
            self._inflight -= 1
            self._metrics.inflight.set(self._inflight)
        self._metrics.checked(door, error.code if error is not None else None, time.perf_counter() - started)
        if allowed is None or error is not None:
            return Denied(trace_id=case.trace_id, decision_id=case.event_id, error=error or Internal("no answer"))
        return allowed

    def _proxy(self, address: tuple[str, int]) -> Peer:
        """Who asks; read once an address, which is 15 us, and there are few. The port is that of its first question."""
        known = self._known.get(address[0])
        if known is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[address[0]] = peer_at(self._proxies, address)
        return known

    def _let_in(self, proxy: Peer) -> None:
        """Whether this one is listened to at all.

        Raises:
            Forbidden: It is not in `doors.peers`.
            Unready: `overloaded`.
        """
        if not proxy.hop:
            now = self._clock.now()
            if now - self._complained_at >= _COMPLAIN_S:
                self._complained_at = now
                _log.warning("door_peer_unknown", peer=proxy.ip, setting="doors.peers")
            raise Forbidden("door: the peer is not in doors.peers")
        self._metrics.inflight.set(self._inflight)
        if self._inflight > self._most:
            raise Unready("doors: inflight", code=Code.OVERLOADED, headers=((b"retry-after", b"1"),))

    def _judge(self, case: Case, asked: Asked) -> Allowed:
        """Decide, and make what the service must be sent.

        Raises:
            GatewayError: It may not pass, or not by a door.
        """
        case.peer = asked.client
        case.trace_id = trace_id([value for name, value in asked.headers if name == b"traceparent"])
        head = case.head = described_head(asked, self._limits)
        snapshot = self._judged.snapshot
        route = self._admit(case, snapshot)
        if case.path is None or case.path.target != asked.target:
            # The proxy forwards its own bytes, so what is decided on must be them.
            raise BadRequest("door: the target is not in its canonical form")
        if route.websocket or head.get(b"upgrade") is not None:
            raise Forbidden("door: tunnels are opened by the gateway only")
        body = self._body(route, asked)
        case.request_bytes = len(body or b"")
        verdict = judge(case, snapshot, body, self._clock.text(case.received_at))
        self._count(case)
        if isinstance(verdict, Refuse):
            raise verdict.error
        if case.withheld:
            raise Forbidden("door: fields of the answer must be withheld, which only the gateway does")
        fields = tuple(injected(case, snapshot, body))
        # Not what is overwritten: Envoy removes after it has set.
        names = {name for name, _ in asked.headers} - {name for name, _ in fields}
        removed = [name for name in names if proxy_removes(name, pass_authorization=route.pass_authorization)]
        return Allowed(
            trace_id=case.trace_id,
            decision_id=case.event_id,
            policy_version=snapshot.bundle.version,
            fields=fields,
            remove=tuple(sorted(removed)),
        )

    def _admit(self, case: Case, snapshot: Snapshot) -> Route:
        try:
            return admit(case, snapshot, self._limits.body_bytes, self._limits.decided_body_bytes)
        except TokenRefused as exc:
            refused(case, exc, self._judged)
            raise

    def _body(self, route: Route, asked: Asked) -> bytes | None:
        """The body, where the decision needs it.

        Raises:
            UnsupportedMedia: It did not come.
            TooLarge: It is longer than may be decided on.
        """
        if not route.reads_body:
            return None
        if asked.body is None:
            raise UnsupportedMedia("door: this route decides on the body, which did not come")
        if len(asked.body) > min(self._limits.decided_body_bytes, route.body_bytes or self._limits.decided_body_bytes):
            raise TooLarge("body: longer than its limit")
        return asked.body

    def _count(self, case: Case) -> None:
        answer = case.answer
        if answer is None:
            return
        self._requests.decided(answer.effect.value, None if case.memo_hit else case.decision_us / 1e6)
        for failed in (*answer.errors, *case.field_errors):
            self._requests.policy_failed(failed.effect.value)


def peer_at(hops: TrustedHops, address: tuple[str, int]) -> Peer:
    """Who is at an address; nobody who is believed where it is none, as on a socket of the file system."""
    return hops.peer(address) if canonical(address[0].partition("%")[0]) is not None else UNKNOWN
