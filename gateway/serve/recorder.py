"""The records of one worker's exchanges: which, when, and what happens when one cannot be written."""

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from audit.errors import SpoolUnavailable
from audit.event import AuditEvent, Phase, Producer
from gateway.case import Case, Closing
from gateway.clock import Clock
from gateway.errors import Code, GatewayError, Unready
from gateway.forward.trace import trace_id
from gateway.model import Peer
from gateway.pipeline import asked
from gateway.ports import AuditSink, Waiter
from gateway.record import entry
from gateway.record.format import COMPLETED, COMPLETED_BODY, DECIDED, SINGLE, marked, record_format
from gateway.snapshot import Snapshot

_FAILED: Final = 400
_TOKEN: Final = b"eyJ"  # what a JWT begins with: `{"` in base64
_SINGLE, _DECIDED, _COMPLETED = Phase.SINGLE.value, Phase.DECIDED.value, Phase.COMPLETED.value
"""As plain text: a member of an enum is hashed by a call of its own."""


class Recorder:
    """Writes what a `Case` has become.

    A request that was judged before leaves a record made from the format of its ruling (`gateway.record.format`); every
    other, and every one that did not go well, leaves one made from its values.

    Args:
        sink: Where records go.
        clock: The worker's.
    """

    def __init__(self, sink: AuditSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock

    def decided(self, case: Case, snapshot: Snapshot, then: Callable[[bool], None]) -> None:
        """Put an allow on disk before it takes effect; `then` is told whether it is there."""
        at = self._clock.text(case.received_at)
        form = self._form(case, snapshot, _DECIDED) if case.ruling is not None else None
        if form is None:
            asked(case, snapshot, at)
            versions = _versions(snapshot)
            self._durably(lambda: entry.decided(case, self._sink.producer(case.event_id), at, *versions), then)
            return
        try:
            seq = self._sink.number(int(case.received_at * 1e3))
        except SpoolUnavailable:
            then(False)
            return
        time, resource = at.encode(), _of_resource(case)
        payload = form % (
            case.event_id.encode(),
            time,
            seq,
            case.peer.ip.encode(),
            resource,
            resource,
            time[:23] + b"Z",
            case.trace_id.encode(),
        )
        try:
            self._sink.emit_rendered_durable(payload, seq, entry.tenant_of(case), then)
        except SpoolUnavailable:
            then(False)

    def number(self, case: Case) -> None:
        """Take the number of a buffered record when it is decided: what a kill then swallows has been counted."""
        case.seq = self._sink.number(int(case.received_at * 1e3))

    def decided_meanwhile(self, case: Case, snapshot: Snapshot | None) -> None:
        """Write down a buffered decision whose exchange takes long, so that readers need not wait for its end."""
        at = self._clock.text(case.received_at)
        if snapshot is not None:
            asked(case, snapshot, at)
        self._sink.emit(entry.decided(case, self._numbered(case), at, *_versions(snapshot)))

    def completed(self, case: Case, snapshot: Snapshot | None) -> None:
        """Say how an allow that is on disk ended."""
        with suppress(SpoolUnavailable):  # the worker's own records have ended: readers are shown `unknown`
            self._completed(case, snapshot)

    def _completed(self, case: Case, snapshot: Snapshot | None) -> None:
        now = self._clock.now()
        latency_us = _micros(now - case.received_at)
        form = self._form(case, snapshot, _COMPLETED) if _went_well(case) else None
        if form is None:
            producer = self._sink.producer(case.event_id)
            self._sink.emit(entry.completed(case, producer, self._clock.text(now), latency_us), durable=True)
            return
        seq = self._sink.number(int(case.received_at * 1e3))
        size = (case.request_bytes,) if case.request_bytes else ()
        values = (
            case.event_id.encode(),
            self._clock.text(now).encode(),
            seq,
            latency_us,
            *size,
            case.trace_id.encode(),
        )
        self._sink.emit_rendered(form % values, seq, entry.tenant_of(case), durable=True)

    def closed(self, case: Case, closing: Closing) -> None:
        """Say how a tunnel or an event stream ended, which was recorded when it began."""
        event_id = self._sink.event_id()
        with suppress(SpoolUnavailable):  # as in `completed`
            producer = self._sink.producer(event_id)
            event = entry.closed(case, closing, event_id, producer, self._clock.text(self._clock.now()))
            self._sink.emit(event, durable=True)

    def single(self, case: Case, snapshot: Snapshot | None) -> None:
        """Write the only record of a buffered exchange."""
        with suppress(SpoolUnavailable):  # the worker's records have ended; a number that was taken is named as lost
            self._record_single(case, snapshot)

    def _record_single(self, case: Case, snapshot: Snapshot | None) -> None:
        form = self._form(case, snapshot, _SINGLE) if _went_well(case) else None
        if form is None:
            self._sink.emit(self._single(case, snapshot))
            return
        at = self._clock.text(case.received_at)
        seq, case.seq = case.seq or self._sink.number(int(case.received_at * 1e3)), 0
        time, resource = at.encode(), _of_resource(case)
        payload = form % (
            case.event_id.encode(),
            time,
            seq,
            case.peer.ip.encode(),
            resource,
            resource,
            time[:23] + b"Z",
            _micros(self._clock.now() - case.received_at),
            case.trace_id.encode(),
        )
        self._sink.emit_rendered(payload, seq, entry.tenant_of(case))

    def refused(
        self, case: Case, snapshot: Snapshot | None, error: GatewayError, then: Callable[[GatewayError], None]
    ) -> None:
        """Record a refusal before it is answered; `then` is told what to answer.

        A known caller's refusal is on disk by then, or the answer becomes `audit_unavailable`. A stranger's is folded
        with those alike and does not wait.
        """
        if not entry.is_known(case):
            self._sink.emit_folded(
                entry.fold_key(case), case.trace_id, lambda stamp: self._single(case, snapshot, stamp.producer)
            )
            then(error)
            return
        unavailable = Unready("the refusal cannot be recorded", code=Code.AUDIT_UNAVAILABLE)
        self._durably(lambda: self._single(case, snapshot), lambda kept: then(error if kept else unavailable))

    def preflight(self, case: Case) -> None:
        """Record what a page was told it may ask, folded with those alike: nobody is known yet, and anybody can ask."""
        self._sink.emit_folded(
            entry.preflight_key(case),
            case.trace_id,
            lambda stamp: entry.preflight(case, stamp.producer, self._clock.text(case.received_at)),
        )

    def turned_away(self, peer: Peer, error: GatewayError) -> None:
        """Record a connection that was not let in: with the others of its network, as any stranger's refusal."""
        case = Case(
            event_id=self._sink.event_id(), trace_id=trace_id([]), received_at=self._clock.now(), peer=peer, error=error
        )
        self.refused(case, None, error, lambda _: None)

    def tick(self) -> None:
        """Write the folds whose time has come."""
        self._sink.emit_due()

    def close(self) -> None:
        """Write what is still folded."""
        self._sink.emit_due(everything=True)

    def _form(self, case: Case, snapshot: Snapshot | None, phase: str) -> bytes | None:
        """The format of a record of this ruling; None where it has to be made from its values."""
        ruling = case.ruling
        if ruling is None or snapshot is None or case.peer.certificate is not None:
            return None  # a certificate is this connection's, and a ruling is everybody's who sends the same head
        if case.target is not None and _may_tell(case.target.resource_json):
            return None  # a format leaves the resource's id open, and what goes into it nobody looks through again
        body = case.request_bytes > 0
        key = (phase, case.status, body)
        forms = ruling.records
        if key not in forms:
            # The first such record says how the rest look. What a format leaves out of account is the same for all.
            asked(case, snapshot, self._clock.text(case.received_at))
            event = marked(case, Phase(phase), self._sink.numbered(0), *_versions(snapshot))
            payload = self._sink.render(event)
            forms[key] = record_format(payload, _order(Phase(phase), body=body)) if payload is not None else None
        return forms[key]

    def _durably(self, make: Callable[[], AuditEvent], then: Callable[[bool], None]) -> None:
        try:
            waiter = self._sink.emit_durable(make())
        except SpoolUnavailable:
            then(False)
            return

        def written(done: Waiter) -> None:
            then(done.exception() is None)

        waiter.add_done_callback(written)

    def _single(self, case: Case, snapshot: Snapshot | None, producer: Producer | None = None) -> AuditEvent:
        latency_us = _micros(self._clock.now() - case.received_at)
        producer = producer or self._numbered(case)
        at = self._clock.text(case.received_at)
        if snapshot is not None:
            asked(case, snapshot, at)
        return entry.single(case, producer, at, latency_us, *_versions(snapshot))

    def _numbered(self, case: Case) -> Producer:
        """The number that was taken for this record, or the next; each is used once."""
        seq, case.seq = case.seq, 0
        return self._sink.numbered(seq) if seq else self._sink.producer(case.event_id)


def _went_well(case: Case) -> bool:
    """Whether a record says nothing but what was foreseen."""
    return (
        case.ruling is not None
        and case.status is not None
        and case.status < _FAILED
        and case.cut is None
        and case.error is None
    )


def _of_resource(case: Case) -> bytes:
    """The resource's id, as it stands in a record."""
    return case.target.resource_json if case.target is not None else b""


def _may_tell(resource: bytes) -> bool:
    """Whether a resource's id may be a secret by its looks; a scheme and its credential, or a key, have white space."""
    return b" " in resource or b"\\" in resource or _TOKEN in resource


def _order(phase: Phase, *, body: bool) -> tuple[object, ...]:
    if phase is Phase.COMPLETED:
        return COMPLETED_BODY if body else COMPLETED
    return DECIDED if phase is Phase.DECIDED else SINGLE


def _versions(snapshot: Snapshot | None) -> tuple[str, str]:
    """Of policies and schema; empty while there are none."""
    return (snapshot.bundle.version, snapshot.bundle.schema_version) if snapshot is not None else ("", "")


def _micros(seconds: float) -> int:
    return max(0, int(seconds * 1e6))
