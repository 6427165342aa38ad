"""`audit.registry.check`, and that the JSON Schema of a type says the same."""

from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.event import AuditEvent, Kind, Outcome, Phase, Producer, Redaction, Resource, Severity
from audit.ids import EventIds
from audit.registry.check import misfit, problems
from audit.registry.load import packaged
from audit.registry.model import EventType, Field, FieldType, Registry
from audit.registry.schema import schema
from tests.builders.registered import faults, validator

GOOD = AuditEvent(
    event_id=EventIds().next(),
    phase=Phase.SINGLE,
    event_type="order.order.discounted",
    kind=Kind.DOMAIN,
    tenant_id="acme",
    occurred_at="2026-11-26T06:00:00.000000Z",
    producer=Producer("svc-order", 1, 1),
    action="order:discount",
    crud="u",
    resource=Resource("Order", "o-1"),
    outcome=Outcome.SUCCESS,
    details={"percent": 5, "off": 100, "decision_id": "x"},
)


def test_an_event_that_is_as_registered() -> None:
    """Neither the check nor the schema has anything to say."""
    assert faults(GOOD) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"event_type": "order.order.discunted"}, "is not registered; the nearest is `order.order.discounted`"),
        ({"kind": Kind.ADMIN}, "kind is `admin`"),
        ({"phase": Phase.DECIDED}, "phase `decided`"),
        ({"severity": Severity.CRITICAL}, "severity `critical`"),
        ({"severity": Severity.NOTICE}, "severity `notice` is not registered for this outcome"),
        ({"action": "order:create"}, "action `order:create`"),
        ({"resource": Resource("Product", "p")}, "resource type `Product`"),
        ({"crud": "d"}, "crud `d`"),
        ({"details": None}, "`off` is missing"),
        ({"details": {"percent": 5}}, "`off` is missing"),
        ({"details": {"percent": 5, "off": 1, "offf": 1}}, "`offf` is no registered field; the nearest is `off`"),
        ({"details": {"percent": "5", "off": 1}}, "`percent` is not an integer"),
        ({"details": {"percent": True, "off": 1}}, "`percent` is not an integer"),
        ({"details": {"percent": 0, "off": 1}}, "`percent` is below 1"),
        ({"details": {"percent": 101, "off": 1}}, "`percent` is above 100"),
        ({"details": {"percent": 5, "off": 1, "code": "x" * 65}}, "`code` is longer than 64"),
    ],
)
def test_what_is_wrong_is_named_and_its_value_is_not(changed: dict[str, Any], reason: str) -> None:
    """The check names the field; the schema of the type refuses the same event."""
    event = msgspec.structs.replace(GOOD, **changed)
    found = problems(event, packaged())
    assert any(reason in each for each in found), found
    assert "x" * 65 not in str(found)
    if event.event_type == GOOD.event_type:
        wire = msgspec.json.decode(msgspec.json.encode(event))
        assert not validator(event.event_type).is_valid(wire)


def test_a_failure_may_have_ended_before_there_was_anything_to_say() -> None:
    """Nothing is required of it, and its severity may be one of a failure."""
    failed = msgspec.structs.replace(GOOD, outcome=Outcome.FAILURE, severity=Severity.ERROR, details={"code": "x"})
    assert faults(failed) == []


def test_what_redaction_took_is_not_missed() -> None:
    """A record that was cut says so; what is left of it has registered names, whatever stands there now."""
    cut = msgspec.structs.replace(GOOD, details={"percent": "***"}, redaction=Redaction("enforce", ("details.off",)))
    assert faults(cut) == []
    named = msgspec.structs.replace(cut, details={"percentage": "***"})
    assert len(faults(named)) == 2


def test_an_event_that_is_never_a_success_says_everything() -> None:
    """`audit.loss` is always a failure, and what is lost must stand there."""
    loss = msgspec.structs.replace(
        GOOD,
        event_type="audit.loss",
        kind=Kind.SYSTEM,
        action=None,
        resource=None,
        outcome=Outcome.FAILURE,
        severity=Severity.CRITICAL,
        details={"producer": "p", "epoch": 1, "missing": [[1, 2]], "count": 2, "reason": "shed"},
    )
    assert faults(loss) == []
    less = msgspec.structs.replace(loss, details={"producer": "p"})
    assert len([each for each in faults(less) if "missing" in each or "required" in each]) >= 4


def test_a_severity_that_is_left_out_is_info() -> None:
    """Which is wrong where a type is never `info`, or a success of it is not: the schema says so of the bytes, too."""
    late = msgspec.structs.replace(GOOD, event_type="audit.late", kind=Kind.SYSTEM, action=None, resource=None)
    erased = msgspec.structs.replace(
        GOOD,
        event_type="customer.customer.erased",
        action="customer:erase",
        crud="d",
        resource=Resource("Customer", "c-1"),
        details={"accounts": 0, "orders": 0},
    )
    for event in (late, erased):
        wire = msgspec.json.decode(msgspec.json.encode(event))
        assert "severity" not in wire
        assert any("severity" in each for each in problems(event, packaged()))
        assert any("severity" in error.message for error in validator(event.event_type).iter_errors(wire))


FRACTIONS = st.floats(-2, 2, width=16).filter(lambda value: not value.is_integer())
"""JSON Schema has 1.0 for an integer; nobody who writes Python means that."""
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | FRACTIONS | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("k", max_size=1), inner, max_size=1),
    max_leaves=4,
)
FIELDS = {
    "string": Field(type=FieldType.STRING, says="x", max_length=2),
    "enum": Field(type=FieldType.STRING, says="x", enum=("a", "b")),
    "open": Field(type=FieldType.STRING, says="x", enum=("a",), open=True),
    "integer": Field(type=FieldType.INTEGER, says="x", minimum=-2, maximum=3),
    "number": Field(type=FieldType.NUMBER, says="x", minimum=0),
    "boolean": Field(type=FieldType.BOOLEAN, says="x"),
    "object": Field(type=FieldType.OBJECT, says="x"),
    "texts": Field(type=FieldType.LIST, of=FieldType.STRING, says="x", max_length=2, max_items=2),
    "numbers": Field(type=FieldType.LIST, of=FieldType.INTEGER, says="x"),
    "ranges": Field(type=FieldType.LIST, of=FieldType.RANGE, says="x"),
}


@given(name=st.sampled_from(sorted(FIELDS)), value=VALUES)
def test_the_check_and_the_schema_are_of_one_mind(name: str, value: Any) -> None:
    """For every form of a field and every value: both take it, or neither does."""
    registry = Registry(types={"a.b.done": EventType(since="1.0.0", says="x", details={name: FIELDS[name]})})
    details = schema(registry, "a.b.done")["allOf"][1]["else"]["properties"]["details"]["properties"][name]
    assert jsonschema.Draft202012Validator(details).is_valid(value) == (misfit(value, FIELDS[name]) is None)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_number_that_json_does_not_have_is_none(value: float) -> None:
    """It would be written as null, which the schema refuses."""
    field = Field(type=FieldType.NUMBER, says="x")
    assert misfit(value, field) == "is not a number"
    assert misfit(1.5, field) is None
