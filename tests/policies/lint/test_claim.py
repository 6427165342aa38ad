"""A policy as the analyses take it."""

from policies.lint.claim import fact_text, said
from policies.load import build_bundle
from tests.builders.conditions import SCHEMA, bundle_of, claims
from tests.builders.small_world import tree


def test_its_actions_are_those_its_scope_admits() -> None:
    """A group stands for its actions; no scope for all that apply to something."""
    bundle = bundle_of('permit (principal, action in Action::"everything", resource);',
                       "permit (principal, action, resource);")  # fmt: skip
    assert bundle is not None
    found = claims(bundle)
    assert {uid.id for uid in found["p.p0"].actions} == {"r", "w"}
    assert {uid.id for uid in found["p.p1"].actions} == {"r", "w", "v"}


def test_a_finding_stands_at_the_expression() -> None:
    """Whatever blanks, comments and parentheses are between; at the beginning where it is spelled otherwise."""
    bundle = bundle_of('permit (principal, action == Action::"r", resource)\n  when { (context\n.l) // x\n < 3 };')
    assert bundle is not None
    claim = claims(bundle)["p.p0"]
    found = claim.finding("shadowed", "why", "context.l < 3")
    assert (found.file, found.line, found.column, found.code) == ("p.cedar", 3, 11, "shadowed")
    assert (claim.finding("shadowed", "why", "context.m").line, claim.finding("shadowed", "why").column) == (1, 1)


def test_a_policy_behind_another_on_a_line() -> None:
    """Columns count from the line's beginning, not the policy's."""
    text = "".join(f'@id("{name}") @reason("r") permit (principal, action, resource); ' for name in "ab")
    found = claims(build_bundle([("p.cedar", text)], SCHEMA))["p.b"].finding("shadowed", "why", "permit")
    assert (found.line, found.column) == (1, text.rindex("permit") + 1)


def test_facts_are_quoted_as_they_hold() -> None:
    """What is false with a `!`."""
    assert fact_text(tree("context.b"), False) == "!context.b"
    assert said([(tree("context.l < 3"), False), (tree("context.b"), True)]) == "`!(context.l < 3)` and `context.b`"
