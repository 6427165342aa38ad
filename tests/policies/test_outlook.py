"""What is said of every context holds for every context."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.bundle import Bundle
from policies.engine import Engine
from policies.errors import NoDecision, UnknownAction
from policies.load import build_bundle
from policies.model import Effect
from policies.outlook import Foresight, Outlook
from tests.builders.questions import make_principal, make_question, real_engine
from tests.builders.small_world import CONTEXTS, SCHEMA, ask, bundles


class _Absent:
    """An attribute that is not there compares with nothing."""

    def __gt__(self, other: object) -> bool:
        return False

    def __le__(self, other: object) -> bool:
        return True

    __ge__ = __gt__
    __lt__ = __le__


def meant(condition: str, context: dict[str, Any]) -> bool:
    """Whether a condition in words holds: it is near enough to Python."""
    text = condition.replace("&&", " and ").replace("||", " or ")
    text = re.sub(r"!(?!=)", " not ", text)
    text = text.replace("context has extra", '("extra" in context)')
    text = re.sub(r'word like "b\*"', 'word.startswith("b")', text)
    text = re.sub(r"\bif (.*?) then (.*?) else ", r"(\2) if (\1) else ", text)
    names = {"extra": _Absent(), **context, "context": context, "true": True, "false": False}
    return bool(eval(text, {"__builtins__": {}}, names))  # noqa: S307 - our own words


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=25)
@given(bundles(), st.sampled_from([(), ("A",), ("B",), ("A", "B")]), st.sampled_from(["t", "u"]), st.booleans())
def test_what_is_said_of_every_context_holds_for_each(
    bundle: Bundle, roles: tuple[str, ...], of: str, strict: bool
) -> None:
    """Allow and deny are what the engine says of each context; a condition that needs no nested choice as well."""
    engine = Engine(bundle, strict=strict)
    found = Foresight(engine).look(ask(roles, {}, of)[0])
    nested = "if " in found.condition or "x + 1" in found.condition or "has extra" in found.condition
    nested = nested or "can be evaluated" in found.condition
    for context in CONTEXTS:
        answer = engine.decide(ask(roles, context, of)[0])
        if found.effect is not None:
            assert answer.effect is found.effect, (context, answer)
        elif not nested:
            assert answer.allows is meant(found.condition, context), (found.condition, context)


@pytest.mark.parametrize(
    ("role", "action", "outlook"),
    [
        ("Cashier", "order:read", Outlook(Effect.ALLOW, "", ("order.read",))),
        ("Support", "order:create", Outlook(Effect.DENY)),
        (
            "Manager",
            "payment:refund",
            Outlook(None, "1 <= amount <= 50000", ("payment.manager-refund", "payment.refund-something")),
        ),
        ("Admin", "payment:refund", Outlook(None, "amount >= 1", ("payment.refund-something", "tenancy.admin"))),
    ],
)
def test_the_shipped_policies(role: str, action: str, outlook: Outlook) -> None:
    """Allow, deny and conditions, with who decides."""
    assert Foresight(real_engine()).look(make_question(make_principal([role]), action)) == outlook


def test_a_forbid_that_stands_whatever_the_context_is_named() -> None:
    """The wall, and not the forbid that may apply besides."""
    asked = make_question(make_principal(["Manager"]), "payment:refund", of="globex")
    assert Foresight(real_engine()).look(asked) == Outlook(Effect.DENY, "", ("tenancy.wall",))


def _look(policies: str, *, strict: bool = False) -> Outlook:
    bundle = build_bundle([("p.cedar", policies)], SCHEMA)
    return Foresight(Engine(bundle, strict=strict)).look(ask(("A",), {})[0])


PERMIT = '@id("a") @reason("r") permit (principal, action, resource);'
OVERFLOW = f"{2**63 - 1} + 1 > 0"


def test_a_forbid_that_fails_denies() -> None:
    """As the engine has it; a permit that fails is as if it were not there, unless the engine is strict."""
    forbid = f'@id("f") @reason("r") forbid (principal, action, resource) when {{ {OVERFLOW} }};'
    assert _look(PERMIT + forbid) == Outlook(Effect.DENY, "", ("p.f",))
    failing = f'@id("b") @reason("r") permit (principal, action, resource) when {{ {OVERFLOW} }};'
    assert _look(PERMIT + failing) == Outlook(Effect.ALLOW, "", ("p.a",))
    assert _look(PERMIT + failing, strict=True) == Outlook(Effect.DENY, "", ("p.b",))


def test_a_forbid_that_may_fail_stays_a_condition() -> None:
    """`false` behind an overflow does not make it harmless."""
    forbid = '@id("f") @reason("r") forbid (principal, action, resource) when { context.x + 1 > 4 && false };'
    found = _look(PERMIT + forbid)
    assert found.effect is None
    assert "x + 1 <= 4" in found.condition


def test_a_permit_that_may_fail_stays_a_condition() -> None:
    """True or not true is not always true where it may be neither; in strict mode nothing is allowed where it fails."""
    either = (
        '@id("e") @reason("r") permit (principal, action, resource) when { context.x + 1 > 4 || context.x + 1 <= 4 };'
    )
    assert _look(either).effect is None
    assert _look(either.replace("context.x + 1 <= 4", "true")).effect is None
    assert _look(PERMIT + either).effect is Effect.ALLOW
    assert _look(PERMIT + either, strict=True) == Outlook(None, "p.e can be evaluated", ("p.a", "p.e"))


def test_too_many_conditions_are_not_listed() -> None:
    """The policies are, and where to ask."""
    text = " && ".join(f'(context.word like "a{n}*" || context.word like "b{n}*")' for n in range(7))
    found = _look(f'@id("m") @reason("r") permit (principal, action, resource) when {{ {text} }};')
    assert found.effect is None
    assert found.condition == "too many conditions to list; ask `lychgate policy explain` about one request"


def test_what_does_not_fit_the_schema_is_not_answered() -> None:
    """An unknown action, and a resource of another type."""
    foresight = Foresight(real_engine())
    asked = make_question(make_principal(["Cashier"]), "order:read", resource_type="Payment")
    with pytest.raises(NoDecision, match="the question does not fit the schema"):
        foresight.look(asked)
    import msgspec

    with pytest.raises(UnknownAction, match="order:fly"):
        foresight.look(msgspec.structs.replace(asked, action="order:fly"))
