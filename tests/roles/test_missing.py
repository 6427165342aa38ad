"""Which role would have been enough."""

import pytest

from policies.errors import NoDecision
from policies.model import Answer, Effect, Question
from roles.missing import missing_role
from tests.builders.questions import make_principal, make_question, real_catalogue, real_engine


def missing(roles: list[str], action: str, tenant: str = "acme", of: str = "acme", **context: int) -> str | None:
    """The missing role of a real question to the real policies."""
    principal = make_principal(roles, tenant)
    question = make_question(principal, action, of=of, context=dict(context))
    assert not real_engine().decide(question).allows
    return missing_role(question, principal, real_catalogue(), real_engine().decide)


@pytest.mark.parametrize(
    ("roles", "action", "expected"),
    [
        ([], "order:create", "Cashier"),
        (["Support"], "order:create", "Cashier"),
        (["Auditor"], "customer:read", "Support"),
        (["Cashier"], "inventory:adjust", "InventoryClerk"),
        (["Cashier", "Support", "InventoryClerk"], "product:price", "Manager"),
        (["Manager"], "customer:erase", "Admin"),
        (["Admin"], "ops:reload", None),
    ],
)
def test_the_least_role_that_would_do_is_named(roles: list[str], action: str, expected: str | None) -> None:
    """From least to most, added to what the caller has; none where none would do."""
    assert missing(roles, action, of="platform" if action.startswith("ops") else "acme") == expected


def test_the_same_question_is_asked() -> None:
    """The amount still counts: a role that would be refused for it is not named."""
    assert missing(["Cashier"], "payment:refund", amount=50_000) == "Manager"
    assert missing(["Cashier"], "payment:refund", amount=50_001) == "Admin"
    assert missing(["Cashier"], "payment:refund", amount=0) is None


def test_no_role_opens_another_tenant() -> None:
    """Nobody is told to ask for a role that would not help."""
    assert missing(["Admin"], "order:read", tenant="acme", of="globex") is None


def test_unknown_callers_are_told_nothing() -> None:
    """A caller without a credential learns no role's name, and no policy is asked."""
    principal = make_principal(["Anonymous"], "-")
    question = make_question(principal, "order:read", of="acme")

    def never(_: Question) -> Answer:
        raise AssertionError("asked")

    assert missing_role(question, principal, real_catalogue(), never) is None


def test_roles_that_are_never_offered_are_never_asked_for() -> None:
    """Neither SuperAdmin nor Service, nor one the caller has, is tried."""
    tried: list[frozenset[str]] = []

    def deny(question: Question) -> Answer:
        user = next(entity for entity in question.entities if entity.uid == question.principal)
        tried.append(frozenset(parent.id for parent in user.parents))
        assert sum(entity.uid == question.principal for entity in question.entities) == 1
        return Answer(Effect.DENY)

    principal = make_principal(["Support"])
    assert missing_role(make_question(principal, "order:create"), principal, real_catalogue(), deny) is None
    assert len(tried) == len(real_catalogue().offered) - 1
    assert not {"SuperAdmin", "Service", "Anonymous"} & frozenset().union(*tried)
    assert all("Support" in roles for roles in tried)


def test_a_fault_is_passed_on() -> None:
    """What cannot be decided has no answer to make up."""

    def fail(_: Question) -> Answer:
        raise NoDecision("x")

    principal = make_principal(["Support"])
    with pytest.raises(NoDecision):
        missing_role(make_question(principal, "order:create"), principal, real_catalogue(), fail)
