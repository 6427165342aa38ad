"""Which record is written when, and what is answered when one cannot be."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest

from audit.emit import Emitter
from audit.errors import SpoolUnavailable
from audit.event import AuditEvent, Phase
from gateway.case import Case, Closing
from gateway.clock import Clock
from gateway.errors import Code, Forbidden, GatewayError, NotIdentified
from gateway.known import Ruling, Target
from gateway.model import Identity, Peer
from gateway.serve.recorder import Recorder
from gateway.snapshot import Snapshot
from roles.model import Principal
from tests.builders.plane import TappedEmitter

CALLER = Identity(Principal("dev", "acme", "u", ()), "jwt", token_sha256=b"x" * 32)


def case(sink: Emitter, *, identity: Identity | None = None) -> Case:
    """A request that came a moment ago."""
    now = Clock().now()
    return Case(
        event_id=sink.event_id(), trace_id="a" * 32, received_at=now, peer=Peer("192.0.2.1", 1), identity=identity
    )


async def test_a_known_callers_refusal_is_answered_once_it_is_on_disk(tmp_path: Path) -> None:
    """Not before."""
    sink = TappedEmitter(tmp_path / "spool")
    told: list[GatewayError] = []
    error = Forbidden("policy")
    Recorder(sink, Clock()).refused(case(sink, identity=CALLER), None, error, told.append)
    assert told == []
    await sink.aclose()
    assert told == [error]
    assert [event.tenant_id for event in sink.events] == ["acme"]


async def test_a_strangers_refusal_is_answered_at_once_and_folded(tmp_path: Path) -> None:
    """Alike ones share a record with an exact count, under the id the first was told."""
    sink = TappedEmitter(tmp_path / "spool")
    recorder = Recorder(sink, Clock())
    told: list[GatewayError] = []
    error = NotIdentified("signature")
    first = case(sink)
    first.error = error
    recorder.refused(first, None, error, told.append)
    for _ in range(9):
        again = case(sink)
        again.error = error
        recorder.refused(again, None, error, told.append)
    assert told == [error] * 10
    assert sink.events == []
    recorder.close()
    [event] = sink.events
    assert event.aggregate is not None
    assert (event.aggregate.count, event.event_id) == (10, first.event_id)
    await sink.aclose()


async def test_without_room_the_answer_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal nobody could record is `audit_unavailable`."""
    sink = TappedEmitter(tmp_path / "spool")

    def full(_: AuditEvent) -> None:
        raise SpoolUnavailable("full")

    monkeypatch.setattr(sink, "emit_durable", full)
    told: list[GatewayError] = []
    Recorder(sink, Clock()).refused(case(sink, identity=CALLER), None, Forbidden("policy"), told.append)
    assert [error.code for error in told] == [Code.AUDIT_UNAVAILABLE]
    await sink.aclose()


async def test_the_end_of_what_lasts_has_an_id_and_a_number_of_its_own(tmp_path: Path) -> None:
    """Taken when it ends, so that nothing waits for it while it lasts."""
    sink = TappedEmitter(tmp_path / "spool")
    opening = case(sink, identity=CALLER)
    Recorder(sink, Clock()).closed(opening, Closing(kind="websocket", why="closed", lasted_s=1.0))
    [event] = sink.events
    assert event.event_id > opening.event_id
    assert event.producer.seq == 1
    await sink.aclose()


async def test_a_number_is_used_once(tmp_path: Path) -> None:
    """Taken when it was decided; the completion of a long read gets the next."""
    sink = TappedEmitter(tmp_path / "spool")
    recorder = Recorder(sink, Clock())
    read = case(sink, identity=CALLER)
    recorder.number(read)
    taken = read.seq
    other = sink.number(0)
    recorder.decided_meanwhile(read, None)
    recorder.completed(read, None)
    assert [event.phase for event in sink.events] == [Phase.DECIDED, Phase.COMPLETED]
    assert [event.producer.seq for event in sink.events] == [taken, other + 1]
    await sink.aclose()


async def test_what_ends_behind_the_workers_last_record_breaks_nothing(tmp_path: Path) -> None:
    """A stop has closed the spool while an exchange was under way: it takes no number, refuses no less."""
    sink = TappedEmitter(tmp_path / "spool")
    recorder = Recorder(sink, Clock())
    under_way, counted = case(sink, identity=CALLER), case(sink, identity=CALLER)
    recorder.number(counted)
    await sink.aclose()
    recorder.completed(under_way, None)
    recorder.single(under_way, None)
    recorder.single(counted, None)
    recorder.closed(under_way, Closing(kind="websocket", why="closed", lasted_s=1.0))
    told: list[GatewayError] = []
    recorder.refused(under_way, None, Forbidden("policy"), told.append)
    assert [error.code for error in told] == [Code.AUDIT_UNAVAILABLE]


@pytest.mark.parametrize(
    ("resource", "made"),
    [("o-1", True), ("Bearer 0123456789abcdef", False), ("a\tb", False), ("ey" + "JhbGciOiJFUzI1NiJ9.e30.c2ln", False)],
)
async def test_no_format_is_filled_with_what_may_be_a_secret(tmp_path: Path, resource: str, made: bool) -> None:
    """Such a record is made from its values, and those are looked through."""
    sink = TappedEmitter(tmp_path / "spool")
    read = case(sink, identity=CALLER)
    read.status = 200
    read.ruling = cast("Ruling", SimpleNamespace(records={("single", 200, False): b"a form"}))
    read.target = cast("Target", SimpleNamespace(resource_json=msgspec.json.encode(resource)[1:-1]))
    form = Recorder(sink, Clock())._form(read, cast("Snapshot", SimpleNamespace()), "single")
    assert (form is not None) is made
    await sink.aclose()
