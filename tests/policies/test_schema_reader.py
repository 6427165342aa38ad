"""Reading what Cedar prints of a schema."""

import cedarpy
import pytest

from policies.model import EntityUid
from policies.schema_reader import (
    ActionType,
    ContextAttribute,
    read_actions,
    read_entities,
    read_parent_types,
    read_shapes,
)


def read(schema: str) -> dict[EntityUid, ActionType]:
    """The actions of a schema, by way of Cedar's own printing of it."""
    return read_actions(str(cedarpy.Schema.from_str(schema)))


def context(attributes: str, more: str = "") -> dict[str, ContextAttribute]:
    """The context of an action with these attributes."""
    (action,) = read(
        f"entity U; entity R = {{a: String}}; {more}"
        f'action "x" appliesTo {{ principal: [U], resource: [R], context: {attributes} }};'
    ).values()
    return dict(action.context)


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("Long", "Long"),
        ("String", "String"),
        ("Bool", "Boolean"),
        ("__cedar::String", "String"),
        ("datetime", "datetime"),
        ("duration", "duration"),
        ("decimal", "decimal"),
        ("ipaddr", "ipaddr"),
        ("Set<String>", "Set"),
        ("Set<Set<{a: Long}>>", "Set"),
        ("{a: Long, b?: {c: String}}", "Record"),
        ("U", "U"),
        ("Money", "Record"),
        ("Cents", "Long"),
    ],
)
def test_every_type_has_its_name(written: str, kind: str) -> None:
    """Primitives, extensions, sets, records, entities, and common types by what they stand for."""
    common = "type Cents = Long; type Money = { cents: Cents };"
    found = context(f"{{ one: {written}, two?: {written}, three: Long }}", common)
    assert found == {
        "one": ContextAttribute(kind),
        "two": ContextAttribute(kind, required=False),
        "three": ContextAttribute("Long"),
    }


def test_a_context_may_be_a_common_type_declared_later() -> None:
    """The order of declarations does not matter."""
    (action,) = read(
        'action "x" appliesTo { principal: [U], resource: [U], context: Common }; type Common = { a: Long }; entity U;'
    ).values()
    assert dict(action.context) == {"a": ContextAttribute("Long")}


def test_names_may_be_any_text() -> None:
    """Attribute names and action ids are strings, with escapes."""
    (uid,) = read('entity U; action "a\\"b\\n\\u{e9} in ;" appliesTo { principal: [U], resource: [U] };')
    assert uid == EntityUid("Action", 'a"b\né in ;')
    assert set(context('{ "odd key": Long, "a;}b": String }')) == {"odd key", "a;}b"}


def test_namespaces_are_part_of_the_name() -> None:
    """An action of a namespace carries it, and finds the common types there and outside."""
    found = read(
        "type T = { outer: Long };"
        "namespace A::B { type I = { inner: Long }; entity U;"
        'action "x" appliesTo { principal: [U], resource: [U], context: I };'
        'action "y" appliesTo { principal: [U], resource: [U], context: T };'
        "action g in [h]; action h; }"
        'entity V; action "z" in [A::B::Action::"g"] appliesTo { principal: [V], resource: [V, A::B::U], context: T };'
    )
    inner, outer = found[EntityUid("A::B::Action", "x")], found[EntityUid("Action", "z")]
    assert (set(inner.context), set(outer.context)) == ({"inner"}, {"outer"})
    assert set(found[EntityUid("A::B::Action", "y")].context) == {"outer"}
    assert inner.principal_types == ("A::B::U",)
    assert outer.resource_types == ("A::B::U", "V")
    assert outer.groups == (EntityUid("A::B::Action", "g"),)
    assert found[EntityUid("A::B::Action", "g")].groups == (EntityUid("A::B::Action", "h"),)


def test_annotations_and_enumerated_entities_are_passed_over() -> None:
    """What says nothing about actions does not get in the way."""
    found = read(
        '@doc("a; {b} action") entity U = { @doc("x") a: Long } tags String; entity E enum ["action", "b;"];'
        '@doc("z") @deprecated action "x" appliesTo { principal: [U], resource: [E],'
        ' context: { @doc("y") a: Long, @old b?: Long } };'
    )
    assert found == {
        EntityUid("Action", "x"): ActionType(
            ("U",), ("E",), {"a": ContextAttribute("Long"), "b": ContextAttribute("Long", required=False)}
        )
    }


def test_the_types_that_others_may_be_in() -> None:
    """In the namespace they are written in, or in their own; an enumeration's words are none."""
    schema = """
    namespace N { entity A in [B, M::C] = { x: Long } tags String; entity B, D; entity E enum ["a", "in [X]"]; }
    namespace M { entity C in [N::B]; }
    entity G in N::A; entity H;
    """
    assert read_parent_types(str(cedarpy.Schema.from_str(schema))) == {"N::B", "M::C", "N::A"}


def test_entity_types_have_their_attributes() -> None:
    """Of every declaration: with parents, tags, an enumeration, annotations, a namespace, odd names."""
    schema = cedarpy.Schema.from_str(
        """
        type Place = { street: String, zip?: Long };
        @doc("a = b;") entity group in [group];
        entity user in [group] = { "odd; name"?: ipaddr, home: Place, boss?: user, tags?: Set<String> } tags String;
        entity colour enum ["red;", "="];
        entity a, b = { since?: datetime };
        namespace N { type T = { of: Set<D> }; entity D in [user] = { t: T, next?: D }; }
        """
    )
    found = {name: dict(attributes) for name, attributes in read_entities(str(schema)).items()}
    since = {"since": ContextAttribute("datetime", required=False)}
    assert found == {
        "group": {},
        "user": {
            "odd; name": ContextAttribute("ipaddr", required=False),
            "home": ContextAttribute("Record"),
            "boss": ContextAttribute("user", required=False),
            "tags": ContextAttribute("Set", required=False),
        },
        "colour": {},
        "a": since,
        "b": since,
        "N::D": {"t": ContextAttribute("Record"), "next": ContextAttribute("N::D", required=False)},
    }


def test_what_entities_and_contexts_hold() -> None:
    """To any depth, common types followed; of a set only that it is one."""
    entities, contexts = read_shapes(
        str(
            cedarpy.Schema.from_str(
                "namespace N { entity Role; type T = { who: U, n?: Long };"
                'entity U in [Role] = { boss?: U, r: { t: T, "a b": Set<U> } } tags String; entity E enum ["x;"];'
                "entity V;"
                'action "go" appliesTo { principal: [U], resource: [V, E], context: { t: T, e: E, b: Bool } };'
                "}"
            )
        )
    )
    record = {"who": "N::U", "n": "Long"}
    assert entities == {
        "N::Role": {},
        "N::E": {},
        "N::V": {},
        "N::U": {"boss": "N::U", "r": {"t": record, "a b": "Set"}},
    }
    assert contexts == {EntityUid("N::Action", "go"): {"t": record, "e": "N::E", "b": "Boolean"}}
