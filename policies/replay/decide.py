"""A recorded decision in, what another set of policies makes of it out. Never a guess. Pure.

Called by `lychgate policy replay` for many recorded decisions, and beside the live policies for a share of the requests
as they are recorded (`gateway.shadow`).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

import msgspec

from policies.bundle import Bundle
from policies.errors import NoDecision, UnknownAction
from policies.memo import Memo
from policies.model import Answer, EntityUid, Question
from policies.replay.needs import Needs, needs, unrecorded
from policies.replay.record import Recorded

_NOTHING: Final[frozenset[str]] = frozenset()


class Verdict(StrEnum):
    """What became of a decision."""

    SAME = "same"
    NEWLY_ALLOWED = "newly_allowed"
    NEWLY_DENIED = "newly_denied"
    REASONS = "reasons"
    """The same answer, by other policies."""
    UNDECIDABLE = "undecidable"


class Why(StrEnum):
    """Why a decision cannot be made again; beside the words of `policies.replay.record.Unusable`."""

    NOT_RECORDED = "not_recorded"
    """The policies read what the record does not hold."""
    NO_DECISION = "no_decision"
    """The question does not fit the schema of the policies."""


UNDECIDABLE: Final = ("truncated", "masked", "policy_errors", *(why.value for why in Why))
"""Every reason, as a closed set."""


class Outcome(msgspec.Struct, frozen=True):
    """A decision made again.

    Attributes:
        verdict: What became of it.
        answer: The answer of now; None where it is undecidable.
        why: One of `UNDECIDABLE`; empty otherwise.
        detail: Why exactly, in words without values of the request.
    """

    verdict: Verdict
    answer: Answer | None = None
    why: str = ""
    detail: str = ""


class Replay:
    """Decides recorded questions by a set of policies.

    Args:
        memo: The policies.
        known: Other sets whose schemas decisions may have been recorded under; they tell what was absent from what
            was not recorded.
        same_reasons: Whether the same answer by other policies is a verdict of its own.
    """

    def __init__(self, memo: Memo, known: Iterable[Bundle] = (), *, same_reasons: bool = False) -> None:
        self._memo = memo
        self._bundle = memo.engine.bundle
        self._same_reasons = same_reasons
        self._known: Mapping[str, Bundle] = {bundle.schema_version: bundle for bundle in known}
        mine = str(self._bundle.schema.handle)
        # The same but for comments and order.
        self._same = {self._bundle.schema_version} | {
            version for version, bundle in self._known.items() if str(bundle.schema.handle) == mine
        }
        actions = [uid.id for uid in self._bundle.schema.actions if uid.type == "Action"]
        self._needs: Mapping[str, Needs] = {name: needs(self._bundle, EntityUid("Action", name)) for name in actions}
        self._declared = {name: frozenset(self._bundle.context_type(name)) for name in actions}
        self._required = {
            name: tuple(sorted(key for key, kind in self._bundle.context_type(name).items() if kind.required))
            for name in actions
        }

    def decide(self, recorded: Recorded) -> Outcome:
        """Make a decision again."""
        question = recorded.question
        if recorded.unusable is not None or question is None:
            return Outcome(Verdict.UNDECIDABLE, why=str(recorded.unusable or "truncated"))
        reason = self._unrecorded(question, recorded.schema_version)
        if reason is not None:
            return Outcome(Verdict.UNDECIDABLE, why=Why.NOT_RECORDED, detail=reason)
        try:
            answer, _ = self._memo.decide(question)
        except NoDecision as exc:
            return Outcome(Verdict.UNDECIDABLE, why=Why.NO_DECISION, detail=exc.reason)
        if answer.effect is not recorded.effect:
            return Outcome(Verdict.NEWLY_ALLOWED if answer.allows else Verdict.NEWLY_DENIED, answer)
        if self._same_reasons and answer.reasons != recorded.reasons:
            return Outcome(Verdict.REASONS, answer)
        return Outcome(Verdict.SAME, answer)

    def _unrecorded(self, question: Question, schema_version: str) -> str | None:
        """What the policies look at and the record does not hold."""
        wanted = self._needs.get(question.action)
        if wanted is None:
            return None  # the engine says what is wrong with it
        same = schema_version in self._same
        if same and wanted.near:
            return None
        for name in self._required[question.action]:
            if name not in question.context:
                return f"context.{name} was not recorded"
        absent = _NOTHING
        before = self._known.get(schema_version)
        if before is not None and not same:
            try:
                absent = frozenset(before.context_type(question.action))
            except UnknownAction:
                absent = _NOTHING
        return unrecorded(wanted, question, same_schema=same, absent=absent, declared=self._declared[question.action])
