"""Deciding: how policies combine, what an error does, and what is never said."""

import cedarpy
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import Engine, combine
from policies.errors import NoDecision
from policies.load import build_bundle
from policies.model import Answer, Effect, Entity, EntityUid, Json, PolicyError, Question
from tests.builders.questions import make_principal, make_question, real_engine

SCHEMA = (
    "schema.cedarschema",
    """
entity Role in [Role]; entity User in [Role] = { tenant: String }; entity Doc = { tenant: String, size: Long };
action "doc:read" appliesTo { principal: [User], resource: [Doc], context: { n: Long, s?: String, at?: ipaddr } };
action "doc:write" appliesTo { principal: [User], resource: [Doc], context: { n: Long } };
""",
)
PERMIT = '@id("yes") @reason("r") permit (principal, action, resource);'
FORBID = '@id("no") @reason("r") forbid (principal, action, resource) when { context.n == 1 };'
PERMIT_FAILS = '@id("oops") @reason("r") permit (principal, action, resource) when { context.n * 2 > 0 };'
FORBID_FAILS = '@id("never") @reason("r") forbid (principal, action, resource) when { context.n * 2 > 0 && false };'
HUGE = 2**63 - 1


def make_engine(*policies: str, strict: bool = False) -> Engine:
    """An engine over these policies."""
    return Engine(build_bundle([("p.cedar", "\n".join(policies))], SCHEMA), strict=strict)


def ask(n: Json = 0, action: str = "doc:read", doc: str = "d", user: str = "u", **context: Json) -> Question:
    """A question about a document."""
    principal, resource = EntityUid("User", user), EntityUid("Doc", doc)
    entities = (Entity(principal, {"tenant": "t"}), Entity(resource, {"tenant": "t", "size": 1}))
    return Question(principal, action, resource, {"n": n, **context}, entities)


def test_nothing_matches_and_that_is_a_deny() -> None:
    """The default deny has no reasons."""
    assert make_engine(FORBID).decide(ask()) == Answer(Effect.DENY)


def test_an_empty_set_denies() -> None:
    """Without policies nothing is allowed."""
    assert make_engine().decide(ask()) == Answer(Effect.DENY)


def test_a_permit_allows_with_its_id() -> None:
    """The answer names every permit that matched, sorted."""
    other = PERMIT.replace("yes", "also")
    assert make_engine(PERMIT, other).decide(ask()) == Answer(Effect.ALLOW, ("p.also", "p.yes"))


def test_a_forbid_wins() -> None:
    """One forbid outweighs every permit, and is the reason."""
    assert make_engine(PERMIT, FORBID).decide(ask(1)) == Answer(Effect.DENY, ("p.no",))


def test_a_forbid_that_fails_denies() -> None:
    """Cedar would skip it and allow; here it denies, and is both reason and error."""
    answer = make_engine(PERMIT, FORBID_FAILS).decide(ask(HUGE))
    assert (answer.effect, answer.reasons) == (Effect.DENY, ("p.never",))
    assert [(error.policy_id, error.effect) for error in answer.errors] == [("p.never", Effect.DENY)]


FAILS = {
    "an overflow": "context.n * 2 > 0 && false",
    "a missing entity": "resource.size > 100",
    "an entity inside": 'principal has boss && principal.boss.tenant == "t"',
}


@pytest.mark.parametrize("condition", FAILS.values(), ids=FAILS)
def test_plain_cedar_allows_where_a_forbid_fails_and_here_it_is_a_deny(condition: str) -> None:
    """The same policies, the same question: Cedar skips what it cannot evaluate, which is the trap."""
    schema = SCHEMA[1].replace(
        "User in [Role] = { tenant: String }", "User in [Role] = { tenant: String, boss?: User }"
    )
    forbid = f'@id("no") @reason("r") forbid (principal, action, resource) when {{ {condition} }};'
    engine = Engine(build_bundle([("p.cedar", PERMIT + forbid)], ("s", schema)))
    boss: Json = {"__entity": {"type": "User", "id": "nobody knows"}}
    user = Entity(EntityUid("User", "u"), {"tenant": "t", "boss": boss})
    question = Question(user.uid, "doc:read", EntityUid("Doc", "d"), {"n": HUGE, "s": "no address"}, (user,))
    plain = cedarpy.is_authorized(
        {
            "principal": 'User::"u"',
            "action": 'Action::"doc:read"',
            "resource": 'Doc::"d"',
            "context": {"n": HUGE, "s": "no address"},
        },
        PERMIT + forbid,
        msgspec.json.encode(question.entities).decode(),
        schema,
    )
    assert (plain.decision, len(plain.diagnostics.errors)) == (cedarpy.Decision.Allow, 1)
    answer = engine.decide(question)
    assert (answer.effect, answer.reasons) == (Effect.DENY, ("p.no",))


def test_a_fault_is_told_although_the_schema_has_comments_with_quotes() -> None:
    """What the schema says is known without its comments, so that attribute names can be told from values."""
    schema = SCHEMA[1].replace("entity Role", "// see `ops`\nentity Role")
    engine = Engine(build_bundle([("p.cedar", PERMIT)], ("s", schema)))
    with pytest.raises(NoDecision, match="expected the record to have an attribute `n`"):
        engine.decide(msgspec.structs.replace(ask(), context={}))


def test_a_permit_that_fails_is_ignored_and_reported() -> None:
    """It allows nothing, and does not stand in the way of another permit."""
    alone = make_engine(PERMIT_FAILS).decide(ask(HUGE))
    assert (alone.effect, alone.reasons) == (Effect.DENY, ())
    both = make_engine(PERMIT_FAILS, PERMIT).decide(ask(HUGE))
    assert (both.effect, both.reasons) == (Effect.ALLOW, ("p.yes",))
    assert [error.policy_id for error in both.errors] == [error.policy_id for error in alone.errors] == ["p.oops"]


def test_in_strict_mode_any_error_denies() -> None:
    """Also a permit's, although another permit matches."""
    answer = make_engine(PERMIT_FAILS, PERMIT, strict=True).decide(ask(HUGE))
    assert (answer.effect, answer.reasons) == (Effect.DENY, ("p.oops",))
    assert make_engine(PERMIT_FAILS, PERMIT, strict=True).decide(ask(1)).allows


FAILED_PERMIT, FAILED_FORBID = PolicyError("a", Effect.ALLOW, "x"), PolicyError("b", Effect.DENY, "y")


@given(
    allowed=st.booleans(),
    errors=st.lists(st.sampled_from([FAILED_PERMIT, FAILED_FORBID]), unique=True).map(tuple),
    strict=st.booleans(),
)
def test_an_allow_is_cedars_allow_without_a_failed_forbid(
    allowed: bool, errors: tuple[PolicyError, ...], strict: bool
) -> None:
    """The rule of combination over every case: never more is allowed than Cedar allows."""
    answer = combine(allowed, ["r"], errors, strict)
    assert answer.allows == (allowed and FAILED_FORBID not in errors and not (strict and errors))
    assert set(answer.errors) == set(errors)
    assert answer.allows is False or answer.reasons == ("r",)


@pytest.mark.parametrize(
    "question",
    [
        ask(action="doc:burn"),
        ask("text"),
        ask(1.5),
        ask(None),
        ask(HUGE + 1),
        ask(more=1),
        ask(at={"__extn": {"fn": "ip", "arg": "no address"}}),
        ask(doc="\ud800"),
        ask(s="\ud800"),
        Question(EntityUid("User", "u"), "doc:read", EntityUid("User", "u"), {"n": 1}, ()),
        Question(EntityUid("User", "u"), "doc:read", EntityUid("Doc", "d"), {}, ()),
        Question(EntityUid("no type", "u"), "doc:read", EntityUid("Doc", "d"), {"n": 1}, ()),
    ],
    ids=repr,
)
def test_a_question_that_does_not_fit_the_schema_is_no_decision(question: Question) -> None:
    """Our own fault is said to be one, and never becomes an allow."""
    with pytest.raises(NoDecision):
        make_engine(PERMIT).decide(question)


@pytest.mark.parametrize("odd", ["", " ", '"', "\\", "\n", "\x00", "::", 'User::"x"', "é", "\u2028", "💥", "a" * 5000])
def test_an_id_may_be_any_text(odd: str) -> None:
    """Ids go to Cedar as type and id, so that no spelling can break out or fail."""
    own = '@id("own") @reason("r") permit (principal, action, resource) when { principal.tenant == resource.tenant };'
    assert make_engine(own).decide(ask(doc=odd, user=odd)).reasons == ("p.own",)


SECRET = "4111-1111"


@pytest.mark.parametrize(
    "question",
    [
        ask(HUGE, s=SECRET),
        ask(HUGE, doc=SECRET),
        ask(HUGE, user=f"`{SECRET}`"),
        ask(0, s=SECRET, action="doc:write"),
        ask({"__extn": {"fn": "ip", "arg": SECRET}}),
        ask(at={"__extn": {"fn": "ip", "arg": SECRET}}),
        ask(SECRET),
        Question(
            EntityUid("User", "u"),
            "doc:read",
            EntityUid("Doc", "d"),
            {"n": 1},
            (Entity(EntityUid("Doc", SECRET), {"x": SECRET}),),
        ),
    ],
    ids=repr,
)
def test_an_error_says_nothing_of_the_request(question: Question) -> None:
    """Records and logs are read by many: attribute names may stand in them, values may not."""
    looks = '@id("looks") @reason("r") permit (principal, action, resource) when { resource.size * context.n > 9 };'
    said = outcome(make_engine(PERMIT_FAILS, FORBID_FAILS, looks), question)
    assert SECRET not in said
    assert str(HUGE) not in said


@pytest.mark.parametrize("user", [SECRET, f"a`{SECRET}`b", f"`{SECRET}", f"{SECRET}`"])
def test_an_id_with_quotes_of_its_own_is_not_let_out(user: str) -> None:
    """Cedar quotes the id of the entity that is missing; its own backticks must not break out of the quotes."""
    reads = '@id("a") @reason("r") permit (principal, action, resource) when { principal.tenant == "x" };'
    question = Question(EntityUid("User", user), "doc:read", EntityUid("Doc", "d"), {"n": 1}, ())
    assert SECRET not in outcome(make_engine(reads), question)


@pytest.mark.parametrize("text", ["gibberish", "error while evaluating policy `p.none`: gibberish"])
def test_an_error_that_cannot_be_read_denies(text: str) -> None:
    """Whatever it may be about, it is taken for a forbid's."""
    error = make_engine(PERMIT)._error(text, ask())
    assert (error.policy_id, error.effect) == ("", Effect.DENY)
    assert not combine(True, ["p.yes"], (error,), strict=False).allows


def outcome(engine: Engine, question: Question) -> str:
    """Everything an engine says when a policy or the whole question fails."""
    try:
        answer = engine.decide(question)
    except NoDecision as fault:
        return f"{fault!r} {fault.__cause__!r}"
    assert answer.errors
    return repr(answer)


def test_a_missing_entity_is_told_by_the_policy_that_looked_for_it() -> None:
    """A policy that needs an attribute of an entity that was not given fails, and says which attribute."""
    engine = make_engine('@id("a") @reason("r") permit (principal, action, resource) when { resource.size > 0 };')
    question = Question(EntityUid("User", "u"), "doc:read", EntityUid("Doc", "d"), {"n": 1}, ())
    answer = engine.decide(question)
    assert not answer.allows
    assert [error.message for error in answer.errors] == ["entity `…` does not exist"]


def test_a_slice_decides_as_the_whole_does() -> None:
    """The policies of other actions do not change an answer, neither its effect nor its reasons."""
    write = PERMIT.replace("yes", "w").replace("action,", 'action == Action::"doc:write",')
    engine = make_engine(FORBID, write)
    assert engine.decide(ask(action="doc:write")) == Answer(Effect.ALLOW, ("p.w",))
    assert engine.decide(ask()) == Answer(Effect.DENY)


def test_the_same_question_has_the_same_answer() -> None:
    """An engine keeps nothing of a question."""
    principal = make_principal(["Cashier"])
    question = make_question(principal, "order:create")
    first = real_engine().decide(question)
    real_engine().decide(make_question(principal, "payment:refund", context={"amount": 1}))
    assert real_engine().decide(question) == first == Answer(Effect.ALLOW, ("order.sell",))


def test_comments_of_a_schema_do_not_hide_what_does_not_fit() -> None:
    """A backtick in a comment says nothing about the question, so the message is told."""
    text = """
    // `User`s only
    entity U;
    entity R = { tenant: String };
    action "go" appliesTo { principal: [U], resource: [R] };
    """
    schema = ("s.cedarschema", text)
    engine = Engine(build_bundle([("p.cedar", '@id("a") @reason("r") permit (principal, action, resource);')], schema))
    user, thing = EntityUid("U", "u"), EntityUid("R", "r")
    with pytest.raises(NoDecision, match="to have attribute `tenant`, but it does not"):
        engine.decide(Question(user, "go", thing, {}, (Entity(user, {}), Entity(thing, {}))))
