"""Policies that change nothing: what they say is said already, or is always overruled.

Policy A covers policy B when every request that B applies to is one that A applies to: A's conditions are among B's, or
follow from them, and cannot fail where B's did not. A permit covered by a permit, or a forbid by a forbid, is shadowed;
a permit covered by a forbid is overruled, because a forbid wins.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from policies.bundle import Bundle
from policies.errors import Finding
from policies.lint.claim import Claim
from policies.lint.failing import failing
from policies.model import Effect, EntityUid


def covered(claims: Sequence[Claim], bundle: Bundle) -> Iterator[Finding]:
    """Policies that another covers.

    Args:
        claims: Of policies that may apply.
        bundle: Theirs.
    """
    cannot_fail = {claim.policy.id for claim in claims if not any(True for _ in failing(claim, bundle))}
    admitting: defaultdict[EntityUid, list[Claim]] = defaultdict(list)
    for claim in claims:
        for action in claim.actions:
            admitting[action].append(claim)
    for claim in claims:
        # Who covers it admits every action it admits: it is among those that admit any one of them.
        for other in admitting[min(claim.actions, key=_named)] if claim.actions else claims:
            if other is claim or not covers(other, claim, certain=other.policy.id in cannot_fail):
                continue
            if other.policy.effect is not claim.policy.effect:
                if other.policy.effect is Effect.DENY:
                    yield claim.finding("overruled", f"`{other.policy.id}` forbids everything that this permits")
                    break
            elif _stays(other, claim) or not covers(claim, other, certain=claim.policy.id in cannot_fail):
                yield claim.finding("shadowed", f"says nothing that `{other.policy.id}` does not already say")
                break


def covers(wide: Claim, narrow: Claim, *, certain: bool) -> bool:
    """Whether a policy applies wherever another does.

    Args:
        wide: The one that may apply to more.
        narrow: The other.
        certain: Whether nothing in `wide` can fail.
    """
    # Two sets are compared before anything is proved: policies of one action are still many pairs.
    if not narrow.actions <= wide.actions or not wide.fixes <= narrow.fixes:
        return False
    missing = [(words, node) for words, node in wide.worded.items() if words not in narrow.worded]
    if missing and not certain and wide.policy.effect is Effect.ALLOW:
        return False
    return all(narrow.implies(words, node) for words, node in missing)


def _named(action: EntityUid) -> tuple[str, str]:
    return action.type, action.id


def _stays(one: Claim, other: Claim) -> bool:
    """Which of two policies that say the same is kept: the one that stands first."""
    first, second = ((it.policy.file, it.policy.line, it.policy.column) for it in (one, other))
    return first < second
