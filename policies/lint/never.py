"""Policies that can never apply.

Proved in one of two ways: by the facts that the conditions would need (`policies.lint.facts`: bounds of Longs, two
literals, an expression and its opposite, types, actions); or by Cedar's own types, which make an expression that is
false in every environment of the type `False`. Cedar's library has no warnings, but it type-checks nothing behind a
`False`: a policy whose conditions have that type still validates with `when { 1 }` appended, and no other does.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from policies.bundle import Bundle
from policies.errors import Finding
from policies.expression import shown
from policies.fit import refused
from policies.lexer import find
from policies.lint.claim import Claim, said

CODE: Final = "never-applies"


def never_applies(claims: Sequence[Claim], bundle: Bundle) -> tuple[list[Finding], frozenset[str]]:
    """Policies that can never apply.

    Returns:
        The findings, and the policies' ids.
    """
    by_types = _false_by_types(claims, bundle)
    findings: list[Finding] = []
    dead: set[str] = set()
    for claim in claims:
        found = claim.conflict()
        if found is not None:
            dead.add(claim.policy.id)
            conflict, number = found
            facts = sorted(conflict, key=lambda fact: (find(claim.policy.text, shown(fact[0])), not fact[1]))
            what = f"{said(facts)} {'are never true together' if len(facts) > 1 else 'is never true'}"
            more = "; nor does any other way to meet the conditions hold" if number > 1 else ""
            findings.append(claim.finding(CODE, f"the policy never applies: {what}{more}", shown(facts[-1][0])))
        elif claim.policy.id in by_types:
            dead.add(claim.policy.id)
            reason = "the policy never applies: by the schema's types its conditions are always false"
            findings.append(claim.finding(CODE, reason, _first_clause(claim)))
    return findings, frozenset(dead)


def _false_by_types(claims: Sequence[Claim], bundle: Bundle) -> frozenset[str]:
    if not claims:
        return frozenset()
    probes = [(f"{claim.policy.text.removesuffix(';')}\nwhen {{ 1 }};", claim.policy.scope_actions) for claim in claims]
    typed = refused(probes, bundle.schema)
    return frozenset(claim.policy.id for number, claim in enumerate(claims) if number not in typed)


def _first_clause(claim: Claim) -> str:
    clauses = claim.policy.tree["conditions"]
    return str(clauses[0]["kind"]) if isinstance(clauses, list) and clauses and isinstance(clauses[0], dict) else ""


def alive(claims: Iterable[Claim], dead: Collection[str]) -> Iterator[Claim]:
    """The policies that may apply."""
    return (claim for claim in claims if claim.policy.id not in dead)
