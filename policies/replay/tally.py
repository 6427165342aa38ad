"""Outcomes in, what a person has to look at out: flips by role, action and type, and what was left out. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from policies.model import Effect
from policies.replay.decide import Outcome, Verdict
from policies.replay.record import Ignored, Malformed, Recorded

ANY: Final = "*"
FLIPS: Final = (Verdict.NEWLY_ALLOWED, Verdict.NEWLY_DENIED, Verdict.REASONS)
DUPLICATE: Final = "duplicate"
_NOBODY: Final = "-"
_MORE: Final = "more"
_GROUPS: Final = 10_000
"""Lines of a report; whoever forges events chooses roles and actions, and must not choose how much is kept."""


class Expectation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"before": "from"}):
    """A flip that is meant.

    Attributes:
        role: The caller's roles, joined by `+` as a report shows them; `*` for any.
        action: The action; `*` for any.
        resource: The resource's type; `*` for any.
        before: The recorded effect (`from`).
        to: The effect now; the same as `from` where only the policies that decide are others.
        why: For people.
    """

    before: Effect
    to: Effect
    role: str = ANY
    action: str = ANY
    resource: str = ANY
    why: str = ""

    def fits(self, flip: "Flip") -> bool:
        """Whether it speaks of this flip."""
        named = ((self.role, flip.role), (self.action, flip.action), (self.resource, flip.resource))
        return (self.before, self.to) == (flip.before, flip.to) and all(want in {ANY, has} for want, has in named)


class Flip(msgspec.Struct, kw_only=True):
    """Decisions that came out otherwise in the same way.

    Attributes:
        verdict: How.
        role: The caller's roles joined by `+`; `-` without any.
        action: What was asked for.
        resource: The type of what it was asked of.
        before: The recorded effect.
        to: The effect now.
        was_by: The policies that decided then, of the first.
        is_by: The policies that decide now, of the first.
        count: How many.
        examples: Ids of the first of them.
        expected: Whether an expectation speaks of it.
    """

    verdict: Verdict
    role: str
    action: str
    resource: str
    before: Effect
    to: Effect
    was_by: tuple[str, ...]
    is_by: tuple[str, ...]
    count: int = 0
    examples: list[str] = []
    expected: bool = False


class Undecided(msgspec.Struct, kw_only=True):
    """Decisions that could not be made again for the same reason."""

    why: str
    detail: str
    action: str
    count: int = 0
    examples: list[str] = []


class Tally:
    """Counts a replay.

    Attributes:
        decisions: How many decisions were looked at.
        same: How many came out as they were.
        ignored: Events that tell of no decision, by kind.
        malformed: Lines that are not events.
        malformed_at: The first of them: line number and reason.
        policy_versions: Decisions by the version that made them.
    """

    def __init__(self, examples: int = 5) -> None:
        self._examples = examples
        self.decisions = self.same = self.malformed = 0
        self.ignored: Counter[str] = Counter()
        self.malformed_at: list[tuple[int, str]] = []
        self.policy_versions: Counter[str] = Counter()
        self._seen: set[str] = set()
        self._flips: dict[tuple[str, ...], Flip] = {}
        self._undecided: dict[tuple[str, ...], Undecided] = {}

    def left_out(self, found: Ignored | Malformed, line: int) -> None:
        """Count what is not a decision."""
        if isinstance(found, Ignored):
            self.ignored[found.kind if len(self.ignored) < _GROUPS else _MORE] += 1
            return
        self.malformed += 1
        if len(self.malformed_at) < self._examples:
            self.malformed_at.append((line, found.reason))

    def first_sight(self, recorded: Recorded) -> bool:
        """Whether a decision has not been counted yet; a second sight is counted as such."""
        if recorded.event_id in self._seen:
            self.ignored[DUPLICATE] += 1
            return False
        self._seen.add(recorded.event_id)
        return True

    def count(self, recorded: Recorded, outcome: Outcome) -> None:
        """Count a decision that was made again, or could not be."""
        self.decisions += 1
        self.policy_versions[recorded.policy_version if len(self.policy_versions) < _GROUPS else _MORE] += 1
        if outcome.answer is None:
            self._count_undecided(recorded, outcome)
        elif outcome.verdict is Verdict.SAME:
            self.same += 1
        else:
            self._count_flip(recorded, outcome, outcome.answer.effect, outcome.answer.reasons)

    def flips(self, expectations: Sequence[Expectation] = ()) -> list[Flip]:
        """Every flip, the unexpected first, the most frequent first; `expected` is set."""
        for flip in self._flips.values():
            flip.expected = any(expectation.fits(flip) for expectation in expectations)
        return sorted(
            self._flips.values(),
            key=lambda flip: (flip.expected, flip.verdict, -flip.count, flip.role, flip.action, flip.resource),
        )

    def unmet(self, expectations: Iterable[Expectation]) -> list[Expectation]:
        """Expectations of which nothing came."""
        return [each for each in expectations if not any(map(each.fits, self._flips.values()))]

    def undecided(self) -> list[Undecided]:
        """Everything that could not be decided, the most frequent first."""
        return sorted(self._undecided.values(), key=lambda each: (-each.count, each.why, each.action, each.detail))

    def _count_flip(self, recorded: Recorded, outcome: Outcome, to: Effect, by: tuple[str, ...]) -> None:
        place = ("+".join(recorded.roles) or _NOBODY, recorded.action, recorded.resource_type)
        if (outcome.verdict, recorded.effect, *place) not in self._flips and len(self._flips) >= _GROUPS:
            place = (_MORE, _MORE, _MORE)
        key = (outcome.verdict, recorded.effect, *place)
        flip = self._flips.get(key)
        if flip is None:
            role, action, resource = place
            flip = self._flips[key] = Flip(
                verdict=outcome.verdict,
                role=role,
                action=action,
                resource=resource,
                before=recorded.effect,
                to=to,
                was_by=recorded.reasons,
                is_by=by,
            )
        self._example(flip, recorded)

    def _count_undecided(self, recorded: Recorded, outcome: Outcome) -> None:
        key = (outcome.why, outcome.detail, recorded.action)
        if key not in self._undecided and len(self._undecided) >= _GROUPS:
            key = (outcome.why, "", _MORE)
        found = self._undecided.get(key)
        if found is None:
            found = self._undecided[key] = Undecided(why=key[0], detail=key[1], action=key[2])
        self._example(found, recorded)

    def _example(self, group: Flip | Undecided, recorded: Recorded) -> None:
        group.count += 1
        if len(group.examples) < self._examples:
            group.examples.append(recorded.event_id)
