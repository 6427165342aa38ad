"""What people and scripts are told."""

from pathlib import Path

from policies.engine import Engine
from roles.tables.coverage import coverage
from roles.tables.mutation import mutation
from roles.tables.report import Reporter, Tone, document, summary
from roles.tables.run import run
from tests.builders.questions import real_bundle, real_catalogue, real_engine
from tests.builders.tables import cases_of, documents

MANAGER = "not satisfied: when { 0 <= context.percent && context.percent <= 50 }"
CASHIER = "not satisfied: when { 0 <= context.percent && context.percent <= 10 }"


def failure(text: str) -> list[str]:
    """The lines about the only case of a table."""
    (outcome,) = run(cases_of(text), real_engine(), real_catalogue())
    return [line for line, _ in Reporter(real_bundle(), Path("policies")).failure(outcome)]


def place(policy: str) -> str:
    """`policies/order.cedar:12 order.read (permit)`."""
    found = real_bundle().policies[policy]
    return f"policies/{found.file}:{found.line} {policy} ({found.tree['effect']})"


def test_a_refusal_that_should_be_an_allow() -> None:
    """What was asked, expected and got; why the policy that was expected did not apply, and who else was near."""
    assert failure("""
- name: too much
  roles: [Manager]
  action: order:discount
  resource: {id: o-1}
  context: {percent: 51}
  expect: allow
  policies: [order.manager-discount, order.nobody, order.sell]
""") == [
        "FAIL table.yaml:2: too much",
        '  Manager of acme: order:discount on Order::"o-1" of acme with {"percent": 51}',
        "  - expect: allow",
        "  + expect: deny",
        "  - policies: order.manager-discount, order.nobody, order.sell",
        "  + policies: (none)",
        f"    expected {place('order.manager-discount')}: {MANAGER}",
        "    expected order.nobody: there is no such policy",
        f"    expected {place('order.sell')}: it is not about this action",
        f"    near {place('order.cashier-discount')}: {CASHIER}",
        f"    near {place('tenancy.admin')}: its scope does not match",
        f"    near {place('tenancy.super-admin')}: its scope does not match",
        "",
    ]


def test_an_answer_for_another_reason() -> None:
    """Who decided, with the policy's own reason."""
    assert failure("""
- {name: x, roles: [], action: order:read, resource: {tenant: globex}, expect: deny, policies: [],
   missing_role: Cashier}
""") == [
        "FAIL table.yaml:2: x",
        '  no role of acme: order:read on Order::"*" of globex',
        "  - policies: (none)",
        "  + policies: tenancy.wall",
        "  - missing_role: Cashier",
        "  + missing_role: (none)",
        f"    decided by {place('tenancy.wall')}: no tenant touches another",
        "",
    ]


def test_a_policy_that_failed_is_told() -> None:
    """With Cedar's reason; and a principal that is an entity by its name."""
    bundle = documents()
    (outcome,) = run(
        cases_of(
            """
- name: late
  principal: {type: Person, id: p, attrs: {level: 3}}
  action: edit
  resource: {type: Doc, id: d, attrs: {owner: {__entity: {type: Person, id: p}}, public: false}}
  context: {hour: 23}
  expect: allow
""",
            bundle,
        ),
        Engine(bundle),
        real_catalogue(),
    )
    lines = [line for line, _ in Reporter(bundle, Path("p")).failure(outcome)]
    assert lines[1] == '  Person::"p": edit on Doc::"d" with {"hour": 23}'
    assert [line for line in lines if line.startswith("    decided by p/doc.cedar:8 doc.night (forbid)")]
    assert [line for line in lines if line.startswith("    failed: doc.night: integer overflow")]


def test_tones() -> None:
    """Colours are made of them."""
    (outcome,) = run(
        cases_of("- {name: a, roles: [], action: order:read, expect: allow}"), real_engine(), real_catalogue()
    )
    tones = [tone for _, tone in Reporter(real_bundle(), Path("policies")).failure(outcome)]
    assert tones[:4] == [Tone.BAD, Tone.ASIDE, Tone.GOOD, Tone.BAD]
    assert summary([outcome], None, None) == ("1 cases: 0 passed, 1 failed", Tone.BAD)


def test_the_summary_counts_everything() -> None:
    """Cases, coverage, mistakes."""
    outcomes = run(
        cases_of("- {name: a, roles: [], action: order:read, expect: deny}"), real_engine(), real_catalogue()
    )
    covered = coverage(outcomes, real_bundle())
    found = mutation([], documents(), real_catalogue())
    text, tone = summary(outcomes, covered, found)
    assert tone is Tone.GOOD
    assert text == (
        f"1 cases: 1 passed, 0 failed; {len(real_bundle().policies)} policies, 0.0 % covered; "
        f"{len(found.fates)} mutants, 0 noticed (0.0 %)"
    )


def test_scripts_are_told_the_same() -> None:
    """As plain values."""
    outcomes = run(
        cases_of("- {name: a, roles: [], action: order:read, expect: allow}"), real_engine(), real_catalogue()
    )
    told = document(outcomes, coverage(outcomes, real_bundle()), None, {})
    assert told["failures"] == [
        {
            "file": "table.yaml",
            "line": 1,
            "name": "a",
            "differences": [{"field": "expect", "expected": "allow", "got": "deny"}],
            "decision": "deny",
            "policies": [],
        }
    ]
    assert told["coverage"]["percent"] == 0
    assert "mutation" not in told
