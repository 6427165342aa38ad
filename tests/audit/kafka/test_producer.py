"""Tests of `audit.kafka.producer`, on a real broker."""

import random

from audit.codec import encode
from audit.event import Producer
from audit.kafka.message import is_watermark, read_watermark
from audit.kafka.producer import KafkaSink
from audit.sinks import Watermark
from tests.builders.audit import make_event
from tests.servers.kafka.admin import create_topic
from tests.servers.kafka.broker import Broker, read_topic
from tests.servers.kafka.server import topic


async def test_events_and_then_watermarks_stand_in_the_topic(broker: Broker) -> None:
    """Each event under its tenant; each mark in every partition, behind the events; bytes that are no event as well."""
    name = await broker.topic(3)
    sink = KafkaSink(broker.bootstrap_servers, name)
    await sink.ping()
    events = [encode(make_event(tenant_id=f"t{each % 7}", producer=Producer("p", 1, each + 1))) for each in range(70)]
    await sink.deliver([*events, b"garbage"])
    await sink.report([Watermark("p", 1, 5, ended=False), Watermark("q", 1, 6, ended=True)])
    await sink.close()
    found = await read_topic(broker.bootstrap_servers, name)
    assert sorted(each.value for each in found if each.key) == sorted(events)
    assert [each.value for each in found if each.key is None and not is_watermark(each.headers)] == [b"garbage"]
    for partition in range(3):
        here = [each for each in found if each.partition == partition]
        assert [read_watermark(each.value)[0::4] for each in here[-2:]] == [("p", 3), ("q", 3)]
        assert not any(is_watermark(each.headers) for each in here[:-2])


async def test_a_record_that_is_too_large_becomes_a_dead_letter(kafka: str) -> None:
    """The others pass; it lies among the dead letters with its reason, whole; and they may take it in pieces only."""
    for limit in ("1000000", "5000"):
        name, dead = topic(), topic()
        await create_topic(kafka, name, 1, settings={"max.message.bytes": "5000"})
        await create_topic(kafka, dead, 1, settings={"max.message.bytes": limit})
        noise = random.Random(7).randbytes(20_000).hex()
        events = [encode(make_event(producer=Producer("p", 1, each + 1))) for each in range(20)]
        events[7] = encode(make_event(details={"noise": noise}))
        sink = KafkaSink(kafka, name, dead_letter_topic=dead)
        await sink.deliver(events)
        await sink.deliver(events[:1])
        await sink.close()
        left = [*events[:7], *events[8:], events[0]]
        assert [each.value for each in await read_topic(kafka, name)] == left
        letters = await read_topic(kafka, dead)
        headers = dict(letters[-1].headers)
        assert headers["reason"] == b"too_large"
        assert f"{name} refuses {len(events[7])} bytes".encode() in headers["error"]
        assert headers["ce_type"] == b"authz.decision.evaluated"
        if limit == "5000":
            number, parts = map(int, headers["part"].split(b"/"))
            assert number == parts > 1
            assert b"".join(each.value for each in letters[-parts:]) == events[7]
        else:
            assert [each.value for each in letters] == [events[7]]
            assert "part" not in headers
