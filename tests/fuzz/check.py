"""Runs one plan through a data plane, and says what must not have happened.

What must hold, whatever is sent:

* nobody is surprised: no exception, no loop that feeds itself, no wait without an end;
* each request a service gets was decided, once, by the record that its `X-Decision-Id` names, and is what the record
  says: method, path and resource; of a durable one the record was on disk before;
* what a service gets is one request to any reader (h11 reads it), with one context, one tenant, one host, and no
  credential; and it is what h11 reads in the client's own bytes, body and all;
* each request leaves one record, each refusal too, and each answer names the record;
* what a client gets is one answer a request, in order, to any reader (h11 again): no answer split in two, none behind
  the last, and a whole one is what h11 reads in the service's own bytes;
* nothing is held: no buffer beyond its bound, no connection or request left over.
"""

import functools
import re
from collections import Counter
from typing import Final
from urllib.parse import unquote_to_bytes

import h11

from audit.event import AuditEvent, Phase
from gateway.limits import Limits
from tests.builders import second
from tests.builders.house import End, Hang, House
from tests.fuzz import corpus, plan
from tests.fuzz.plan import Plan, Reply

LIMITS: Final = Limits(
    request_line_bytes=1_000,
    header_bytes=6_000,
    header_count=40,
    body_bytes=1_000,
    decided_body_bytes=200,
    pipelined_bytes=8_000,
    write_buffer_bytes=2_000,
)
_HELD: Final = 4 * 64 * 1024
"""More than any limit lets wait in one connection of these inputs."""
_DECISION: Final = b"x-decision-id"
_OURS: Final = re.compile(rb"host$|x[-_](?:security[-_]context|tenant[-_]id|user[-_].*|decision[-_]id|trace[-_]id)$")
_ADDED: Final = re.compile(
    rb"x-(?:security-context|tenant-id|user-|decision-id|trace-id|forwarded-)|traceparent|host$|content-length$|transfer-encoding$"
)
_INJECTED: Final = sorted(
    [b"host", b"x-security-context", b"x-tenant-id", b"x-user-id", b"x-user-roles", _DECISION, b"x-trace-id"]
)
_NEVER: Final = re.compile(
    rb"authorization|upgrade|te|connection|keep-alive|trailer|http2-settings|transfer_encoding|content_length"
)
_ALLOWED: Final = (Phase.SINGLE, Phase.DECIDED)
_PIECED: Final = 1_500
"""Bytes of an answer that are sent in pieces; more would only take long."""
_DURABLE: Final = frozenset({"POST"})
_REPEATED: Final = frozenset({b"GET", b"HEAD", b"PUT", b"DELETE"})
_HEAD_END: Final = b"\r\n\r\n"


class _Service:
    """The service's end of one connection: reads heads and bodies by itself, answers as planned.

    Attributes:
        spoken: For each request head that was read, by decision id: what was answered to it.
    """

    def __init__(self, run: "Run", end: End) -> None:
        self.run = run
        self.end = end
        self.at = 0
        self.held = b""
        self.left = 0
        self.chunked = False
        self.in_body = False
        self.lied = self.caught = False
        self.method = b""
        end.on_data = self.take

    def take(self, data: bytes) -> None:
        """Read on, and answer what is whole."""
        self.held += data
        while True:
            if not self.in_body:
                head, found, rest = self.held.partition(_HEAD_END)
                if not found:
                    return
                self.held = rest
                self.begin(head.lower())
            if not self.body_ended():
                return
            self.in_body = False
            if not self.reply.early:
                self.answer()

    def body_ended(self) -> bool:
        """Read on in a body."""
        if not self.chunked:
            size = min(self.left, len(self.held))
            self.held, self.left = self.held[size:], self.left - size
            return not self.left
        while True:
            line, found, rest = self.held.partition(b"\r\n")
            size = int(line, 16) if found else 0
            if not found or len(rest) < size + 2:
                return False
            self.held = rest[size + 2 :]
            if not size:
                return True

    def begin(self, head: bytes) -> None:
        """A head is there."""
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        self.left = int(length[1]) if length else 0
        self.chunked = b"\r\ntransfer-encoding: chunked" in head
        self.in_body = True
        self.reply = self.run.next_reply()
        decision = re.search(rb"\r\nx-decision-id: ([^\r]*)", head)
        self.decision = decision[1].decode("latin-1") if decision else ""
        if self.caught:
            self.run.wrong("a connection that had lied was used again")
        self.method = head.partition(b" ")[0].upper()
        if self.lied:
            self.run.doubtful.add(self.decision)
        if self.decision not in self.run.kept:
            self.run.early.add(self.decision)
        if self.run.plan.stops:
            self.end.take(takes=False)
        if self.reply.early:
            self.answer()

    def answer(self) -> None:
        """Say what was planned."""
        reply, end = self.reply, self.end
        if reply.then == plan.SILENT:
            return
        size = (len(reply.raw) < _PIECED and reply.pieces) or len(reply.raw) or 1
        for at in range(0, len(reply.raw), size):
            end.send(reply.raw[at : at + size])
        self.run.spoken.setdefault(self.decision, []).append(reply)
        lies = _more_than_an_answer(reply, self.method)
        # Caught is who says too much at once; what comes in pieces may be taken for the next answer, and that again.
        self.caught = self.caught or (lies and not self.lied and size >= len(reply.raw))
        self.lied = self.lied or lies
        self.run.lied = self.run.lied or lies
        if reply.then == plan.CLOSE:
            end.finish()
        elif reply.then == plan.CUT:
            self.run.house.loop.call_soon(end.reset)


class Run:
    """One plan on its way.

    Attributes:
        client: The client's end.
        complaints: What was wrong.
        spoken: By decision id, the replies that were given.
        kept: Decision ids whose record is kept.
        early: Decision ids of requests that came when theirs was not.
        tally: What happened, so that it can be seen that something did.
        doubtful: Decision ids asked of a service that had said more than it was asked: what it says next may be the
            rest of that, and no recipient can tell.
        lied: Whether a service said more than it was asked.
    """

    def __init__(self, house: House, found: Plan) -> None:
        self.house = house
        self.plan = found
        self.complaints: list[str] = []
        self.spoken: dict[str, list[Reply]] = {}
        self.kept: set[str] = set()
        self.early: set[str] = set()
        self.doubtful: set[str] = set()
        self.lied = False
        self.tally: Counter[str] = Counter()
        self._replies = iter(found.replies)
        self._refused = False
        self.client = house.client()
        house.loop.answers = self._connect
        house.sink.kept = lambda event: self.kept.add(event.event_id)

    def wrong(self, text: str) -> None:
        """Complain."""
        self.complaints.append(text)

    def next_reply(self) -> Reply:
        """What the service says next."""
        return next(self._replies, Reply())

    def _connect(self, end: End) -> None:
        if self.plan.refuses and not self._refused:
            self._refused = True
            raise ConnectionRefusedError
        self.house.services.append(end)
        _Service(self, end)

    def go(self) -> list[str]:
        """Do it, and judge it."""
        house, client = self.house, self.client
        try:
            self._act(client)
            house.rest()
        except Hang as exc:
            self.wrong(f"hang: {exc}")
        except Exception as exc:  # noqa: BLE001 - whatever escapes is the finding
            self.wrong(f"escaped: {exc!r}")
        for fault in house.faults:
            self.wrong(f"unforeseen: {fault!r}")
        for context in house.loop.failed:
            self.wrong(f"the loop was told: {context.get('exception') or context['message']!r}")
        if not self.complaints:
            self._judge(client)
        return self.complaints

    def _act(self, client: End) -> None:
        house = self.house
        for act, data in self.plan.steps:
            if act == plan.SEND:
                client.send(data)
            elif act == plan.END:
                client.finish()
            elif act == plan.RESET:
                client.reset()
            elif act == plan.WAIT:
                house.pass_time(0.5)
            else:
                client.take(takes=act == plan.UNBLOCK)
            house.settle()
            held = len(client.protocol._buffer) + client.transport.most
            if held > _HELD:
                self.wrong(f"{held} bytes are held")

    # --- judgement

    def _judge(self, client: End) -> None:
        events = self.house.sink.of_phase(*_ALLOWED)
        self.tally["requests"] = len(events)
        for event in events:
            if event.decision is not None:
                self.tally[event.decision.code or event.decision.effect] += 1
        self._judge_records(events)
        sent = [(end, *second.requests(bytes(end.got))) for end in self.house.services]
        self._judge_sent(sent, {event.event_id: event for event in events})
        self._judge_answers(client, events)
        if client.transport.most > _HELD:
            self.wrong(f"{client.transport.most} bytes waited for the client")

    def _judge_records(self, events: list[AuditEvent]) -> None:
        """Each request has one record, or the two of a durable one."""
        opened = [event.event_id for event in events]
        if len(set(opened)) != len(opened):
            self.wrong("two records of one request")
        ended = [event.event_id for event in self.house.sink.of_phase(Phase.COMPLETED)]
        wanted = [event.event_id for event in events if event.phase is Phase.DECIDED]
        if ended != wanted:
            self.wrong(f"decided {wanted}, completed {ended}")
        for event in events:
            if event.event_id in self.early and event.request is not None and event.request.method in _DURABLE:
                self.wrong(f"{event.request.method} came before its record")

    def _judge_sent(self, sent: list[tuple[End, list[second.Sent], str]], events: dict[str, AuditEvent]) -> None:
        forwarded: list[tuple[str, second.Sent]] = []
        for end, found, why in sent:
            if why:
                self.wrong(f"what the service got is not HTTP: {why}: {bytes(end.got)[:300]!r}")
            for request in found:
                if not request.whole and not end.closed:
                    self.wrong("a request to the service was never ended")
                forwarded.append((self._decision_of(request, events), request))
        self.tally["forwarded"] = len(forwarded)
        names = [name for name, _ in forwarded]
        for name, request in forwarded:
            if names.count(name) > 1 and (request.method not in _REPEATED or request.body):
                self.wrong(f"{request.method!r} was sent twice under one decision")
        if forwarded and not self.complaints:
            self._judge_meant(sorted(dict(forwarded).items()))

    def _decision_of(self, request: second.Sent, events: dict[str, AuditEvent]) -> str:
        """The decision a request was sent under, and whether it is about that request."""
        spoken = [name for name, _ in request.fields if _OURS.match(name)]
        if sorted(spoken) != _INJECTED:
            self.wrong(f"the service was told {spoken}")
        for name, _ in request.fields:
            if _NEVER.fullmatch(name):
                self.wrong(f"{name!r} reached the service")
        name = b"".join(request.get(_DECISION)).decode("latin-1")
        event = events.get(name)
        if event is None or event.decision is None or event.decision.effect != "allow":
            self.wrong(f"a request reached the service that was not allowed: {request.method!r} {request.target!r}")
            return name
        if event.request is None or event.resource is None or event.request.route is None:
            self.wrong("an allow that says nothing of its request")
            return name
        if event.request.method.encode() != request.method:
            self.wrong(f"decided on {event.request.method}, sent {request.method!r}")
        pattern = _pattern(event.request.route)
        match = pattern.fullmatch(request.target.partition(b"?")[0])
        decided = " ".join(unquote_to_bytes(part).decode() for part in match.groups()) if match else None
        if decided != event.resource.id:
            self.wrong(f"decided on {event.request.route} {event.resource.id!r}, sent {request.target!r}")
        return name

    def _judge_meant(self, forwarded: list[tuple[str, second.Sent]]) -> None:
        """What was forwarded is, in order, what another reader finds in the client's bytes."""
        meant, why = second.requests(self.plan.sent())
        at = 0
        for _, request in forwarded:
            while at < len(meant) and not _same(meant[at], request):
                at += 1
            if at == len(meant):
                self.wrong(
                    f"forwarded {request.method!r} {request.target!r} with {len(request.body)} bytes, which h11 does "
                    f"not read in what the client sent ({why or 'no error'})"
                )
                return
            at += 1

    def _judge_answers(self, client: End, events: list[AuditEvent]) -> None:
        acts = {act for act, _ in self.plan.steps}
        ended = client.closed and not client.reset_by_peer and plan.RESET not in acts
        answers = second.Answers(bytes(client.got), ended=ended)
        gone = bool(acts & {plan.RESET, plan.BLOCK})
        for event in events:
            last = self._ended(event)
            method = last.request.method.encode() if last.request else b"GET"
            try:
                said = answers.next(method)
            except h11.RemoteProtocolError as exc:
                self.wrong(f"what the client got is not HTTP: {exc}: {bytes(client.got)[-300:]!r}")
                return
            if said is None:
                if not gone and not (last.details or {}).get("cut"):
                    self.wrong(f"no answer to {method!r}, recorded as {last.status}")
                continue
            self.tally["answered"] += 1
            self._judge_answer(said, last, method, gone=gone)
            if not said.whole:
                break
        if answers.more and not gone and not self.complaints:
            self.wrong(f"more behind the last answer: {answers.more[:200]!r}")

    def _ended(self, event: AuditEvent) -> AuditEvent:
        """The record that tells how it ended."""
        if event.phase is Phase.SINGLE:
            return event
        ends = (it for it in self.house.sink.events if it.event_id == event.event_id and it is not event)
        return next(ends, event)

    def _judge_answer(self, said: second.Said, event: AuditEvent, method: bytes, *, gone: bool) -> None:
        if said.get(_DECISION) != [event.event_id.encode()]:
            self.wrong(f"an answer names {said.get(_DECISION)}, its record is {event.event_id}")
        if event.status != said.status:
            self.wrong(f"answered {said.status}, recorded {event.status}")
        if said.get(b"x-security-context"):
            self.wrong("a context reached the client")
        details = event.details or {}
        if not said.whole:
            if not gone and "cut" not in details:
                self.wrong("an answer that is not whole, and not recorded as cut")
        elif "reason" not in details and event.event_id not in self.doubtful:  # the service's own words
            self._judge_words(said, self.spoken.get(event.event_id, []), method)

    def _judge_words(self, said: second.Said, replies: list[Reply], method: bytes) -> None:
        """A whole answer is what h11 reads in what the service said."""
        if not replies and not self.lied:
            self.wrong(f"a whole answer {said.status} that no service gave")
        for reply in replies[-1:]:
            theirs = _read(reply, method)
            if theirs is None or (theirs.status, theirs.body, theirs.whole) != (said.status, said.body, True):
                self.wrong(f"the client was told {said.status} {said.body[:60]!r}, h11 reads {theirs} in {reply.raw!r}")


def _read(reply: Reply, method: bytes) -> second.Said | None:
    """A service's answer as h11 reads it."""
    try:
        return second.Answers(reply.raw, ended=reply.then == plan.CLOSE).next(method)
    except h11.RemoteProtocolError:
        return None


def _more_than_an_answer(reply: Reply, method: bytes) -> bool:
    """Whether a service said something behind its answer, for which nobody has asked."""
    answers = second.Answers(reply.raw, ended=False)
    try:
        said = answers.next(method)
    except h11.RemoteProtocolError:
        return True
    return said is None or not said.whole or bool(answers.more)


@functools.cache
def _pattern(template: str) -> re.Pattern[bytes]:
    return re.compile(re.sub(r"\{\w+\}", "([^/]+)", template).encode())


def _same(meant: second.Sent, sent: second.Sent) -> bool:
    """Whether two readers speak of one request: method, target but for its spelling, host, fields and body."""
    if meant.method != sent.method or (sent.whole and not (meant.whole and meant.body == sent.body)):
        return False
    absolute = re.match(rb"(?i)https?://([^/?]*)", meant.target)
    target = meant.target[absolute.end() :] if absolute else meant.target
    if absolute and absolute[1].lower() != b"".join(meant.get(b"host")).lower():
        return False
    target = target if target.startswith(b"/") else b"/" + target
    theirs, ours = target.partition(b"?"), sent.target.partition(b"?")
    told = [pair for pair in sent.fields if not _ADDED.match(pair[0])]
    return (
        theirs[1:] == ours[1:]
        and unquote_to_bytes(theirs[0]) == unquote_to_bytes(ours[0])
        and set(told) <= set(meant.fields)
        and meant.get(b"host") in ([], [b""], sent.get(b"host"))  # a client may name none
    )


def house() -> House:
    """A data plane for fuzzing: small limits, so that they are met."""
    return House(limits=LIMITS, routes=corpus.ROUTES)


def check(where: House, found: Plan, tally: Counter[str] | None = None) -> list[str]:
    """Run a plan; returns what was wrong, and leaves the house as new.

    Args:
        where: From `house`.
        found: What to do.
        tally: What happened is added to it.
    """
    run = Run(where, found)
    try:
        return run.go()
    finally:
        if tally is not None:
            tally.update(run.tally)
        where.clear()
