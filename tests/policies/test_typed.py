"""Values as people write them, for Cedar."""

import pytest

from policies.model import Json
from policies.schema_reader import ContextAttribute
from policies.typed import declared, typed


@pytest.mark.parametrize(
    ("kind", "function"), [("datetime", "datetime"), ("decimal", "decimal"), ("duration", "duration"), ("ipaddr", "ip")]
)
def test_text_of_an_extension_type_gets_its_constructor(kind: str, function: str) -> None:
    """A time, a decimal, a duration or an address may be written as text."""
    assert typed("2026-01-01", kind) == {"__extn": {"fn": function, "arg": "2026-01-01"}}


@pytest.mark.parametrize(
    ("value", "kind"), [("x", "String"), (1, "datetime"), ({"__extn": {"fn": "ip", "arg": "::1"}}, "ipaddr")]
)
def test_everything_else_is_as_it_was(value: Json, kind: str) -> None:
    """What is no text, or of no extension type, is Cedar's business."""
    assert typed(value, kind) is value


def test_only_what_the_schema_declares_is_kept() -> None:
    """Cedar refuses a question with an attribute it does not know."""
    attributes = {"since": ContextAttribute("datetime"), "name": ContextAttribute("String", required=False)}
    found = declared({"since": "2026-01-01", "name": "n", "shoe": 44}, attributes)
    assert found == {"since": {"__extn": {"fn": "datetime", "arg": "2026-01-01"}}, "name": "n"}
