"""Outcomes in, lines for people out, and the same as plain values for scripts. Pure.

A line is a text and a word for how it is meant; the command line makes colours of the words where there is a terminal.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import msgspec

from policies.bundle import Bundle, Policy
from policies.model import Effect
from policies.mutate import Mutant
from policies.standing import Standings
from roles.tables.coverage import Covered, near, obstacle, percentage
from roles.tables.mutation import Mutation
from roles.tables.run import NOTHING, Outcome

_NEAR: Final = 8
"""How many permits that did not apply are told; an action rarely has more than six."""


class Tone(StrEnum):
    """How a line is meant."""

    PLAIN = "plain"
    BAD = "bad"
    GOOD = "good"
    ASIDE = "aside"


Line = tuple[str, Tone]


class Reporter:
    """Tells of outcomes, with the places of the policies they rest on."""

    __slots__ = ("_bundle", "_folder", "_standings")

    def __init__(self, bundle: Bundle, folder: Path) -> None:
        """Prepare.

        Args:
            bundle: What the cases were run with.
            folder: Where its files are, for places.
        """
        self._bundle = bundle
        self._folder = folder
        self._standings = Standings(bundle)

    def failure(self, outcome: Outcome) -> list[Line]:
        """A failed case: what was asked, expected and got, and the policies it hangs on."""
        case = outcome.case
        lines: list[Line] = [(f"FAIL {case.place}: {case.name}", Tone.BAD), (f"  {_asked(outcome)}", Tone.ASIDE)]
        for difference in outcome.differences:
            lines.append((f"  - {difference.field}: {difference.expected}", Tone.GOOD))
            lines.append((f"  + {difference.field}: {difference.got}", Tone.BAD))
        lines += [(f"    {text}", Tone.PLAIN) for text in self._grounds(outcome)]
        return [*lines, ("", Tone.PLAIN)]

    def holes(self, covered: Iterable[Covered]) -> list[str]:
        """What the cases have not seen, each with its place."""
        return [
            f"unseen {self.place(each.policy.file, line)}: {each.policy.id}: {what}"
            for each in covered
            for line, what in each.holes
        ]

    def place(self, file: str, line: int) -> str:
        """`policies/order.cedar:12`."""
        return f"{self._folder / file}:{line}"

    def _grounds(self, outcome: Outcome) -> Iterable[str]:
        """Why it came out so: who decided, whom the table expected, and for a default deny which permits were near."""
        reasons = outcome.answer.reasons
        for name in reasons:
            policy = self._bundle.policies[name]
            yield f"decided by {self._named(policy)}: {policy.reason}"
        for error in outcome.answer.errors:
            yield f"failed: {error.policy_id}: {error.message}"
        standings = self._standings.standings(outcome.case.action, outcome.case.question)
        expected = (outcome.case.policies or frozenset()).difference(reasons)
        for name in sorted(expected):
            policy_or_none = self._bundle.policies.get(name)
            if policy_or_none is None:
                yield f"expected {name}: there is no such policy"
            elif name not in standings:
                yield f"expected {self._named(policy_or_none)}: it is not about this action"
            else:
                yield f"expected {self._named(policy_or_none)}: {obstacle(policy_or_none, standings[name])}"
        if outcome.answer.effect is Effect.DENY and outcome.case.expect is Effect.ALLOW:
            others = [(policy, why) for policy, why in near(standings, self._bundle) if policy.id not in expected]
            for policy, why in others[:_NEAR]:
                yield f"near {self._named(policy)}: {why}"
            if not standings:
                yield "no policy is about this action"

    def _named(self, policy: Policy) -> str:
        word = policy.tree["effect"]
        return f"{self.place(policy.file, policy.line)} {policy.id} ({word})"


def visible(text: str) -> str:
    """A text on one line, so that nothing in a table can move a terminal's cursor or change its colours."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def summary(outcomes: Sequence[Outcome], covered: Sequence[Covered] | None, found: Mutation | None) -> Line:
    """One line about everything."""
    failed = sum(not outcome.passed for outcome in outcomes)
    text = f"{len(outcomes)} cases: {len(outcomes) - failed} passed, {failed} failed"
    if covered is not None:
        text += f"; {len(covered)} policies, {percentage(covered):.1f} % covered"
    if found is not None:
        killed = len(found.fates) - len(found.survivors)
        text += f"; {len(found.fates)} mutants, {killed} noticed ({found.score:.1f} %)"
    return text, Tone.BAD if failed else Tone.GOOD


def coverage_rows(covered: Iterable[Covered]) -> list[dict[str, Any]]:
    """A row for each policy: in how many of the cases about its actions it decided, and stood aside."""
    return [
        {
            "policy": each.policy.id,
            "asked": each.asked,
            "decided": each.decided,
            "stood aside": each.aside,
            "holes": len(each.holes),
        }
        for each in covered
    ]


def _covered(each: Covered) -> dict[str, Any]:
    policy = each.policy
    return {
        "policy": policy.id,
        "file": policy.file,
        "line": policy.line,
        "asked": each.asked,
        "decided": each.decided,
        "stood_aside": each.aside,
        "holes": [{"line": line, "what": what} for line, what in each.holes],
    }


def document(
    outcomes: Sequence[Outcome],
    covered: Sequence[Covered] | None,
    found: Mutation | None,
    allowed: Mapping[str, str],
) -> dict[str, Any]:
    """The whole for scripts."""
    failures = [
        {
            "file": outcome.case.file,
            "line": outcome.case.line,
            "name": outcome.case.name,
            "differences": [msgspec.to_builtins(difference) for difference in outcome.differences],
            "decision": outcome.answer.effect,
            "policies": list(outcome.answer.reasons),
        }
        for outcome in outcomes
        if not outcome.passed
    ]
    whole: dict[str, Any] = {"cases": len(outcomes), "failed": len(failures), "failures": failures}
    if covered is not None:
        whole["coverage"] = {"percent": round(percentage(covered), 2), "policies": list(map(_covered, covered))}
    if found is not None:
        whole["mutation"] = {
            "mutants": len(found.fates),
            "unfit": found.unfit,
            "score": round(found.score, 2),
            "survivors": [_survivor(mutant, allowed) for mutant in found.survivors],
        }
    return whole


def _survivor(mutant: Mutant, allowed: Mapping[str, str]) -> dict[str, Any]:
    return {"mutant": mutant.name, "file": mutant.file, "line": mutant.line, "allowed": allowed.get(mutant.name)}


def _asked(outcome: Outcome) -> str:
    """Who asked for what, on one line."""
    case = outcome.case
    asked = case.question
    if case.caller is not None:
        who = f"{', '.join(case.caller.roles) or 'no role'} of {case.caller.tenant_id}"
    else:
        who = f'{asked.principal.type}::"{asked.principal.id}"'
    about = next((entity.attrs for entity in asked.entities if entity.uid == asked.resource), {})
    what = f'{asked.resource.type}::"{asked.resource.id}"'
    of = f" of {about['tenant']}" if set(about) == {"tenant"} else ""
    context = {name: value for name, value in asked.context.items() if name != "now" and value is not False}
    given = f" with {json.dumps(context, ensure_ascii=False)}" if context else ""
    return f"{who or NOTHING}: {case.action.id} on {what}{of}{given}"
