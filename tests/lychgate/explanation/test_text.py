"""Explanations as people read them."""

import pytest

from lychgate.explanation.text import lines, value
from policies.account import Verdict
from policies.model import Json
from roles.explain import Explainer, Explanation
from roles.recorded import Recorded
from tests.builders.questions import make_principal, make_question, real_bundle, real_catalogue, real_engine

EXPLAINER = Explainer(real_engine(), real_catalogue())


def explained(role: str, action: str, *, of: str | None = None, tenant: str = "acme", **context: Json) -> Explanation:
    """By the shipped policies."""
    principal = make_principal([role] if role else [], tenant)
    return EXPLAINER.explain(make_question(principal, action, of=of, context=context), principal)


def test_a_denial_is_told_from_the_nearest_policy_on() -> None:
    """What was asked, what was false and where, what would have been enough."""
    said = list(lines(explained("Cashier", "order:discount", percent=60)))
    assert said[:6] == [
        'DENY: Cashier of `acme` asks for order:discount on Order::"r-1"',
        "  context: now = 2026-11-23T15:00:00.000Z, cross_tenant = false, percent = 60",
        f"  policies: {real_bundle().version}",
        "  no policy allows it",
        "",
        "permit order.cashier-discount does not apply  (a Cashier gives up to 10 per cent; order.cedar:21)",
    ]
    assert said[6] == "    order.cedar:24:32: when `context.percent <= 10` is false"
    assert said[-2:] == [
        "enough would have been the role Admin",
        "enough would have been percent = 10 instead of 60",
    ]


def test_a_forbid_shows_the_ways_around_it() -> None:
    """An `unless` that was false."""
    said = list(lines(explained("Manager", "order:read", of="globex")))
    assert "  the resource is `globex`'s" in said
    assert "  forbidden by tenancy.wall" in said
    start = said.index("forbid tenancy.wall applies  (no tenant touches another; tenancy.cedar:3)")
    assert said[start + 1] == "    tenancy.cedar:6:8: when `principal.tenant != resource.tenant` is true"
    assert "    tenancy.cedar:9:72: unless `context.cross_tenant` is false" in said
    assert said[-3:] == [
        "no role that can be asked for would have been enough",
        "in the way: tenancy.wall",
        "no change of up to 3 values of the context was found that would have been enough",
    ]


def test_an_allow_names_who_decided() -> None:
    """And suggests nothing."""
    said = list(lines(explained("Cashier", "order:create")))
    assert said[0].startswith("ALLOW: Cashier of `acme`")
    assert "  allowed by order.sell" in said
    assert not any("enough" in line for line in said)


def test_every_part_can_be_shown() -> None:
    """Those that were as the policy wants them, too."""
    told = explained("Cashier", "order:create")
    assert '    order.cedar:11:3: `principal in Role::"Cashier"` is true' in list(lines(told, every=True))
    assert sum(len(account.parts) for account in told.policies) == sum(
        line.startswith("    ") for line in lines(told, every=True)
    )
    assert any(account.verdict is Verdict.APPLIED for account in told.policies)


def test_what_was_decided_then_stands_beside_it() -> None:
    """With the policies of then, where they are others."""
    told = explained("Cashier", "order:discount", percent=60)
    principal = make_principal(["Cashier"])
    question = make_question(principal, "order:discount")
    old = list(lines(told, Recorded("e-1", question, principal, "allow", ("order.old",), "v0")))
    assert "  decision e-1: allow (order.old), by policies v0, not by these" in old
    assert "  what was allow then is deny now" in old
    same = list(lines(told, Recorded("e-1", question, principal, "deny", (), told.policy_version)))
    assert "  decision e-1: deny, by the same policies" in same


def test_nobody_has_no_role() -> None:
    """It is said, not left out."""
    assert next(iter(lines(explained("", "order:read")))).startswith("DENY: nobody's role of `acme`")


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (True, "true"),
        ("ä", '"ä"'),
        ([1, "a"], '[1, "a"]'),
        ({"__extn": {"fn": "ip", "arg": "::1"}}, "::1"),
        ({"__entity": {"type": "User", "id": "x"}}, 'User::"x"'),
    ],
)
def test_values_are_written_as_people_write_them(of: Json, said: str) -> None:
    """Times, entities, the rest as JSON."""
    assert value(of) == said


def test_what_a_record_holds_cannot_steer_a_terminal() -> None:
    """Control characters and those that turn the direction of writing are shown, not sent."""
    told = explained("Cashier", "order:discount", percent=60)
    principal = make_principal(["Cashier"])
    question = make_question(principal, "order:discount")
    hostile = Recorded("\x1b[2Je\u202e\x9b", question, principal, "deny", ("\n\r",), "\x07")
    said = "".join(lines(told, hostile))
    assert said.isprintable()
    assert r"decision \u{1b}[2Je\u{202e}\u{9b}: deny (\u{a}\u{d}), by policies \u{7}, not by these" in said
