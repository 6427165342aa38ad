"""Remembered decisions: never another answer than the engine's."""

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.engine import Engine
from policies.errors import NoDecision, PolicyErrors
from policies.load import build_bundle
from policies.memo import Memo
from policies.model import Answer, Entity, EntityUid, Json, Question
from roles.missing import missing_role
from tests.builders import random_policies
from tests.builders.questions import make_principal, make_question, real_catalogue, real_engine

SCHEMA = (
    "schema.cedarschema",
    """
entity Role;
entity User in [Role] = { tenant: String, name: String };
entity Doc in [Doc] = { tenant: String, owner: User };
action "doc:read", "doc:list" appliesTo {
  principal: [User], resource: [Doc, User],
  context: { now: datetime, n: Long, s?: String, at?: ipaddr }
};
action "doc:late" appliesTo { principal: [User], resource: [Doc], context: { now: datetime, n: Long } };
""",
)
POLICIES = """
@id("wall") @reason("r") forbid (principal, action, resource)
when { principal.tenant != resource.tenant };
@id("role") @reason("r") permit (principal in Role::"R", action == Action::"doc:list", resource);
@id("owner") @reason("r") permit (principal, action == Action::"doc:read", resource is Doc)
when { resource.owner == principal };
@id("some") @reason("r") permit (principal, action == Action::"doc:read", resource)
when { context.n * 2 > 4 };
@id("self") @reason("r") permit (principal, action == Action::"doc:list", resource is User)
when { resource.name == "x" };
@id("late") @reason("r") permit (principal, action == Action::"doc:late", resource)
when { context.now > datetime("2026-06-01") };
"""
ENGINE = Engine(build_bundle([("p.cedar", POLICIES)], SCHEMA))


def when(moment: str) -> Json:
    """A time as Cedar takes it."""
    return {"__extn": {"fn": "datetime", "arg": moment}}


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Questions from so few values that many are alike, good ones and bad ones."""
    one = st.sampled_from
    user = EntityUid("User", draw(one(["u", "v", "\ud800"])))
    resource = EntityUid(draw(one(["Doc", "Doc", "User"])), draw(one(["d", "e", "u"])))
    tenant = one(["a", "b"])
    owner: Json = {"__entity": {"type": "User", "id": draw(one(["u", "v"]))}}
    parents = draw(one([(), (EntityUid("Role", "R"),), (EntityUid("Role", "S"),)]))
    attrs: dict[str, Json] = {"tenant": draw(tenant)}
    attrs |= {"owner": owner} if resource.type == "Doc" else {"name": draw(one(["x", "y"]))}
    context: dict[str, Json] = {
        "now": when(draw(one(["2026-01-01", "2026-12-01"]))),
        "n": draw(one([1, 2, 3, 2**62, 2**63, True, "3", 3.0, None])),
    }
    context |= draw(
        one([
            {},
            {"s": "x"},
            {"s": "y"},
            {"s": 1},
            {"s": "\ud800"},
            {"at": {"__extn": {"fn": "ip", "arg": "127.0.0.1"}}},
            {"at": {"__extn": {"fn": "ip", "arg": "no"}}},
            {"more": 1},
        ])
    )  # fmt: skip
    name = draw(one([{"name": "x"}, {"name": "y"}, {"name": 1}, {}]))
    entities = (Entity(user, {"tenant": draw(tenant), **name}, parents), Entity(resource, attrs))
    action = draw(one(["doc:read", "doc:list", "doc:late", "doc:none"]))
    return Question(user, action, resource, context, entities[: draw(one([2, 2, 2, 1]))])


def outcome(decide: Any, question: Question) -> Answer | str:
    """The answer, or that there is none."""
    try:
        answer: Answer = decide(question)
    except NoDecision:
        return "no decision"
    return answer


@given(st.lists(questions(), min_size=2, max_size=30))
def test_a_remembered_answer_is_the_engine_s(asked: list[Question]) -> None:
    """Whatever was asked before, the answer is the one that evaluation gives, faults included."""
    memo = Memo(ENGINE)
    for question in asked:
        assert outcome(memo.answer, question) == outcome(ENGINE.decide, question)


@given(questions(), questions())
def test_two_questions_that_are_alike_to_the_memo_are_alike_to_cedar(one: Question, other: Question) -> None:
    """One after the other, the second is answered as if it had been asked alone."""
    memo = Memo(ENGINE)
    outcome(memo.answer, one)
    assert outcome(memo.answer, other) == outcome(ENGINE.decide, other)


@settings(max_examples=600, deadline=None)
@given(st.integers(0, 2**64))
def test_whatever_the_policies_are_what_is_remembered_is_what_the_engine_says(seed: int) -> None:
    """Policies, entities and questions at random: decision, reasons, errors and faults are those of an evaluation."""
    dice = random.Random(seed)
    text, asked = random_policies.policies(dice), random_policies.questions(dice)
    try:
        memo = Memo(Engine(build_bundle([("p.cedar", text)], random_policies.SCHEMA)))
    except PolicyErrors:
        return  # one in ten does not fit the schema
    for question in asked:
        hits = memo.hits
        answer = outcome(memo.answer, question)
        if memo.hits > hits:  # what was not remembered is the engine's answer already
            assert answer == outcome(memo.engine.decide, question)


def ask(**changes: Any) -> Question:
    """The real policies' question whether a Cashier may create an order, with something changed."""
    question = make_question(make_principal(["Cashier"], sub=changes.pop("sub", "u-1")), "order:create", **changes)
    return msgspec.structs.replace(question, context={**question.context, "now": when("2026-11-23")})


def test_what_no_policy_reads_does_not_matter() -> None:
    """Another user, another order, another time: the answer is known."""
    memo = Memo(real_engine())
    assert memo.decide(ask()) == (real_engine().decide(ask()), False)
    later = ask(sub="u-2", resource_id="r-2")
    later = msgspec.structs.replace(later, context={**later.context, "now": when("2027-01-01")})
    assert memo.decide(later) == (real_engine().decide(later), True)
    assert (memo.hits, memo.misses) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        make_question(make_principal(["Support"]), "order:create"),
        make_question(make_principal(["Cashier"]), "order:cancel"),
        make_question(make_principal(["Cashier"]), "order:create", of="globex"),
        make_question(make_principal(["Cashier"]), "order:create", context={"cross_tenant": True}),
        make_question(make_principal(["Cashier"], "globex"), "order:create"),
    ],
    ids=["role", "action", "tenant of the order", "setting", "tenant"],
)
def test_what_a_policy_reads_is_asked_anew(other: Question) -> None:
    """Role, action, tenants and context."""
    memo = Memo(real_engine())
    memo.decide(ask())
    assert memo.decide(other) == (real_engine().decide(other), False)


def test_an_amount_is_part_of_the_question() -> None:
    """A refund within the limit does not open one beyond it, and true is not 1."""
    memo = Memo(real_engine())
    manager = make_principal(["Manager"])
    for amount, allowed in ((1, True), (50_000, True), (50_001, False), (50_000, True)):
        answer, _ = memo.decide(make_question(manager, "payment:refund", context={"amount": amount}))
        assert answer.allows is allowed
    with pytest.raises(NoDecision):
        memo.decide(make_question(manager, "payment:refund", context={"amount": True}))


DOC = EntityUid("Doc", "d")


def listing(name: Json = "x", resource: EntityUid = DOC, **context: Json) -> Question:
    """A question about listing, which no policy reads the context for."""
    user = Entity(EntityUid("User", "u"), {"tenant": "a", "name": name}, (EntityUid("Role", "R"),))
    doc = Entity(EntityUid("Doc", "d"), {"tenant": "a", "owner": {"__entity": {"type": "User", "id": "v"}}})
    return Question(user.uid, "doc:list", resource, {"now": when("2026-01-01"), "n": 1, **context}, (user, doc))


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (listing(), listing(n=True)),
        (listing(), listing(n="1")),
        (listing(), listing(n=2**63)),
        (listing(), listing(n=1.0)),
        (listing(), listing(more=1)),
        (listing(), listing(name=1)),
        (listing(name="x"), listing(name="\ud800")),
        (listing(s="x"), listing(s=1)),
        (listing(s="x"), listing(s="\ud800")),
        (listing(s="x"), listing(s={"__extn": {"fn": "ip", "arg": "127.0.0.1"}})),
        (listing(at={"__extn": {"fn": "ip", "arg": "::1"}}), listing(at={"__extn": {"fn": "ip", "arg": "no"}})),
    ],
    ids=repr,
)
def test_a_fault_is_not_hidden_by_a_remembered_answer(good: Question, bad: Question) -> None:
    """What no policy reads must still be of its type: Cedar refuses the question otherwise, and so does the memo."""
    memo = Memo(ENGINE)
    assert memo.decide(good)[0].allows
    with pytest.raises(NoDecision):
        ENGINE.decide(bad)
    with pytest.raises(NoDecision):
        memo.decide(bad)


def test_who_asks_about_themselves_is_asked_anew() -> None:
    """One entity in two places is read in two ways."""
    memo = Memo(ENGINE)
    me = EntityUid("User", "u")
    for name, allowed in (("x", True), ("y", False), ("x", True)):
        question = listing(name, me)
        question = msgspec.structs.replace(
            question, entities=tuple(msgspec.structs.replace(each, parents=()) for each in question.entities[:1])
        )
        answer, remembered = memo.decide(question)
        assert (answer.allows, remembered) == (allowed, False)


def test_what_depends_on_the_time_is_not_remembered() -> None:
    """The same question a moment later is asked anew."""
    memo = Memo(ENGINE)
    doc = EntityUid("Doc", "d")
    user = Entity(EntityUid("User", "u"), {"tenant": "a", "name": "x"})
    owned = Entity(doc, {"tenant": "a", "owner": {"__entity": {"type": "User", "id": "u"}}})
    for moment, allowed in (("2026-01-01", False), ("2026-12-01", True), ("2026-12-01", True)):
        question = Question(user.uid, "doc:late", doc, {"now": when(moment), "n": 1}, (user, owned))
        answer, remembered = memo.decide(question)
        assert (answer.allows, remembered) == (allowed, False)


def test_an_answer_with_errors_is_not_remembered() -> None:
    """What an error says is about one question."""
    memo = Memo(ENGINE)
    user = Entity(EntityUid("User", "u"), {"tenant": "a", "name": "x"})
    doc = Entity(EntityUid("Doc", "d"), {"tenant": "a", "owner": {"__entity": {"type": "User", "id": "v"}}})
    question = Question(user.uid, "doc:read", doc.uid, {"now": when("2026-01-01"), "n": 2**62}, (user, doc))
    for _ in range(2):
        answer, remembered = memo.decide(question)
        assert answer.errors
        assert not remembered


def test_a_missing_role_is_found_by_remembered_answers() -> None:
    """The same role as by evaluation, and the second time without asking Cedar at all."""
    memo = Memo(real_engine())
    cashier = make_principal(["Cashier"])
    refused = make_question(cashier, "payment:refund", context={"amount": 50_001})
    for _ in range(2):
        assert missing_role(refused, cashier, real_catalogue(), memo.answer) == "Admin"
    assert memo.hits == memo.misses


def test_it_is_bounded() -> None:
    """The oldest goes first."""
    memo = Memo(real_engine(), capacity=2)
    manager = make_principal(["Manager"])
    asked = [make_question(manager, "payment:refund", context={"amount": amount}) for amount in (1, 2, 3)]
    for question in asked:
        memo.decide(question)
    assert [memo.decide(question)[1] for question in (asked[2], asked[1], asked[0])] == [True, True, False]
    assert repr(memo).startswith("Memo(2 of 2, 2 hits, 4 misses")


def test_what_is_long_is_not_remembered() -> None:
    """Whoever asks does not choose how much memory the answers take."""
    memo = Memo(ENGINE)
    user, doc = EntityUid("User", "u"), EntityUid("Doc", "d")
    for length, remembered in ((100, True), (3000, False)):
        entities = (
            Entity(user, {"tenant": "a" * length, "name": "n"}),
            Entity(doc, {"tenant": "a" * length, "owner": {"__entity": {"type": "User", "id": "u"}}}),
        )
        question = Question(user, "doc:read", doc, {"now": when("2026-01-01"), "n": 1}, entities)
        first, second = memo.decide(question), memo.decide(question)
        assert first[0] == second[0]
        assert second[1] is remembered
