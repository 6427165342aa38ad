"""Tests of `audit.kafka.taken`; what is poison stands in test_consumer."""

from types import SimpleNamespace

import msgspec
import pytest
from aiokafka import TopicPartition

from audit.kafka.message import TopicMark, watermark_messages
from audit.kafka.taken import sort
from audit.sinks import Watermark


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_what_has_ended_stays_so(order: tuple[int, int]) -> None:
    """Also when a copy of an earlier word arrives behind it, in the same round."""
    words = [Watermark("p", 3, 100, ended=False), Watermark("p", 3, 200, ended=True)]
    messages = watermark_messages([words[at] for at in order], [0])
    held = [SimpleNamespace(value=message.value, headers=message.headers) for message in messages]
    records, [mark] = sort({TopicPartition("t", 0): held}, 1)
    assert records == []
    assert mark == ("p", 3, 0, 1, words[order[-1]].at_ms, True)


def test_a_mark_counts_the_partitions_either_side_knows() -> None:
    """Whoever knows of more holds readers back."""
    [message] = watermark_messages([Watermark("p", 3, 100, ended=False)], [0])
    value = msgspec.json.encode(TopicMark("p", 3, 100, ended=False, lanes=2))
    held = [SimpleNamespace(value=value, headers=message.headers)]
    for known, lanes in ((1, 2), (5, 5)):
        _, [mark] = sort({TopicPartition("t", 0): held}, known)
        assert mark[3] == lanes
