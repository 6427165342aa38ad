"""What is asked of the policies, held against what they say.

An occasion is a question that somebody asks: a route, or code that asks by itself. What is certain of every question
of an occasion (its action, the type of its resource, which values of the context are never there) is put beside a
policy's conditions; where they cannot hold together, the policy has no say on the occasion.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import msgspec

from policies.bundle import Bundle
from policies.errors import Finding
from policies.lint.branches import Literal
from policies.lint.claim import Claim
from policies.lint.facts import Facts
from policies.model import Effect, EntityUid, Json

_NOTHING: Final[Mapping[str, Json]] = MappingProxyType({})


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """A question that is asked.

    Attributes:
        name: For messages.
        action: The id of its `Action`.
        resource_type: The type of the resource.
        resource_id: The resource's id; None where it is not always the same.
        context: The attributes of the context that a question can have; None for any that the schema has.
        roles: The roles that a caller can be in at most.
        attributes: Attributes of the principal that are always the same.
        anonymous: Whether this is about callers without a credential, beside those who have one.
        route: Whether it is a route, of which a finding can say something.
        file: Where it is written.
        line: From 1; 0 where that is not known.
    """

    name: str
    action: str
    resource_type: str
    resource_id: str | None = None
    context: frozenset[str] | None = None
    roles: frozenset[str] | None = None
    attributes: Mapping[str, Json] = _NOTHING
    anonymous: bool = False
    route: bool = False
    file: str = ""
    line: int = 0

    def facts(self, bundle: Bundle) -> tuple[Literal, ...]:
        """What is certain of every such question."""
        action: Json = {"Value": {"__entity": {"type": "Action", "id": self.action}}}
        resource: Json = {"Var": "resource"}
        found: list[Literal] = [
            ({"==": {"left": {"Var": "action"}, "right": action}}, True),
            ({"is": {"left": resource, "entity_type": self.resource_type}}, True),
        ]
        if self.resource_id is not None:
            uid: Json = {"Value": {"__entity": {"type": self.resource_type, "id": self.resource_id}}}
            found.append(({"==": {"left": resource, "right": uid}}, True))
        for name, declared in bundle.context_type(self.action).items() if self.context is not None else ():
            if name not in (self.context or ()) and not declared.required:
                found.append(({"has": {"left": {"Var": "context"}, "attr": name}}, False))
        for name, value in self.attributes.items():
            read: Json = {".": {"left": {"Var": "principal"}, "attr": name}}
            found.append(({"==": {"left": read, "right": {"Value": value}}}, True))
        return tuple(found)

    @property
    def memberships(self) -> frozenset[EntityUid] | None:
        """Its roles as Cedar knows them."""
        return None if self.roles is None else frozenset(EntityUid("Role", name) for name in self.roles)


def unreached(claims: Iterable[Claim], occasions: Sequence[Occasion], bundle: Bundle) -> Iterator[Finding]:
    """Policies that nothing asked can make apply."""
    asked = [(occasion, occasion.facts(bundle)) for occasion in occasions if occasion.action in bundle.actions]
    for claim in claims:
        if not any(_applies(claim, occasion, given) for occasion, given in asked):
            yield claim.finding("unreached-policy", f"nothing that is asked can make `{claim.policy.id}` apply")


def unallowed(claims: Sequence[Claim], occasions: Iterable[Occasion], bundle: Bundle) -> Iterator[Finding]:
    """Routes that nobody can ever be allowed.

    Args:
        claims: Of policies that may apply.
        occasions: Those that are routes are looked at.
        bundle: The policies.
    """
    for occasion in occasions:
        if not occasion.route or occasion.action not in bundle.actions:
            continue
        given = occasion.facts(bundle)
        if any(
            claim.policy.effect is Effect.ALLOW and _gives(claim, occasion, given, claims)
            for claim in claims
            if EntityUid("Action", occasion.action) in claim.actions
        ):
            continue
        if occasion.anonymous:
            reason = f"`{occasion.name}` is open to callers without a credential, and no permit can allow them"
            yield Finding(occasion.file, occasion.line, min(occasion.line, 1), reason, "anonymous-never-passes")
        else:
            reason = f"no permit can ever allow `{occasion.name}` (`{occasion.action}`), whichever roles the caller has"
            yield Finding(occasion.file, occasion.line, min(occasion.line, 1), reason, "route-without-permit")


def _applies(claim: Claim, occasion: Occasion, given: Collection[Literal]) -> bool:
    if EntityUid("Action", occasion.action) not in claim.actions:
        return False
    return claim.conflict(given, occasion.memberships) is None


def _gives(claim: Claim, occasion: Occasion, given: Sequence[Literal], claims: Iterable[Claim]) -> bool:
    """Whether a permit may apply, and no forbid certainly applies with it."""
    if not _applies(claim, occasion, given):
        return False
    facts = claim.facts(occasion.memberships).extend(given).extend(claim.conjuncts)
    return not any(
        _certainly(forbid, facts)
        for forbid in claims
        if forbid.policy.effect is Effect.DENY and EntityUid("Action", occasion.action) in forbid.actions
    )


def _certainly(forbid: Claim, facts: Facts) -> bool:
    """Whether a forbid applies, or fails, which denies too, wherever the facts hold."""
    return all(facts.copy().add(node, not truth).conflict for node, truth in forbid.conjuncts)
