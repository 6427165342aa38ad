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


def test_a_narrowed_schema_knows_all_names_and_applies_to_less() -> None:
    """What only stands in another declaration, or looks like one, stays: attributes, strings, namespaces."""
    schema = Schema(
        "s",
        'entity U = { action: String, appliesTo: Long }; type T = { "appliesTo {": Long };'
        'action "a; appliesTo {", b in ["g"] appliesTo { principal: [U], resource: [U], context: T };'
        'action "g"; namespace N { entity V; action "a" appliesTo { principal: [U], resource: [V] }; }',
    )
    kept = {EntityUid("Action", "b")}
    narrowed = Schema("n", str(schema.narrowed(kept)))
    assert set(narrowed.actions) == kept
    assert narrowed.actions[EntityUid("Action", "b")] == schema.actions[EntityUid("Action", "b")]
    assert narrowed.groups(EntityUid("Action", "b")) == schema.groups(EntityUid("Action", "b"))
    assert (narrowed.entities, narrowed.shapes) == (schema.entities, schema.shapes)
    assert str(schema.narrowed(schema.actions)) == schema.canonical
    assert [str(schema.narrowed(())).count(word) for word in ("action ", "principal")] == [4, 0]


def test_a_scope_admits_what_is_in_what_it_names() -> None:
    """An action, a group of groups, both; any where it names none; nothing of a group that nothing is in."""
    schema = Schema(
        "s",
        'entity U; action "a" in ["b"] appliesTo { principal: [U], resource: [U] }; action "b" in ["c"]; action "c";'
        'action "d"; action "e" appliesTo { principal: [U], resource: [U] };',
    )
    a, b, c, d, e = (EntityUid("Action", name) for name in "abcde")
    assert schema.admitted(None) == {a, e}
    assert schema.admitted([c]) == schema.admitted([b, a]) == {a}
    assert schema.admitted([c, e]) == {a, e}
    assert schema.admitted([d]) == schema.admitted([]) == schema.admitted([EntityUid("Action", "z")]) == frozenset()
