"""Policies as they are: numbered, unvalidated, but parsed."""

import pytest

from policies.errors import PolicyErrors
from policies.loose import loose_bundle
from policies.model import Effect

SCHEMA = ("s.cedarschema", 'entity U; action "look" appliesTo { principal: [U], resource: [U] };')
YES = "permit (principal, action, resource);"


def test_a_policy_without_an_id_has_its_number() -> None:
    """Counted over all files, as Cedar counts; who has an id keeps it, and its number is skipped."""
    files = [("a.cedar", f'{YES}\n@id("mine") @reason("why") {YES}'), ("b.cedar", YES.replace("permit", "forbid"))]
    bundle = loose_bundle(files, SCHEMA)
    assert {policy.id: (policy.effect, policy.reason, policy.line) for policy in bundle.policies.values()} == {
        "policy0": (Effect.ALLOW, "", 1),
        "mine": (Effect.ALLOW, "why", 2),
        "policy2": (Effect.DENY, "", 1),
    }


def test_a_policy_that_does_not_fit_its_schema_is_taken() -> None:
    """What it says when it is asked is Cedar's business."""
    assert loose_bundle([("a.cedar", YES.replace(";", " when { principal.height > 1 };"))], SCHEMA).policies


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("permit (principal, action];", "a.cedar:1: unexpected token `]`"),
        (
            YES.replace("principal", "principal == ?principal"),
            "a.cedar:1: a template decides nothing; write the policy out",
        ),
        (f'@id("x") {YES}\n@id("x") {YES}', "a.cedar:2: the id `x` is taken at a.cedar:1"),
        (f'@id("policy1") {YES}\n{YES}', "a.cedar:2: the id `policy1` is taken at a.cedar:1"),
    ],
)
def test_what_no_policy_can_be_made_of_is_named(text: str, finding: str) -> None:
    """With file, line and reason."""
    with pytest.raises(PolicyErrors) as refused:
        loose_bundle([("a.cedar", text)], SCHEMA)
    assert [str(each) for each in refused.value.findings] == [finding]
