"""Fields that not everybody may see, found in schemas."""

from typing import Any

import pytest

from gateway.model import DataClass
from lychgate.routes_import.document import Document
from lychgate.routes_import.personal import Seen, class_of

TEXT = {"type": "string"}


def seen(schema: Any, **schemas: Any) -> Seen:
    """What a schema shows."""
    found = Seen(Document("a.json", {"schemas": schemas}))
    found.look(schema)
    return found


def thing(**properties: Any) -> dict[str, Any]:
    """An object."""
    return {"type": "object", "properties": properties}


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("email", DataClass.PII),
        ("E-Mail-Address", DataClass.PII),
        ("phoneNumber", DataClass.PII),
        ("dateOfBirth", DataClass.PII),
        ("ssn", DataClass.PII),
        ("card_last4", DataClass.PAYMENT),
        ("iban", DataClass.PAYMENT),
        ("cardNumber", DataClass.PAYMENT),
        ("client_secret", DataClass.SECRET),
        ("apiKey", DataClass.SECRET),
        ("name", None),
        ("sku", None),
        ("shipping", None),
        ("discard", None),
    ],
)
def test_a_class_is_told_by_the_name(name: str, found: DataClass | None) -> None:
    """In whatever spelling; a short word only alone."""
    assert class_of(name) == found


def test_a_class_is_told_by_the_format() -> None:
    """Also where the value may be null."""
    schema = thing(a={"type": "string", "format": "email"}, b={"anyOf": [{"format": "password"}, {"type": "null"}]})
    assert seen(schema).fields == {"pii": ("/a",), "secret": ("/b",)}


def test_fields_are_found_at_any_depth() -> None:
    """In lists, maps, references and alternatives; nothing is left unseen there."""
    schema = thing(
        data={"type": "array", "items": {"$ref": "#/schemas/Person"}},
        by_id={"type": "object", "additionalProperties": {"$ref": "#/schemas/Person"}},
        one={"oneOf": [thing(pan=TEXT), thing(token=TEXT)]},
        two={"prefixItems": [thing(fax=TEXT)]},
        pattern={"patternProperties": {"x": thing(dob=TEXT)}},
        **{"a/b~c": thing(email=TEXT)},
    )
    found = seen(schema, Person={"allOf": [thing(email=TEXT), thing(id=TEXT)]})
    assert found.fields == {
        "pii": ("/a~1b~0c/email", "/by_id/*/email", "/data/*/email", "/pattern/*/dob", "/two/*/fax"),
        "payment": ("/one/pan",),
        "secret": ("/one/token",),
    }
    assert not found.partly


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        None,
        {"type": "object"},
        {"type": "array"},
        thing(inner={}),
        thing(child={"$ref": "#/schemas/Tree"}),
    ],
)
def test_what_cannot_be_seen_is_said(schema: Any) -> None:
    """No schema, anything goes, or a tree that goes on for ever."""
    assert seen(schema, Tree=thing(email=TEXT, child={"$ref": "#/schemas/Tree"})).partly


def test_what_is_plain_is_plain() -> None:
    """A text, a constant, a list of numbers, nothing at all."""
    for schema in (TEXT, {"const": 1}, {"enum": ["a"]}, {"type": "array", "items": {"type": "integer"}}, False):
        assert not seen(schema).partly


def test_a_field_that_no_pointer_can_name_is_told() -> None:
    """An empty name, a number, an asterisk on the way."""
    found = seen(thing(**{"": thing(email=TEXT), "7": thing(iban=TEXT), "password": thing()}))
    assert found.unsayable == ["//email", "/7/iban"]
    assert found.fields == {"secret": ("/password",)}


def test_a_list_of_addresses_is_named_by_its_elements() -> None:
    """By the format of what is in it; a bare list at the top has no name to say."""
    emails = {"type": "array", "items": {"type": "string", "format": "email"}}
    assert seen(thing(to=emails)).fields == {"pii": ("/to/*",)}
    assert seen(emails).unsayable == ["/*"]


def test_a_schema_that_doubles_at_each_step_ends() -> None:
    """Twenty references that each stand for two of the next are a million paths; some are looked at."""
    schemas = {f"S{n}": thing(a={"$ref": f"#/schemas/S{n + 1}"}, b={"$ref": f"#/schemas/S{n + 1}"}) for n in range(20)}
    assert seen({"$ref": "#/schemas/S0"}, **schemas, S20=thing()).partly
