"""Tests of `audit.sinks`: one contract, kept by the real sink and by the one the tests use."""

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
import structlog

from audit.codec import encode
from audit.errors import ClockRefused, SinkUnavailable
from audit.ids import EventIds
from audit.sinks import DIRECT_LANE, Sink, StoreSink, TappedSink, Watermark
from audit.store import Store
from tests.audit.test_relay import ListSink
from tests.builders.audit import make_event
from tests.servers.postgres import Logins


@pytest.fixture(params=["store", "list", "tapped"])
async def sink(request: pytest.FixtureRequest, migrated_database: Logins) -> AsyncIterator[Sink]:
    """Each sink in turn."""
    made: Sink = StoreSink(Store(migrated_database.writer)) if request.param == "store" else ListSink()
    made = TappedSink(made) if request.param == "tapped" else made
    yield made
    await made.close()


async def test_what_every_sink_does(sink: Sink) -> None:
    """It has a name, takes records twice without complaint, takes watermarks, answers a ping, closes twice."""
    payload = encode(make_event(event_id=EventIds().next()))
    assert sink.name.isalpha()
    await sink.ping()
    await sink.deliver([payload, b"poison"])
    await sink.deliver([payload, b"poison"])
    await sink.report([Watermark("p", 1, 1000, ended=False)])
    await sink.close()
    await sink.close()


async def test_the_store_sink_reports_in_the_direct_lane(migrated_database: Logins) -> None:
    """Without a broker there is one lane, apart from those of a topic."""
    sink = StoreSink(Store(migrated_database.writer))
    await sink.report([Watermark("p", 2, 5000, ended=True)])
    await sink.close()
    connection = await asyncpg.connect(migrated_database.owner)
    row = await connection.fetchrow("SELECT producer_epoch, lane, lanes, ended FROM audit_producers")
    await connection.close()
    assert row is not None
    assert tuple(row.values()) == (2, DIRECT_LANE, 1, True)


async def test_a_store_that_is_away_is_said_to_be(migrated_database: Logins) -> None:
    """A refused connection is a retriable error of ours, for records, watermarks and ping alike."""
    sink = StoreSink(Store("postgresql://audit_writer:x@127.0.0.1:1/none"))
    assert migrated_database
    for call in (sink.ping(), sink.deliver([b"x"]), sink.report([])):
        with pytest.raises(SinkUnavailable) as raised:
            await call
        assert raised.value.retriable


async def test_a_tap_is_told_of_what_was_taken_and_can_stop_nothing() -> None:
    """After the delivery, of all of it; one that fails is told of in the log, and the others are told all the same."""
    sink, told = TappedSink(ListSink()), []

    def fails(_: object) -> None:
        raise RuntimeError("a tap")

    sink.taps += [fails, told.append]
    payload = encode(make_event(event_id=EventIds().next()))
    with structlog.testing.capture_logs() as logs:
        await sink.deliver([payload])
    assert told == [[payload]]
    assert [entry["event"] for entry in logs] == ["audit_tap_failed"]
    refusing = TappedSink(StoreSink(Store("postgresql://nobody:x@127.0.0.1:1/none")))
    refusing.taps.append(told.append)
    with pytest.raises(SinkUnavailable):
        await refusing.deliver([payload])
    assert len(told) == 1, "what was not taken is not told of"


async def test_a_clock_that_is_refused_is_remembered_until_something_is_taken() -> None:
    """For readiness: by records and by watermarks alike."""

    class Refusing:
        name = "kafka"
        refuses = True

        async def deliver(self, records: Sequence[bytes]) -> None:
            if self.refuses:
                raise ClockRefused("no")

        async def report(self, marks: Sequence[Watermark]) -> None:
            await self.deliver(())

        async def ping(self) -> None:
            """It is there."""

        async def close(self) -> None:
            """Nothing is held."""

    inner = Refusing()
    sink = TappedSink(inner)
    for send in (sink.deliver, sink.report):
        inner.refuses = True
        with pytest.raises(ClockRefused):
            await send(())
        assert sink.clock_refused
        inner.refuses = False
        await send(())
        assert not sink.clock_refused
