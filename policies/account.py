"""A question in, an account of every policy that had a say out: did it apply, and which parts of it were false.

Nothing is worked out here: each part of a policy is put to Cedar as a policy of its own, with the very question, so
that what is called false is false for Cedar too. All parts of an action's policies are asked at once.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import groupby

import msgspec

from policies.bundle import Bundle, Policy
from policies.engine import Engine
from policies.load import policy_tree
from policies.model import Effect, EntityUid, Question
from policies.parts import Kind, Part, parts


class Truth(StrEnum):
    """What Cedar says of a part. `unreached`: it cannot be evaluated, and need not be: one before it is false."""

    TRUE = "true"
    FALSE = "false"
    ERROR = "error"
    UNREACHED = "unreached"


class Verdict(StrEnum):
    """What became of a policy."""

    APPLIED = "applied"
    NOT_APPLIED = "not_applied"
    ERROR = "error"


class Checked(msgspec.Struct, frozen=True, gc=False):
    """A part of a policy, and what it came to.

    Attributes:
        kind: `principal`, `action`, `resource`, `when` or `unless`.
        text: As written.
        file: The file's name.
        line: From 1.
        column: From 1.
        truth: Of the text itself: an `unless` that is true keeps the policy from applying.
        to_blame: Whether the policy did not apply because of it.
        message: Why it could not be evaluated; empty otherwise.
    """

    kind: Kind
    text: str
    file: str
    line: int
    column: int
    truth: Truth
    to_blame: bool
    message: str = ""


class Account(msgspec.Struct, frozen=True):
    """What became of one policy.

    Attributes:
        policy: Its id.
        effect: What it says when it applies.
        reason: Its `@reason`.
        file: The file it is in.
        line: Its first line there.
        verdict: Whether it applied.
        parts: Of its scope and its conditions, as they are written.
        message: Why it could not be evaluated; empty otherwise.
    """

    policy: str
    effect: Effect
    reason: str
    file: str
    line: int
    verdict: Verdict
    parts: tuple[Checked, ...]
    message: str = ""

    @property
    def blame(self) -> tuple[Checked, ...]:
        """The parts that kept it from applying."""
        return tuple(part for part in self.parts if part.to_blame)


class Accountant:
    """Accounts for the policies of one bundle; what an action needs is parsed when it is first asked about."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._known: dict[str, tuple[dict[str, tuple[Part, ...]], Engine]] = {}

    def account(self, question: Question) -> tuple[Account, ...]:
        """Say what became of each policy whose scope admits the action, sorted by id.

        Raises:
            NoDecision: As `Engine.decide`.
        """
        policies = self._bundle.slice(EntityUid("Action", question.action))
        known = self._known.get(question.action)
        if known is None:
            cut = {policy.id: parts(policy) for policy in policies}
            known = self._known[question.action] = cut, Engine(Bundle(_probes(policies, cut), self._bundle.schema))
        parts_of, engine = known
        answer = engine.decide(question)
        true = frozenset(answer.reasons)
        failed = {error.policy_id: error.message for error in answer.errors}
        return tuple(_account(policy, parts_of[policy.id], true, failed) for policy in policies)


def _probes(policies: Iterable[Policy], cut: Mapping[str, tuple[Part, ...]]) -> Iterator[Policy]:
    """Each policy as a permit, whatever it says, and each of its parts as one."""
    for policy in policies:
        yield msgspec.structs.replace(policy, effect=Effect.ALLOW, tree={**policy.tree, "effect": "permit"})
        for number, part in enumerate(cut[policy.id]):
            yield msgspec.structs.replace(
                policy,
                id=_probe(policy, number),
                effect=Effect.ALLOW,
                text=part.asked,
                tree=policy_tree(part.asked),
            )


def _probe(policy: Policy, number: int) -> str:
    return f"{policy.id}/{number}"


def _account(policy: Policy, cut: tuple[Part, ...], true: frozenset[str], failed: Mapping[str, str]) -> Account:
    numbered = [(part, _probe(policy, number)) for number, part in enumerate(cut)]
    checked: list[Checked] = []
    for _, clause in groupby(numbered, key=lambda each: (each[0].kind, each[0].clause)):
        stopped = any(part.to_blame for part in checked)
        checked += _clause(policy, list(clause), true, failed, stopped=stopped)
    verdict = Verdict.APPLIED if policy.id in true else Verdict.ERROR if policy.id in failed else Verdict.NOT_APPLIED
    if verdict is not Verdict.NOT_APPLIED:
        checked = [msgspec.structs.replace(part, to_blame=part.truth is Truth.ERROR) for part in checked]
    return Account(
        policy=policy.id,
        effect=policy.effect,
        reason=policy.reason,
        file=policy.file,
        line=policy.line,
        verdict=verdict,
        parts=tuple(checked),
        message=failed.get(policy.id, ""),
    )


def _clause(
    policy: Policy,
    clause: list[tuple[Part, str]],
    true: frozenset[str],
    failed: Mapping[str, str],
    *,
    stopped: bool,
) -> Iterator[Checked]:
    """The parts of one condition: Cedar evaluates from the left, and stops where it is known what it comes to.

    Args:
        policy: Whose they are.
        clause: The parts, each with its probe.
        true: The probes that are.
        failed: Those that could not be evaluated, and why.
        stopped: Whether an earlier condition was false already.
    """
    truths: list[Truth] = []
    for _, probe in clause:
        if probe in failed:
            truths.append(Truth.UNREACHED if stopped or Truth.FALSE in truths else Truth.ERROR)
        else:
            truths.append(Truth.TRUE if probe in true else Truth.FALSE)
    holds = all(truth is Truth.TRUE for truth in truths)
    for (part, probe), truth in zip(clause, truths, strict=True):
        blamed = holds if part.kind is Kind.UNLESS else truth is Truth.FALSE
        message = failed[probe] if truth is Truth.ERROR else ""
        yield Checked(part.kind, part.text, policy.file, part.line, part.column, truth, blamed, message)
