"""Cases and mistakes in policies in, which mistakes no case notices out. Pure.

A mistake changes one policy. What the others say of a question does not change, and Cedar puts what policies say
together by a rule that is known (`policies.engine.combine`). So each question is weighed twice, with all policies and
with all mistakes at once, and every decision with one mistake in it follows from that: two calls of Cedar for a case
instead of one for each mistake (ADR 0119).
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from policies.bundle import Bundle
from policies.model import Answer, Effect, EntityUid, Question
from policies.mutate import Mutant, fitting, mutants
from policies.weigh import Scale, Weight, decided
from roles.catalogue import Catalogue
from roles.tables.case import Case
from roles.tables.run import differences

_ENCODER = msgspec.json.Encoder()


class Fate(msgspec.Struct, frozen=True):
    """What became of one mistake.

    Attributes:
        mutant: The mistake.
        killed_by: The first case that fails with it; None where none does.
    """

    mutant: Mutant
    killed_by: Case | None


class Mutation(msgspec.Struct, frozen=True):
    """What the cases are worth.

    Attributes:
        fates: Every mistake that could be put in force, in the order of policies.
        unfit: How many more there are that the schema refuses.
    """

    fates: tuple[Fate, ...]
    unfit: int

    @property
    def survivors(self) -> list[Mutant]:
        """The mistakes that no case notices."""
        return [fate.mutant for fate in self.fates if fate.killed_by is None]

    @property
    def score(self) -> float:
        """How many are noticed, 0 to 100."""
        return 100 * (1 - len(self.survivors) / len(self.fates)) if self.fates else 100.0


def mutation(
    cases: Sequence[Case], bundle: Bundle, catalogue: Catalogue, *, strict: bool = False, part: bool = False
) -> Mutation:
    """Hold cases against mistakes.

    Args:
        cases: That pass with the bundle as it is.
        bundle: The policies.
        catalogue: Says which roles stand beside which.
        strict: As `policies.engine.Engine`'s.
        part: Whether mistakes in policies that no case asks about are left out, because the cases are a part of all.
    """
    found = mutants(bundle, neighbours(catalogue))
    fit = fitting(found, bundle.schema)
    trial = _Trial(bundle, fit, strict=strict)
    killers: dict[str, Case] = {}
    for case in cases:
        for mutant in trial.concerned(case.action):
            if mutant.name not in killers and trial.notices(case, mutant, catalogue):
                killers[mutant.name] = case
    asked = {policy.id for action in {case.action for case in cases} for policy in bundle.slice(action)}
    fates = tuple(Fate(each, killers.get(each.name)) for each in fit if not part or each.origin in asked)
    return Mutation(fates, len(found) - len(fit))


class _Trial:
    """The policies and all mistakes, weighed."""

    def __init__(self, bundle: Bundle, found: Sequence[Mutant], *, strict: bool) -> None:
        self._strict = strict
        self._effects = {policy.id: policy.effect for policy in bundle.policies.values()}
        changed = Bundle((mutant.policy for mutant in found if mutant.policy), bundle.schema)
        self._scales = (Scale(bundle.policies.values(), bundle.schema), Scale(changed.policies.values(), bundle.schema))
        self._weights: dict[tuple[EntityUid, bytes], tuple[Weight, Weight]] = {}
        self._concerned: dict[EntityUid, list[Mutant]] = {}
        for action in bundle.schema.actions:
            old = {policy.id for policy in bundle.slice(action)}
            new = {policy.id for policy in changed.slice(action)}
            self._concerned[action] = [each for each in found if each.origin in old or _id(each) in new]

    def concerned(self, action: EntityUid) -> Sequence[Mutant]:
        """The mistakes that can change a decision about an action."""
        return self._concerned[action]

    def notices(self, case: Case, mutant: Mutant, catalogue: Catalogue) -> bool:
        """Whether a case fails with a mistake."""
        decide = self._decide(case.action, mutant)
        return bool(differences(case, decide(case.question), decide, catalogue))

    def _decide(self, action: EntityUid, mutant: Mutant) -> Callable[[Question], Answer]:
        effects: Mapping[str, Effect] = self._effects
        if mutant.policy is not None:
            effects = {**self._effects, mutant.origin: mutant.policy.effect}

        def decide(question: Question) -> Answer:
            old, new = self._weighed(action, question)
            weight = Weight(
                _swapped(old.applies, new.applies, mutant),
                _swapped(old.fails, new.fails, mutant),
            )
            return decided(weight, effects, strict=self._strict)

        return decide

    def _weighed(self, action: EntityUid, question: Question) -> tuple[Weight, Weight]:
        """Each question is asked with many mistakes; it is weighed once."""
        key = (action, _ENCODER.encode(question))
        if key not in self._weights:
            before, after = self._scales
            self._weights[key] = (before.weigh(action, question), after.weigh(action, question))
        return self._weights[key]


def _swapped(old: frozenset[str], new: frozenset[str], mutant: Mutant) -> frozenset[str]:
    """The policies something is true of, with the mistake in its policy's place, under that policy's id."""
    return old | {mutant.origin} if _id(mutant) in new else old - {mutant.origin}


def _id(mutant: Mutant) -> str | None:
    return mutant.policy.id if mutant.policy else None


def neighbours(catalogue: Catalogue) -> dict[EntityUid, list[EntityUid]]:
    """The roles before and after each: who grants too much or too little mostly misses by one."""
    roles = [EntityUid("Role", name) for name in catalogue.names]
    return {
        role: [*roles[max(index - 1, 0) : index], *roles[index + 1 : index + 2]] for index, role in enumerate(roles)
    }
