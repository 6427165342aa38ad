"""Both directions under inputs nobody would write; and what the fuzz notices when something is wrong.

`make fuzz` runs a million; here are 20,000, hypothesis with its own idea of bytes, and what was wrong once.
"""

import json
import operator
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.event import AuditEvent
from gateway.forward import headers
from gateway.forward import request as forward_request
from gateway.forward.upstream import UpstreamConnection
from gateway.serve import recall
from gateway.serve.connection import ClientConnection
from gateway.serve.exchange import Exchange
from gateway.serve.recall import Recall
from gateway.serve.recorder import Recorder
from gateway.wire import chunked, framing, head
from tests.builders.house import credential
from tests.fuzz import corpus
from tests.fuzz.__main__ import as_case
from tests.fuzz.check import Run, check, house
from tests.fuzz.guided import shaped
from tests.fuzz.plan import CLOSE, END, KEEP, SEND, Plan, Reply, plan
from tests.fuzz.shrink import shrunk

CASES = Path(__file__).parents[2] / "cases" / "fuzz"
SHARDS, SHARD = 4, 5_000
FOUND: list[dict[str, Any]] = [
    case for path in sorted(CASES.glob("*.yaml")) for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("shard", range(SHARDS))
def test_twenty_thousand_inputs_and_nothing_wrong(shard: int) -> None:
    """No crash, no hang, nothing forwarded that was not decided, every refusal recorded, no answer split."""
    where = house()
    tally: Counter[str] = Counter()
    wrong = [
        f"--replay 0:{number}: {complaints}"
        for number in range(shard * SHARD, (shard + 1) * SHARD)
        if (complaints := check(where, plan(0, number), tally))
    ]
    assert wrong == []
    # They get far enough to break something: most are read, many are forwarded, and every kind of refusal is met.
    assert tally["requests"] > SHARD
    assert tally["forwarded"] > SHARD // 3
    assert {"bad_request", "upstream_invalid", "request_timeout", "payload_too_large", "forbidden"} <= set(tally)


@pytest.mark.parametrize("case", FOUND, ids=[str(case["why"])[:60] for case in FOUND])
def test_what_was_wrong_once_is_right(case: dict[str, Any]) -> None:
    """Findings stay as cases, as short as they could be made."""
    assert check(house(), Plan.of(case)) == []


_fragments = st.one_of(
    st.sampled_from([*corpus.WORDS, *corpus.FIELDS, *(word for kind in corpus.KINDS for word in kind), b"\r\n"]),
    st.binary(max_size=6),
)
_requests = st.one_of(
    st.sampled_from(corpus.requests()),
    st.lists(_fragments, max_size=12).map(b"".join),
    st.tuples(st.sampled_from(corpus.requests()), st.integers(0, 400), _fragments, st.integers(0, 3)).map(
        lambda it: it[0][: it[1]] + it[2] + it[0][it[1] + it[3] :]
    ),
)


@given(pieces=st.lists(_requests, min_size=1, max_size=4), more=st.booleans(), ends=st.booleans())
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_of_a_client(pieces: list[bytes], more: bool, ends: bool) -> None:
    """Hypothesis chooses, and shortens what it finds."""
    filled = [corpus.filled(piece) for piece in pieces]
    steps = [(SEND, piece) for piece in filled] if more else [(SEND, b"".join(filled))]
    assert check(_house(), Plan([*steps, *([(END, b"")] if ends else [])])) == []


_answers = st.one_of(
    st.sampled_from(corpus.answers()),
    st.lists(_fragments, max_size=12).map(lambda it: b"HTTP/1.1 200 OK\r\n" + b"\r\n".join(it) + b"\r\n\r\n"),
    st.tuples(st.sampled_from(corpus.answers()), st.integers(0, 90), _fragments).map(
        lambda it: it[0][: it[1]] + it[2] + it[0][it[1] :]
    ),
)


@given(raws=st.lists(_answers, min_size=1, max_size=3), then=st.sampled_from([KEEP, CLOSE]), pieces=st.integers(0, 9))
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
def test_any_bytes_of_a_service(raws: list[bytes], then: str, pieces: int) -> None:
    """Nothing a service says becomes two answers, or somebody else's."""
    asked = [(SEND, corpus.filled(corpus.requests()[which])) for which in (0, 6, 7)]
    assert check(_house(), Plan(asked, [Reply(raw, then, pieces=pieces) for raw in raws])) == []


@given(data=st.binary(max_size=200))
@settings(max_examples=100)
def test_what_atheris_would_run(data: bytes) -> None:
    """The shapes that the guided fuzz gives its bytes are inputs like the others."""
    assert check(_house(), shaped(data)) == []


_kept: list[Any] = []


def _house() -> Any:
    """One house for all of hypothesis' examples; each leaves it as new."""
    if not _kept:
        _kept.append(house())
    return _kept[0]


def test_an_input_is_the_same_again_and_can_be_written_down() -> None:
    """A seed and a number are enough; so is the YAML of a finding."""
    one, again = plan(5, 17), plan(5, 17)
    assert one == again
    assert plan(5, 18) != one
    [case] = yaml.safe_load(as_case(one, ["why"]))
    assert credential("Manager") not in json.dumps(case)
    assert Plan.of(case) == one


_OWN = re.compile(
    rb"(x-(?:decision|trace)-id|traceparent|x-security-context): [^\r]*|\"trace_id\":\"[0-9a-f]{32}\"", re.IGNORECASE
)


def test_what_was_judged_before_comes_out_as_if_it_had_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Client and service get the same bytes, ids aside, whether heads are remembered or each is judged anew."""
    found: Counter[bool] = Counter()
    real = Recall.find

    def counted(self: Recall, block: bytes, now: float) -> Any:
        known = real(self, block, now)
        found[known is not None] += 1
        return known

    def outcome(it: Plan) -> tuple[bytes, list[bytes]]:
        where = house()
        run = Run(where, it)
        assert run.go() == []
        return _OWN.sub(rb"\1", bytes(run.client.got)), [_OWN.sub(rb"\1", bytes(end.got)) for end in where.services]

    plans = [it for it in (plan(8, number) for number in range(1_000)) if not it.refuses and not it.stops]
    monkeypatch.setattr(Recall, "find", counted)
    remembered = [outcome(it) for it in plans]
    assert found[True] > 200
    monkeypatch.setattr(Recall, "find", lambda *_: None)
    for it, once in zip(plans, remembered, strict=True):
        assert outcome(it) == once, it.listed()


# --- what it finds

Fault = Callable[[pytest.MonkeyPatch], None]


def _forwards_the_target_as_sent(patch: pytest.MonkeyPatch) -> None:
    real = forward_request.request_head
    patch.setattr(
        forward_request,
        "request_head",
        lambda sent, ends, _, *rest, **named: real(sent, ends, sent.target + b"x", *rest, **named),
    )


def _passes_spoofed_headers(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(headers, "_is_dropped", lambda name: name in {b"host", b"content-length", b"transfer-encoding"})


def _keeps_the_hop_by_hop(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(headers, "_HOP_BY_HOP", frozenset())
    headers._dropped.clear()


def _reads_a_byte_too_much(patch: pytest.MonkeyPatch) -> None:
    real = framing.BodyReader.__init__

    def longer(self: framing.BodyReader, found: framing.Framing) -> None:
        real(self, found)
        self._left += self._left > 0

    patch.setattr(framing.BodyReader, "__init__", longer)


def _lets_chunks_end_anyhow(patch: pytest.MonkeyPatch) -> None:
    real = chunked.ChunkedDecoder._line
    patch.setattr(chunked.ChunkedDecoder, "_line", lambda self, line: real(self, line.rstrip(b"\r\n") + b"\r\n"))


def _ignores_a_second_length(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        head, "request_framing", lambda lengths, _, **__: framing.request_framing(lengths[:1], [], http_11=True)
    )


def _forgets_to_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Recorder, "completed", lambda *_: None)


def _refuses_without_a_record(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Recorder, "refused", lambda _, __, ___, error, then: then(error))


def _does_not_wait_for_the_disk(patch: pytest.MonkeyPatch) -> None:
    def at_once(self: Recorder, event: AuditEvent, then: Callable[[bool], None]) -> None:
        self._sink.emit_durable(event)
        then(True)

    patch.setattr(Recorder, "_durably", at_once)


def _uses_a_lying_connection_again(patch: pytest.MonkeyPatch) -> None:
    def finish(self: UpstreamConnection) -> bool:
        self._user = None
        return not self.closed

    patch.setattr(UpstreamConnection, "finish", finish)


def _waits_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Exchange, "tick", lambda *_: None)


def _raises(patch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise KeyError

    patch.setattr(head, "_origin_form", broken)


def _cuts_with_an_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Exchange, "until_close", False)


def _takes_what_was_judged_for_all(patch: pytest.MonkeyPatch) -> None:
    """Remembers a caller by all of the head but its host."""
    real = recall._fields

    def without(block: bytes, line_end: int) -> tuple[bytes, list[bytes]]:
        fields, traces = real(block, line_end)
        return re.sub(rb"\r\nHost: [^\r]*", b"", fields), traces

    patch.setattr(recall, "_fields", without)


def _reads_on_after_a_refusal(patch: pytest.MonkeyPatch) -> None:
    def on(self: ClientConnection, *, close: bool) -> None:
        self._exchange = None
        self._pump()

    patch.setattr(ClientConnection, "exchange_over", on)


FAULTS: list[Fault] = [
    _forwards_the_target_as_sent,
    _passes_spoofed_headers,
    _keeps_the_hop_by_hop,
    _reads_a_byte_too_much,
    _lets_chunks_end_anyhow,
    _ignores_a_second_length,
    _forgets_to_record,
    _refuses_without_a_record,
    _does_not_wait_for_the_disk,
    _uses_a_lying_connection_again,
    _waits_for_ever,
    _raises,
    _cuts_with_an_end,
    _takes_what_was_judged_for_all,
    _reads_on_after_a_refusal,
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__.strip("_") for fault in FAULTS])
def test_a_planted_fault_is_found(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each breaks one promise; the fuzz that does not notice would be worth nothing."""
    headers._dropped.clear()
    fault(monkeypatch)
    where = house()
    number = next((it for it in range(4_000) if check(where, plan(0, it))), None)
    monkeypatch.undo()
    headers._dropped.clear()
    assert number is not None
    assert check(house(), plan(0, number)) == []


def test_a_finding_is_made_short() -> None:
    """What has nothing to do with it goes."""
    noisy = Plan([(SEND, b"GET /a HTTP/1.1\r\n"), (SEND, b"Host: a\r\nX: needle\r\n\r\n"), (END, b"")])
    short = shrunk(noisy, lambda it: b"needle" in it.sent())
    assert short.steps == [(SEND, b"needle")]
    assert operator.attrgetter("refuses", "stops")(short) == (False, False)
