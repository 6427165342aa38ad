"""Who stands at the operations port, whether they may, and the record of it: the same question, the same record.

Called by `gateway.ops.app`. A `Case` is opened for each request that needs a principal; whatever becomes of it, it is
handed to `settle` before it is answered.
"""

import time
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.event import AuditEvent, Producer
from gateway.case import Case
from gateway.clock import Clock
from gateway.decide.question import ask
from gateway.errors import BadRequest, Code, Forbidden, GatewayError, Unready
from gateway.identify.refusal import TokenRefused
from gateway.metrics import GatewayMetrics
from gateway.model import Identity, Match, Peer, Route
from gateway.record.entry import fold_key, is_known, single
from gateway.snapshot import Snapshot
from gateway.wire.framing import NO_BODY
from gateway.wire.head import Head
from policies.errors import NoDecision
from policies.model import Json
from roles.missing import missing_role
from roles.model import PLATFORM_TENANT

_MICROSECONDS: Final = 1_000_000


class Judged(Protocol):
    """What the door asks of the process it is in."""

    @property
    def snapshot(self) -> Snapshot:
        """The one that decides now."""

    def kid_unknown(self, issuer: str, kid: str, /) -> None:
        """A token names a key that its issuer's set does not have."""


class Door:
    """Opens, decides and closes cases.

    Args:
        judged: Gives the snapshot at the moment of asking.
        emitter: Where records go.
        clock: Wall time.
        metrics: Where decisions and refusals are counted.
    """

    def __init__(self, judged: Judged, emitter: Emitter, clock: Clock, metrics: GatewayMetrics) -> None:
        self._judged = judged
        self._emitter = emitter
        self._clock = clock
        self._metrics = metrics

    def open(self, route: Route, headers: list[tuple[bytes, bytes]], peer: Peer, trace_id: str) -> Case:
        """Begin a case.

        Args:
            route: What is asked for at this port.
            headers: Names in lower case.
            peer: Who is at the other end.
            trace_id: Of the request.
        """
        return Case(
            event_id=self._emitter.event_id(),
            trace_id=trace_id,
            received_at=self._clock.now(),
            peer=peer,
            head=head(route.method, route.template.encode("ascii"), headers),
            match=Match(route, {}),
        )

    def text(self, at: float) -> str:
        """A time as records and policies write it."""
        return self._clock.text(at)

    def admit(self, case: Case) -> Identity:
        """Identify the caller and ask whether they may do what this port is asked for.

        Raises:
            GatewayError: They may not, or nobody can say.
        """
        if case.head is None or case.match is None:
            raise BadRequest("a case without a request", code=Code.INTERNAL)
        snapshot = self._judged.snapshot
        values = case.head.get_all(b"authorization")
        if len(values) > 1:
            raise BadRequest("authorization: repeated")
        try:
            identity = snapshot.identify(values[0] if values else b"", case.received_at, operating=True)
        except TokenRefused as exc:
            refused(case, exc, self._judged)
            raise
        case.identity, case.tenant_id = identity, PLATFORM_TENANT
        self.decide(case, snapshot, case.match, identity, PLATFORM_TENANT, {})
        return identity

    def check_fresh(self) -> None:
        """Refuse to decide for others while revocations of the fleet may be missing.

        Raises:
            Unready: They may, and the configuration says `refuse`.
        """
        self._judged.snapshot.revocations.check_fresh()

    def decide(
        self,
        case: Case,
        snapshot: Snapshot,
        match: Match,
        identity: Identity,
        tenant_id: str,
        context: Mapping[str, Json],
    ) -> None:
        """Put a question to Cedar; the case says which, and the answer.

        Raises:
            Forbidden: The answer is a deny; with the role that would have done.
            Unready: There is no answer.
        """
        principal = identity.principal
        question = case.question = ask(
            match.route,
            match.params,
            principal,
            snapshot.entities(principal),
            tenant_id,
            context,
            self._clock.text(case.received_at),
            cross_tenant=snapshot.cross_tenant,
        )
        started = time.perf_counter()
        try:
            answer, case.memo_hit = snapshot.decisions.decide(question)
        except NoDecision:
            raise Unready("cedar gave no decision") from None
        case.answer = answer
        took_s = time.perf_counter() - started
        case.decision_us = int(took_s * _MICROSECONDS)
        self._metrics.decided(answer.effect.value, None if case.memo_hit else took_s)
        for error in answer.errors:
            self._metrics.policy_failed(error.effect.value)
        if not answer.allows:
            missing = missing_role(question, principal, snapshot.catalogue, snapshot.decisions.answer)
            raise Forbidden("policy", missing_role=missing)

    async def settle(
        self, case: Case, error: GatewayError | None, details: Mapping[str, Any], *, durable: bool
    ) -> GatewayError | None:
        """Write the record of a case, before it is answered.

        What a known caller was denied, and what is durable, is on disk when this returns; strangers' refusals that are
        alike share a record.

        Args:
            case: Complete but for its end.
            error: Why it was refused; None where it was not.
            details: What the record says besides; empty for nothing.
            durable: Whether it must be on disk although it was allowed.

        Returns:
            Why it is refused after all: the error, or that there can be no record.
        """
        case.error = error
        case.status = error.code.status if error is not None else 200
        try:
            if error is not None and not is_known(case):
                self._emitter.emit_folded(
                    fold_key(case, details.get("door", "")),
                    case.trace_id,
                    lambda stamp: self._event(case, details, stamp.producer),
                )
            elif error is not None or durable:
                await self._emitter.emit_durable(self._event(case, details))
            else:
                self._emitter.emit(self._event(case, details))
        except SpoolUnavailable:
            error = Unready("spool", code=Code.AUDIT_UNAVAILABLE)
        if error is not None:
            self._metrics.refused(error.code)
        return error

    def tick(self) -> None:
        """Write what strangers were refused in the last second; call it about that often."""
        self._emitter.emit_due()

    def _event(self, case: Case, details: Mapping[str, Any], producer: Producer | None = None) -> AuditEvent:
        bundle = self._judged.snapshot.bundle
        latency_us = int((self._clock.now() - case.received_at) * _MICROSECONDS)
        event = single(
            case,
            producer or self._emitter.producer(case.event_id),
            self._clock.text(case.received_at),
            latency_us,
            bundle.version,
            bundle.schema_version,
        )
        return msgspec.structs.replace(event, details={**(event.details or {}), **details}) if details else event


def refused(case: Case, exc: TokenRefused, judged: Judged) -> None:
    """Let the record tell whose a refused token says it is, and have a key fetched that nobody knows yet."""
    if exc.claimed is not None:
        case.claimed_tenant, case.claimed_sub = exc.claimed.tenant_id, exc.claimed.sub
    if exc.unknown_key is not None:
        judged.kid_unknown(exc.unknown_key.issuer, exc.unknown_key.kid or "")


def head(method: str, target: bytes, headers: list[tuple[bytes, bytes]]) -> Head:
    """A head as the stages read it, for a request that did not come through `gateway.wire`."""
    return Head(
        method=method.encode("ascii"),
        target=target,
        http_11=True,
        host=b"",
        headers=tuple(headers),
        framing=NO_BODY,
        keep_alive=True,
        expects_continue=False,
        size=0,
    )
