"""Values worth trying, found in the policies."""

from policies.literals import ABSENT, MOST_VALUES, candidates
from policies.load import build_bundle
from policies.model import Entity, EntityUid, Json, Question
from policies.neighbours import extension

SCHEMA = (
    "s",
    """
entity User = { tenant: String };
entity Doc = { tenant: String };
action "doc:read" appliesTo { principal: [User], resource: [Doc], context: {
  n: Long, flag: Bool, word: String, who: User, at: datetime, from: ipaddr, price: decimal,
  tags: Set<String>, deep: { a: Long }, setting: Bool, maybe?: String
} };
""",
)
POLICY = """
@id("p") @reason("r") permit (principal, action, resource) when {
  context.n > 10 && context.flag && (context.word like "ab*c" || ["x", "y"].contains(context.word)) &&
  context.who == User::"boss" && context.at < datetime("2026-01-02") && context.from.isInRange(ip("10.0.0.0/8")) &&
  context.price.lessThan(decimal("2.0")) && context.tags.contains("vip") && context.deep.a == 3
};
"""
CONTEXT: dict[str, Json] = {
    "n": 12,
    "flag": False,
    "word": "x",
    "who": {"__entity": {"type": "User", "id": "u"}},
    "at": extension("datetime", "2026-01-01"),
    "from": extension("ip", "10.0.0.1"),
    "price": extension("decimal", "1.0"),
    "tags": ["new", "old"],
    "deep": {"a": 1},
    "setting": False,
}


def found(**changes: Json) -> dict[str, tuple[object, ...]]:
    """For the one policy, with another context."""
    user, doc = EntityUid("User", "u"), EntityUid("Doc", "d")
    entities = (Entity(user, {"tenant": "t"}), Entity(doc, {"tenant": "t"}))
    question = Question(user, "doc:read", doc, {**CONTEXT, **changes}, entities)
    bundle = build_bundle([("p.cedar", POLICY)], SCHEMA)
    return dict(candidates(question, bundle, frozenset({"setting"})))


def test_every_type_has_its_values() -> None:
    """Numbers and their neighbours, the nearest first; flags turned; texts, entities, times, networks, decimals."""
    values = found()
    assert values["n"][:3] == (11, 13, 10)
    assert values["flag"] == (True,)
    assert {"abc", "y", "vip", "t"} <= set(values["word"])
    assert {"__entity": {"type": "User", "id": "boss"}} in values["who"]
    assert extension("datetime", "2026-01-02T00:00:00.000Z") in values["at"]
    assert extension("ip", "10.0.0.0/8") in values["from"]
    assert extension("decimal", "1.9999") in values["price"]
    assert {("old",), ("new",), (), ("new", "old", "vip")} <= {tuple(each) for each in values["tags"]}  # type: ignore[arg-type]  # lists


def test_what_cannot_be_changed_is_not() -> None:
    """Settings of ours; and what is in a record is not looked into."""
    assert "setting" not in found()
    assert found()["deep"] == ()


def test_an_optional_value_may_come_and_go() -> None:
    """Away where it is there, there where it is away."""
    assert ABSENT in found(maybe="m")["maybe"]
    assert "abc" in found()["maybe"]
    assert ABSENT not in found()["maybe"]


def test_true_is_not_one() -> None:
    """A number is not tried for a flag, and nothing is tried that is there already."""
    assert found(n=1)["n"].count(1) == 0
    assert 0 in found(n=1)["n"]


def test_the_list_is_bounded() -> None:
    """However large a set is."""
    tags: list[Json] = [f"t{number}" for number in range(1000)]
    assert len(found(tags=tags)["tags"]) <= MOST_VALUES
