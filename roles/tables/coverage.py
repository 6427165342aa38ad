"""Cases in, which policies and clauses they have seen both ways out. Pure.

A policy that was never seen to decide may be dead; one that was never seen to stand aside may be too wide; the same
holds for each of its conditions. The threshold counts policies of which nothing is left unseen.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from policies.bundle import Bundle, Policy
from policies.model import Effect
from policies.standing import Standing, Standings, conditions_of
from policies.wording import condition, condition_lines
from roles.tables.run import Outcome


class Covered(msgspec.Struct, frozen=True):
    """What the cases have seen of one policy.

    Attributes:
        policy: The policy.
        decided: In how many cases it was among the policies that decided.
        asked: How many cases ask about one of its actions.
        aside: In how many of these it did not apply.
        holes: What was not seen: the line of the policy or condition, and words for it.
    """

    policy: Policy
    decided: int
    asked: int
    aside: int
    holes: tuple[tuple[int, str], ...]


def coverage(outcomes: Iterable[Outcome], bundle: Bundle) -> list[Covered]:
    """Say what the cases have seen of each policy, in the order of ids.

    Args:
        outcomes: Of cases that were run with the bundle.
        bundle: The policies.
    """
    found = Standings(bundle)
    decided: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    aside: Counter[str] = Counter()
    clauses: dict[str, set[tuple[int, bool]]] = {name: set() for name in bundle.policies}
    for outcome in outcomes:
        decided.update(outcome.answer.reasons)
        for name, standing in found.standings(outcome.case.action, outcome.case.question).items():
            asked[name] += 1
            aside[name] += not standing.applies and not standing.fails
            clauses[name].update((index, held) for index, held in enumerate(standing.conditions) if held is not None)
    return [
        _with_holes(Covered(policy, decided[name], asked[name], aside[name], ()), clauses[name])
        for name, policy in bundle.policies.items()
    ]


def percentage(found: Iterable[Covered]) -> float:
    """How many of the policies have no hole, 0 to 100."""
    whole = list(found)
    return 100 * sum(not each.holes for each in whole) / len(whole) if whole else 100.0


def near(standings: Mapping[str, Standing], bundle: Bundle) -> list[tuple[Policy, str]]:
    """The permits that had a say and did not apply, with the reason; those that came closest first."""
    found = [
        (not standing.scope, policy.id, policy, obstacle(policy, standing))
        for name, standing in standings.items()
        if (policy := bundle.policies[name]).effect is Effect.ALLOW and not standing.applies
    ]
    return [(policy, why) for _, _, policy, why in sorted(found, key=lambda each: each[:2])]


def obstacle(policy: Policy, standing: Standing) -> str:
    """Why a policy did not apply."""
    if standing.fails:
        return "could not be evaluated"
    if not standing.scope:
        return "its scope does not match"
    for clause, held in zip(conditions_of(policy), standing.conditions, strict=True):
        if held is False:
            return f"not satisfied: {condition(clause)}"
    return "did not apply"


def _with_holes(found: Covered, clauses: set[tuple[int, bool]]) -> Covered:
    return msgspec.structs.replace(found, holes=tuple(_holes(found, clauses)))


def _holes(found: Covered, clauses: set[tuple[int, bool]]) -> Iterable[tuple[int, str]]:
    policy = found.policy
    if not found.asked:
        yield policy.line, "no case asks about its actions"
        return
    if not found.decided:
        yield policy.line, "never decides"
    if not found.aside:
        yield policy.line, "never stands aside"
    for index, (clause, line) in enumerate(zip(conditions_of(policy), condition_lines(policy), strict=True)):
        for held, word in ((True, "satisfied"), (False, "unsatisfied")):
            if (index, held) not in clauses:
                yield line, f"never {word}: {condition(clause)}"
