"""Builders of records and parts for the sinks' tests."""

from typing import Any

from audit.codec import encode
from audit.event import Producer
from audit.ids import EventIds
from audit.settings import RedactionSettings
from audit.sinks.outward import Outward
from tests.builders.audit import make_event

_IDS = EventIds()


def record(seq: int = 1, **fields: Any) -> bytes:
    """An encoded event of now."""
    return encode(make_event(**{"event_id": _IDS.next(), "producer": Producer("p", 1, seq)} | fields))


def records(count: int, **fields: Any) -> list[bytes]:
    """Several."""
    return [record(seq, **fields) for seq in range(1, count + 1)]


def outward(*names: str) -> Outward:
    """What masks, with the configured paths; personal and payment data if no classes are named."""
    return Outward(RedactionSettings().paths, names or ("pii", "payment"))
