"""`audit.registry.model`: names of events and of their classes."""

import pytest

from audit.event import Kind, Severity
from audit.registry.load import packaged
from audit.registry.model import EventType, class_name, is_past


@pytest.mark.parametrize(
    "word", ["cancelled", "taken", "sent", "paid", "price_changed", "synced", "read", "withdrawn", "evaluated"]
)
def test_what_has_happened(word: str) -> None:
    """A participle, alone or behind what it is about."""
    assert is_past(word)


@pytest.mark.parametrize("word", ["cancel", "open", "count", "payment", "need", "feed", "event", "hold", "cancelling"])
def test_what_has_not_happened(word: str) -> None:
    """An order, a thing, or something that goes on."""
    assert not is_past(word)


def test_a_class_is_named_for_subject_and_fact() -> None:
    """Without the service, whose module it stands in; or as the registry says."""
    entry = EventType(since="1.0.0", says="x")
    assert class_name("order.order.cancelled", entry) == "OrderCancelled"
    assert class_name("audit.dead_letters.replayed", entry) == "DeadLettersReplayed"
    assert class_name("order.order.cancelled", EventType(since="1.0.0", says="x", class_name="Gone")) == "Gone"


def test_every_severity_in_its_order() -> None:
    """Of success and failure together, least grave first, each once."""
    entry = EventType(since="1.0.0", says="x", severity=(Severity.NOTICE, Severity.INFO))
    assert entry.severities == (Severity.INFO, Severity.NOTICE, Severity.ERROR)


def test_common_fields_are_those_of_the_kind() -> None:
    """What a domain event may say besides is no field of a decision."""
    registry = packaged()
    assert "decision_id" in registry.fields("order.order.created")
    assert "decision_id" not in registry.fields("audit.loss")
    assert set(registry.common) == {Kind.DOMAIN}
