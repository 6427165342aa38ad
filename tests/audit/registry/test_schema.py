"""`audit.registry.schema`: schemas that are schemas, and say what the envelope is."""

import jsonschema
import pytest

from audit.registry.load import packaged
from audit.registry.schema import ENVELOPE, envelope, schema, schemas

DOCUMENTS = schemas(packaged())


@pytest.mark.parametrize("name", sorted(DOCUMENTS))
def test_each_is_valid_against_the_metaschema(name: str) -> None:
    """Of the dialect it names, under the name of its file."""
    document = DOCUMENTS[name]
    assert document["$schema"] == jsonschema.Draft202012Validator.META_SCHEMA["$id"]
    assert document["$id"] == name
    jsonschema.Draft202012Validator.check_schema(document)


def test_there_is_one_for_each_type_and_one_for_all() -> None:
    """No type without a schema."""
    assert {*DOCUMENTS} == {ENVELOPE, *(f"{name}.json" for name in packaged().types)}


def test_the_envelope_is_open_and_its_parts_are_told() -> None:
    """A reader must be ready for a field that is new; what it knows is required and typed."""
    document = envelope()
    assert "additionalProperties" not in document
    assert {"event_id", "phase", "event_type", "tenant_id", "producer"} <= {*document["required"]}
    assert document["$defs"]["Severity"]["enum"]


def test_details_are_closed_and_tell_unit_and_class() -> None:
    """A field that is not registered is a fault; what is counted stands beside it."""
    details = schema(packaged(), "payment.refund.issued")["allOf"][1]["else"]["properties"]["details"]
    assert details["additionalProperties"] is False
    assert details["properties"]["amount"]["x-unit"] == "minor units of the currency"
