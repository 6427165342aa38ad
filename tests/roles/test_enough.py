"""Every role that would have been enough, alone or two together."""

import pytest
from hypothesis import HealthCheck, given, settings

from policies.bundle import Bundle
from policies.engine import Engine
from policies.load import build_bundle
from policies.model import Question
from roles.enough import Enough, enough_roles
from roles.missing import missing_role, with_roles
from roles.model import Principal
from tests.builders.questions import make_principal, make_question, real_catalogue, real_engine
from tests.builders.small_world import CATALOGUE, SCHEMA, ask, bundles, questions


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=60)
@given(bundles(), questions())
def test_each_suggested_role_is_enough(bundle: Bundle, asked: tuple[Question, Principal]) -> None:
    """Alone or as a pair of which neither is; and the first is the one that a refusal names."""
    question, principal = asked
    decide = Engine(bundle).decide
    found = enough_roles(question, principal, CATALOGUE, decide)
    if decide(question).allows:
        return
    for name in CATALOGUE.offered:
        if name not in principal.roles:
            allows = decide(with_roles(question, principal, CATALOGUE, (name,))).allows
            assert allows is (name in found.alone)
    for pair in found.together:
        assert not found.alone
        assert decide(with_roles(question, principal, CATALOGUE, pair)).allows
    assert missing_role(question, principal, CATALOGUE, decide) == next(iter(found.alone), None)


@pytest.mark.parametrize(
    ("role", "action", "tenant", "alone"),
    [
        ("Cashier", "order:cancel", "acme", ("Manager", "Admin")),
        ("Support", "order:create", "acme", ("Cashier", "Manager", "Admin")),
        ("Support", "ops:revoke", "platform", ()),
        ("Anonymous", "order:read", "-", ()),
    ],
)
def test_the_shipped_roles(role: str, action: str, tenant: str, alone: tuple[str, ...]) -> None:
    """In catalogue order; never a role that is not offered, and none for a caller without a credential."""
    principal = make_principal([role], tenant)
    question = make_question(principal, action)
    assert enough_roles(question, principal, real_catalogue(), real_engine().decide) == Enough(alone)


def test_two_roles_where_none_is_enough() -> None:
    """A policy that wants both."""
    text = '@id("p") @reason("r") permit (principal in Role::"A", action, resource) when { principal in Role::"B" };'
    decide = Engine(build_bundle([("p.cedar", text)], SCHEMA)).decide
    question, principal = ask((), {"x": 0, "y": 0, "flag": False, "word": "w"})
    assert enough_roles(question, principal, CATALOGUE, decide) == Enough((), (("A", "B"),))
    question, principal = ask(("A",), {"x": 0, "y": 0, "flag": False, "word": "w"})
    assert enough_roles(question, principal, CATALOGUE, decide) == Enough(("B",))
