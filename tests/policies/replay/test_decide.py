"""Making decisions again: by the same policies nothing changes, by others only what they change."""

import random
import time
from collections.abc import Callable
from typing import Any

import msgspec

from audit.codec import encode
from policies.bundle import Bundle
from policies.engine import Engine
from policies.load import build_bundle, read_folder
from policies.memo import Memo
from policies.replay.decide import UNDECIDABLE, Outcome, Replay, Verdict
from policies.replay.record import Recorded, Unusable, read
from tests.builders.questions import ROOT, real_bundle, real_catalogue
from tests.builders.recorded import decided


def changed(
    policies: dict[str, tuple[str, str]] | None = None, schema: tuple[str, str] | None = None, more: str = ""
) -> Bundle:
    """The real policies with a few words of theirs replaced."""
    files, (name, text) = read_folder(ROOT / "policies")
    made = []
    for file, content in files:
        before, after = (policies or {}).get(file, ("", ""))
        assert before in content
        made.append((file, content.replace(before, after) if before else content))
    if more:
        made.append(("more.cedar", more))
    if schema is not None:
        assert schema[0] in text
        text = text.replace(*schema)
    return build_bundle(made, (name, text))


def recorded(*words: str, **given: Any) -> Recorded:
    """A decision of the real policies, read back."""
    found = read(encode(decided(*words, **given)))
    assert isinstance(found, Recorded)
    return found


def replay(bundle: Bundle, known: tuple[Bundle, ...] = (), **options: bool) -> Replay:
    """By these."""
    return Replay(Memo(Engine(bundle)), known, **options)


def test_the_same_policies_decide_the_same() -> None:
    """Every role and action of the shipped set, with reasons, and with the memo warm."""
    deciding = replay(real_bundle(), same_reasons=True)
    extra = {"order:discount": {"percent": 5}, "payment:refund": {"amount": 5}, "loyalty:adjust": {"points": 5}}
    for _ in range(2):
        for action in real_bundle().actions:
            for role in real_catalogue().names:
                found = recorded(role, action, context=extra.get(action))
                assert deciding.decide(found).verdict is Verdict.SAME, (role, action)


def test_a_change_flips_what_it_changes() -> None:
    """A limit that rises allows more; a role that goes allows less; a renamed policy is another reason."""
    bundle = changed({"order.cedar": ("context.percent <= 10", "context.percent <= 20")})
    outcome = replay(bundle).decide(recorded("Cashier", "order:discount", context={"percent": 15}))
    assert outcome.verdict is Verdict.NEWLY_ALLOWED
    assert outcome.answer is not None
    assert outcome.answer.reasons == ("order.cashier-discount",)
    bundle = changed({"order.cedar": ('Role::"Support", ', "")})
    assert replay(bundle).decide(recorded("Support", "order:list")).verdict is Verdict.NEWLY_DENIED
    bundle = changed({"order.cedar": ('@id("read")', '@id("look")')})
    assert replay(bundle).decide(recorded("Support", "order:list")).verdict is Verdict.SAME
    assert replay(bundle, same_reasons=True).decide(recorded("Support", "order:list")).verdict is Verdict.REASONS


def test_a_candidate_that_reads_a_new_attribute_is_undecidable() -> None:
    """Optional and required ones, only for the actions that read them; a comment in the schema changes nothing."""
    found = recorded("Cashier", "order:discount", context={"percent": 5})
    schema = ("percent: Long,", "percent: Long, coupon?: String,")
    more = (
        '@id("coupon") @reason("r") forbid (principal, action == Action::"order:discount", resource)'
        ' when { context has coupon && context.coupon == "x" };'
    )
    outcome = replay(changed(schema=schema, more=more), (real_bundle(),)).decide(found)
    assert outcome == Outcome(Verdict.UNDECIDABLE, why="not_recorded", detail="context.coupon was not recorded")
    assert replay(changed(schema=schema)).decide(found).verdict is Verdict.SAME, "nobody reads it"
    required = replay(changed(schema=("percent: Long,", "percent: Long, coupon: String,"))).decide(found)
    assert required == outcome
    other = recorded("Cashier", "order:list")
    assert replay(changed(schema=schema, more=more)).decide(other).verdict is Verdict.SAME
    commented = changed(schema=("// ---- who", "// ---- who asks"))
    assert commented.schema_version != real_bundle().schema_version
    assert replay(commented, (real_bundle(),)).decide(found).verdict is Verdict.SAME


def test_an_optional_attribute_of_the_known_schema_was_absent() -> None:
    """Where the schema of then is at hand, what it declares and the record lacks was not there."""
    optional = ("type Common = {", "type Common = {\n  shift?: String,")
    before = changed(schema=optional)
    late = (
        '@id("late") @reason("r") forbid (principal, action == Action::"order:list", resource)'
        ' when { context has shift && context.shift == "late" };'
    )
    after = changed(schema=(optional[0], optional[1] + " more?: Long,"), more=late)
    found = msgspec.structs.replace(recorded("Cashier", "order:list"), schema_version=before.schema_version)
    assert replay(after).decide(found).detail == "context.shift was not recorded"
    assert replay(after, (before,)).decide(found).verdict is Verdict.SAME


def test_an_unusable_record_is_undecidable() -> None:
    """With its own word; an action that the candidate does not have is undecidable, too."""
    found = recorded("Cashier", "order:list")
    deciding = replay(real_bundle())
    for unusable in Unusable:
        outcome = deciding.decide(msgspec.structs.replace(found, unusable=unusable))
        assert outcome == Outcome(Verdict.UNDECIDABLE, why=unusable.value)
        assert outcome.why in UNDECIDABLE
    assert found.question is not None
    asked = msgspec.structs.replace(found.question, action="order:burn")
    outcome = deciding.decide(msgspec.structs.replace(found, action="order:burn", question=asked))
    assert (outcome.why, outcome.detail) == ("no_decision", "the schema declares no such action")


def test_a_forbid_of_the_candidate_that_cannot_be_evaluated_denies_as_it_would() -> None:
    """An overflow in a `forbid` is the candidate's own doing, and what the gateway would do with it is known."""
    more = (
        '@id("overflow") @reason("r") forbid (principal, action == Action::"order:discount", resource)'
        " when { context.percent * 9223372036854775807 > 3 };"
    )
    outcome = replay(changed(more=more)).decide(recorded("Cashier", "order:discount", context={"percent": 5}))
    assert outcome.verdict is Verdict.NEWLY_DENIED
    assert outcome.answer is not None
    assert [error.policy_id for error in outcome.answer.errors] == ["more.overflow"]


def test_a_memo_makes_no_difference() -> None:
    """A thousand random decisions, by a changed set: remembered and fresh answers are the same."""
    bundle = changed({"order.cedar": ("context.percent <= 10", "context.percent <= 20")})
    dice = random.Random(3)
    one, engine = replay(bundle), Engine(bundle)
    for number in range(300):
        action = dice.choice(["order:discount", "order:list", "order:cancel"])
        context = {"percent": dice.randrange(-2, 60)} if action == "order:discount" else None
        found = recorded(
            dice.choice(real_catalogue().offered), action, number=number, sub=f"u-{dice.randrange(3)}", context=context
        )
        assert found.question is not None
        assert one.decide(found).answer == engine.decide(found.question)


def test_a_remembered_decision_costs_less_than_asking_cedar() -> None:
    """Reading its record included: that is what makes 100,000 a matter of seconds. By processor time, the best."""
    lines = [encode(decided("Cashier", "order:list", number, sub=f"u-{number % 5}")) for number in range(400)]
    questions = [found.question for line in lines if isinstance(found := read(line), Recorded) and found.question]
    engine = Engine(real_bundle())
    deciding = replay(real_bundle())

    def again() -> None:
        for line in lines:
            found = read(line)
            assert isinstance(found, Recorded)
            assert deciding.decide(found).verdict is Verdict.SAME

    def anew() -> None:
        for question in questions:
            engine.decide(question)

    assert 1.5 * min(map(_seconds, [again] * 3)) < min(map(_seconds, [anew] * 3))


def _seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
