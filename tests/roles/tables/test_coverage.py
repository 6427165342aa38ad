"""What cases have seen of policies and their conditions, and which permits were near."""

from policies.engine import Engine
from policies.standing import Standings
from roles.tables.coverage import Covered, coverage, near, percentage
from roles.tables.run import run
from tests.builders.questions import real_bundle, real_catalogue
from tests.builders.tables import SCHEMA, cases_of, checked, documents

CASE = """
- name: NAME
  principal: {type: Person, id: p, attrs: {level: LEVEL}}
  action: ACTION
  resource: {type: Doc, id: d, attrs: {owner: {__entity: {type: Person, id: OWNER}}, public: PUBLIC}}
  context: {hour: HOUR}
  expect: deny
"""


def seen(*cases: tuple[int, str, str, str, int]) -> dict[str, Covered]:
    """What cases have seen, by policy: level, action, owner, public, hour of each."""
    text = ""
    for number, (level, action, owner, public, hour) in enumerate(cases):
        made = CASE.replace("NAME", f"c{number}").replace("LEVEL", str(level)).replace("ACTION", action)
        text += made.replace("OWNER", owner).replace("PUBLIC", public).replace("HOUR", str(hour))
    bundle = documents()
    outcomes = run(cases_of(text, bundle), Engine(bundle), real_catalogue())
    return {each.policy.id: each for each in coverage(outcomes, bundle)}


def test_one_case_sees_one_way() -> None:
    """A policy that decided has not stood aside; one whose action was not asked about has done neither."""
    found = seen((3, "view", "q", "true", 3))
    assert (found["doc.public"].decided, found["doc.public"].aside) == (1, 0)
    assert found["doc.public"].holes == (
        (2, "never stands aside"),
        (3, "never unsatisfied: when { resource.public }"),
    )
    assert found["doc.owner"].holes == (
        (4, "never decides"),
        (6, "never satisfied: when { resource.owner == principal }"),
        (7, "never unsatisfied: unless { principal.level < 2 }"),
    )
    assert found["doc.night"].holes == ((8, "no case asks about its actions"),)
    assert [(each.asked, each.decided, each.aside) for each in found.values()] == [(0, 0, 0), (1, 0, 1), (1, 1, 0)]
    assert percentage(found.values()) == 0


def test_a_permit_that_a_forbid_overrules_has_not_decided() -> None:
    """Nor has it stood aside: it applied."""
    found = seen((3, "edit", "p", "false", 22))
    assert (found["doc.owner"].decided, found["doc.owner"].aside) == (0, 0)
    assert (found["doc.night"].decided, found["doc.night"].aside) == (1, 0)


def test_a_policy_that_fails_has_not_stood_aside() -> None:
    """It denied; whether it would have applied is not known."""
    found = seen((3, "edit", "p", "false", 23))
    assert (found["doc.night"].decided, found["doc.night"].aside) == (1, 0)


def test_everything_seen() -> None:
    """No hole is left."""
    found = seen(
        (3, "view", "q", "true", 3),
        (3, "view", "q", "false", 3),
        (3, "edit", "p", "false", 3),
        (1, "edit", "p", "false", 3),
        (3, "edit", "p", "false", 22),
    )
    assert {name: each.holes for name, each in found.items()} == dict.fromkeys(found, ())
    assert percentage(found.values()) == 100
    assert percentage([]) == 100


def test_the_nearest_permits_come_first() -> None:
    """Those whose scope matches, and what of them does not hold."""
    (case,) = cases_of("- {name: a, roles: [Manager], action: payment:refund, context: {amount: 50001}, expect: deny}")
    found = near(Standings(real_bundle()).standings(case.action, case.question), real_bundle())
    assert [(policy.id, why) for policy, why in found] == [
        ("payment.manager-refund", "not satisfied: when { context.amount <= 50000 }"),
        ("tenancy.admin", "its scope does not match"),
        ("tenancy.super-admin", "its scope does not match"),
    ]


def test_a_permit_that_fails_is_near() -> None:
    """It is said to have failed."""
    bundle = checked(
        '@id("a") @reason("r") permit (principal, action, resource)'
        " when { principal.level + 9223372036854775807 > 0 };",
        SCHEMA,
    )
    (case,) = cases_of(
        CASE.replace("NAME", "a")
        .replace("LEVEL", "1")
        .replace("ACTION", "view")
        .replace("HOUR", "1")
        .replace("OWNER", "p")
        .replace("PUBLIC", "false"),
        bundle,
    )
    found = near(Standings(bundle).standings(case.action, case.question), bundle)
    assert [(policy.id, why) for policy, why in found] == [("doc.a", "could not be evaluated")]
