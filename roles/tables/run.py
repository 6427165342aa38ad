"""Cases and policies in, what came out and how it differs from what was expected. Pure."""

from collections.abc import Callable, Iterable

import msgspec

from policies.engine import Engine
from policies.errors import Finding, NoDecision
from policies.model import Answer, Effect, Question
from roles.catalogue import Catalogue
from roles.errors import TableErrors
from roles.missing import missing_role
from roles.tables.case import Case

NOTHING = "(none)"
"""What stands for no policies, no error and no role."""


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as expected.

    Attributes:
        field: The key of the case that says otherwise.
        expected: As the table has it.
        got: As it is.
    """

    field: str
    expected: str
    got: str


class Outcome(msgspec.Struct, frozen=True):
    """What became of a case.

    Attributes:
        case: The case.
        answer: What the policies say.
        differences: Empty when it is as expected.
    """

    case: Case
    answer: Answer
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether all is as expected."""
        return not self.differences


def run(cases: Iterable[Case], engine: Engine, catalogue: Catalogue) -> list[Outcome]:
    """Ask the policies every case.

    Raises:
        TableErrors: Cases whose question does not fit the schema; the message quotes nothing of them.
    """
    outcomes: list[Outcome] = []
    findings: list[Finding] = []
    for case in cases:
        action = case.action

        def decide(question: Question) -> Answer:
            return engine.decide_action(action, question)  # noqa: B023 -- asked before the loop goes on

        try:
            answer = decide(case.question)
            outcomes.append(Outcome(case, answer, differences(case, answer, decide, catalogue)))
        except NoDecision as exc:
            findings.append(Finding(case.file, case.line, 0, f"`{case.name}` does not fit the schema: {exc.reason}"))
    if findings:
        raise TableErrors(findings)
    return outcomes


def differences(
    case: Case, answer: Answer, decide: Callable[[Question], Answer], catalogue: Catalogue
) -> tuple[Difference, ...]:
    """How an answer differs from what a case says; empty when it does not.

    Args:
        case: What is expected.
        answer: What came out.
        decide: Asks the policies for the missing role, where the case says one.
        catalogue: Says which roles could be missing.

    Raises:
        NoDecision: As `decide`.
    """
    found = []
    if answer.effect is not case.expect:
        found.append(Difference("expect", case.expect, answer.effect))
    reasons = frozenset(answer.reasons)
    if case.policies is not None and reasons != case.policies:
        found.append(Difference("policies", listed(case.policies), listed(reasons)))
    failed = frozenset(error.policy_id for error in answer.errors)
    if isinstance(case.errors, int):
        if len(failed) != case.errors:
            found.append(Difference("num_errors", str(case.errors), f"{len(failed)}: {listed(failed)}"))
    elif failed != case.errors:
        found.append(Difference("errors", listed(case.errors), listed(failed)))
    if case.missing_role is not msgspec.UNSET and case.caller is not None and answer.effect is Effect.DENY:
        role = missing_role(case.question, case.caller, catalogue, decide)
        if role != case.missing_role:
            found.append(Difference("missing_role", case.missing_role or NOTHING, role or NOTHING))
    return tuple(found)


def listed(names: Iterable[str]) -> str:
    """Names on one line, sorted."""
    return ", ".join(sorted(names)) or NOTHING
