"""Explanations: the answer, and what would have been enough."""

import json

import pytest

from policies.account import Verdict
from policies.engine import Engine
from policies.errors import NoDecision
from policies.load import build_bundle
from policies.model import Effect, Json
from roles.enough import Enough
from roles.explain import FIXED, Explainer, Explanation, as_json
from roles.recorded import Recorded
from tests.builders.questions import make_principal, make_question, real_bundle, real_catalogue, real_engine
from tests.builders.small_world import CATALOGUE, SCHEMA, ask

EXPLAINER = Explainer(real_engine(), real_catalogue())


def explained(role: str, action: str, *, of: str | None = None, **context: Json) -> Explanation:
    """By the shipped policies."""
    principal = make_principal([role])
    return EXPLAINER.explain(make_question(principal, action, of=of, context=context), principal)


def test_a_denied_discount() -> None:
    """Nothing allowed it; an Admin could, and so could a smaller discount."""
    told = explained("Cashier", "order:discount", percent=60)
    assert (told.effect, told.reasons, told.in_the_way) == (Effect.DENY, (), ())
    assert told.roles == Enough(("Admin",))
    assert [[(change.attribute, change.old, change.new) for change in each] for each in told.changes.sets] == [
        [("percent", 60, 10)]
    ]
    assert told.policy_version == real_bundle().version
    assert told.question == {
        "principal": "dev/acme/u-1",
        "tenant": "acme",
        "roles": ["Cashier"],
        "action": "order:discount",
        "resource": {"type": "Order", "id": "r-1"},
        "resource_tenant": "acme",
        "context": {
            "now": {"__extn": {"fn": "datetime", "arg": "2026-11-23T15:00:00.000Z"}},
            "cross_tenant": False,
            "percent": 60,
        },
    }


def test_an_allow_says_who_decided_and_suggests_nothing() -> None:
    """There is nothing to be had."""
    told = explained("Cashier", "order:create")
    assert (told.effect, told.reasons) == (Effect.ALLOW, ("order.sell",))
    assert told.roles == Enough()
    assert told.changes.sets == ()


def test_the_wall_is_never_to_be_climbed() -> None:
    """No change of the context is suggested that opens another tenant."""
    told = explained("Manager", "payment:refund", of="globex", amount=60000)
    assert told.in_the_way == ("tenancy.wall",)
    assert told.roles == Enough()
    assert told.changes.sets == ()
    crossing = make_principal(["SuperAdmin"], "platform")
    asked = make_question(crossing, "order:read", of="acme")
    assert EXPLAINER.explain(asked, crossing).changes.sets == ()
    assert asked.context.keys() >= FIXED


def test_a_forbid_that_fails_stands_in_the_way() -> None:
    """With Cedar's reason, and without the value."""
    text = (
        '@id("a") @reason("r") permit (principal, action, resource);'
        '@id("f") @reason("r") forbid (principal, action, resource) when { context.x + 1 < 0 };'
    )
    question, principal = ask(("A",), {"x": 2**63 - 1, "y": 0, "flag": False, "word": "w"})
    told = Explainer(Engine(build_bundle([("p.cedar", text)], SCHEMA)), CATALOGUE).explain(question, principal)
    assert (told.effect, told.reasons, told.in_the_way) == (Effect.DENY, ("p.f",), ("p.f",))
    assert [account.verdict for account in told.policies] == [Verdict.APPLIED, Verdict.ERROR]
    assert str(2**63 - 1) not in told.errors[0].message
    assert [[change.new for change in each] for each in told.changes.sets] == [[2**63 - 2]]


def test_a_large_question_gets_fewer_tries() -> None:
    """So that the work is bounded whatever is asked."""
    text = '@id("p") @reason("r") permit (principal, action, resource) when { context.flag };'
    question, principal = ask((), {"x": 0, "y": 0, "flag": False, "word": "w" * 200_000})
    told = Explainer(Engine(build_bundle([("p.cedar", text)], SCHEMA)), CATALOGUE).explain(question, principal)
    assert not told.changes.complete


def test_what_does_not_fit_the_schema_is_not_explained() -> None:
    """It has no answer either."""
    with pytest.raises(NoDecision):
        explained("Cashier", "order:discount")


def test_as_json_says_what_was_decided_then() -> None:
    """Beside what would be decided now."""
    told = explained("Cashier", "order:discount", percent=60)
    principal = make_principal(["Cashier"])
    then = Recorded("e-1", make_question(principal, "order:discount"), principal, "allow", ("order.old",), "v0")
    plain = as_json(told, then)
    assert plain["recorded"] == {
        "event_id": "e-1",
        "effect": "allow",
        "reasons": ["order.old"],
        "policy_version": "v0",
        "same_policies": False,
        "same_effect": False,
    }
    assert plain["decision"] == {"effect": "deny", "reasons": [], "errors": []}
    assert plain["roles_enough"] == {"alone": ["Admin"], "together": []}
    assert plain["changes_enough"] == {
        "sets": [[{"attribute": "percent", "old": 60, "new": 10, "removed": False}]],
        "complete": True,
    }
    assert plain["policies"][0]["parts"][3]["text"] == "0 <= context.percent"
    assert json.loads(json.dumps(plain)) == plain
    assert "recorded" not in as_json(told)
