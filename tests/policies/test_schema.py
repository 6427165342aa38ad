"""The schema as policies and engine see it."""

import pytest

from policies.errors import PolicyErrors
from policies.model import EntityUid
from policies.schema import Schema


def test_a_group_of_groups_is_followed() -> None:
    """An action is in itself and in every group it is in, near or far; a stranger only in itself."""
    schema = Schema(
        "s",
        'entity U; action "a" in ["b"] appliesTo { principal: [U], resource: [U] };'
        'action "b" in ["c"]; action "c"; action "d";',
    )
    assert {uid.id for uid in schema.groups(EntityUid("Action", "a"))} == {"a", "b", "c"}
    assert schema.groups(EntityUid("Action", "z")) == {EntityUid("Action", "z")}
    assert set(schema.actions) == {EntityUid("Action", "a")}


def test_a_schema_with_a_fault_is_refused_with_its_place() -> None:
    """The finding carries the name it was given."""
    with pytest.raises(PolicyErrors, match=r"^mine:2: unexpected token"):
        Schema("mine", "entity U;\nentity ];")


def test_a_schema_that_nests_too_deep_is_refused() -> None:
    """Before Cedar sees it, which would not survive it."""
    text = "entity U = {a: " + "{a: " * 20_000 + "Long" + "}" * 20_000 + "};"
    with pytest.raises(PolicyErrors) as caught:
        Schema("mine", text)
    (found,) = caught.value.findings
    assert (found.file, found.line, found.code) == ("mine", 1, "too-deep")
    assert found.column > 200
