"""Files of entities: what is taken, what is refused and how that is said, and what belongs around a question."""

import json
from typing import Any

import pytest

from policies.entity_book import EntityBook, mentioned, read_entities
from policies.errors import PolicyErrors
from policies.model import EntityUid
from policies.schema import Schema

SCHEMA = """
entity group in [group];
entity user in [group] = { role?: String, since?: datetime, boss?: user, team?: Set<user> };
action "go" appliesTo { principal: [user], resource: [group], context: { must: Long } };
"""
GOOD: list[dict[str, Any]] = [
    {"uid": {"type": "group", "id": "all"}, "attrs": {}, "parents": []},
    {"uid": {"type": "group", "id": "staff"}, "attrs": {}, "parents": [{"type": "group", "id": "all"}]},
    {
        "uid": {"__entity": {"type": "user", "id": "b"}},
        "attrs": {"since": "2026-01-01", "boss": {"__entity": {"type": "user", "id": "a"}}},
        "parents": [],
    },
    {"uid": {"type": "user", "id": "a"}, "attrs": {}, "parents": [{"type": "group", "id": "staff"}]},
]


def read(document: Any, schema: str = SCHEMA) -> EntityBook:
    """The book of a document, or of a text."""
    text = document if isinstance(document, str) else json.dumps(document)
    return read_entities("entities.json", text, Schema("schema", schema))


def one(uid: Any = None, **changes: Any) -> list[dict[str, Any]]:
    """A file with one entity that is changed."""
    return [{"uid": uid or {"type": "user", "id": "a"}, "attrs": {}, "parents": [], **changes}]


def test_a_file_is_read() -> None:
    """Both forms of a uid, text for times, ids sorted by type."""
    book = read(GOOD)
    assert book.ids("user") == ("a", "b")
    assert book.ids("nothing") == ()
    entity = book.entities[EntityUid("user", "b")]
    assert entity.attrs["since"] == {"__extn": {"fn": "datetime", "arg": "2026-01-01"}}
    assert "4 entities" in repr(book)
    assert read(GOOD).version == book.version != read(GOOD[:1]).version


def test_what_belongs_around_a_question() -> None:
    """Parents, their parents, and who an attribute names; nobody else."""
    book = read(GOOD)
    names = {(uid.type, uid.id) for uid in book.around([EntityUid("user", "b"), EntityUid("user", "nobody")])}
    assert names == {("user", "b"), ("user", "a"), ("group", "staff"), ("group", "all")}
    assert set(book.around([EntityUid("group", "staff")])) == {EntityUid("group", "staff"), EntityUid("group", "all")}


def test_what_a_value_mentions() -> None:
    """Entities at any depth, in either form; what merely looks a little like one is none."""
    value = {
        "a": [{"type": "user", "id": "1"}, {"b": ({"__entity": {"type": "user", "id": "2"}},)}],
        "c": {"type": "user", "id": 3},
        "d": {"type": "user", "id": "4", "more": True},
    }
    assert {uid.id for uid in mentioned(value)} == {"1", "2"}


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("[", "not JSON: expecting value: line 1 column 2 (char 1)"),
        ("[" * 100_000, "not JSON: too deep"),
        ('[{"uid": 1, "uid": 2}]', "not JSON: a member twice"),
        ({}, "not a list of entities"),
        ([1], "entity 1: not an entity with a uid"),
        (one(tags={}), "entity 1: `tags` is not read here; there are uid, attrs and parents"),
        (
            one(attrs=[]),
            'entity 1: not of the form {"uid": {"type", "id"}, "attrs": {}, "parents": []}',
        ),
        (one("user::a"), 'entity 1: not of the form {"uid": {"type", "id"}, "attrs": {}, "parents": []}'),
        (one(parents=["x"]), 'entity 1: a parent is not of the form {"type", "id"}'),
        (one({"type": "cat", "id": "a"}), "entity 1: the schema declares no entity type `cat`"),
        (one(attrs={"rule": "x"}), "entity 1: `user` has no attribute `rule`"),
        (GOOD + GOOD[3:], 'entity 5: user::"a" a second time'),
        (
            one(attrs={"role": 1}),
            (
                'entity 1: entity does not conform to the schema: in attribute `role` on `user::"a"`, type mismatch: '
                "value was expected to have type string, but it actually has type long: `1`"
            ),
        ),
        (
            one(attrs={"since": "soon"}),
            (
                'entity 1: error during entity deserialization: failed to evaluate attribute `since` of `user::"a"`: '
                "error while evaluating `datetime` extension function: invalid date pattern"
            ),
        ),
        (
            one(parents=[{"type": "user", "id": "b"}]),
            (
                'entity 1: entity does not conform to the schema: `user::"a"` is not allowed to have an ancestor '
                "of type `user` according to the schema"
            ),
        ),
    ],
)
def test_what_is_refused(document: Any, reason: str) -> None:
    """Each with the entity's place in the list."""
    with pytest.raises(PolicyErrors) as caught:
        read(document)
    assert str(caught.value) == f"entities.json: {reason}"


def test_a_circle_of_parents_is_refused() -> None:
    """Only the whole shows it."""
    circle = [
        {"uid": {"type": "group", "id": "a"}, "attrs": {}, "parents": [{"type": "group", "id": "b"}]},
        {"uid": {"type": "group", "id": "b"}, "attrs": {}, "parents": [{"type": "group", "id": "a"}]},
    ]
    with pytest.raises(PolicyErrors, match=r"^entities.json: transitive closure .* cycle containing vertex `group::"):
        read(circle)


def test_every_finding_is_told() -> None:
    """Not the first alone."""
    with pytest.raises(PolicyErrors) as caught:
        read([1, *one(attrs={"rule": "x"})])
    assert len(caught.value.findings) == 2


def test_a_schema_without_actions_still_refuses() -> None:
    """Cedar is less talkative then, but no less strict."""
    with pytest.raises(PolicyErrors, match=r"^entities.json: entity 1: entity does not conform to the schema$"):
        read(one(attrs={"role": 1}), "entity group; entity user = { role?: String };")
