"""A policy as the analyses take it: what it asks, and for which actions. Pure."""

from collections.abc import Collection, Iterable
from functools import cached_property
from typing import Final

from policies.bundle import Bundle, Policy
from policies.errors import Finding
from policies.expression import shown
from policies.lexer import Statement, find
from policies.lint.branches import Literal, Way, conditions_of, conjuncts, ways
from policies.lint.facts import Facts, Groups
from policies.model import EntityUid, Json

_SCOPE: Final = ("principal", "resource")


class Claim:
    """What one policy says.

    Attributes:
        policy: It.
        actions: Those its scope admits, of the schema's.
        conditions: Its scope and clauses, in the order of evaluation.
        conjuncts: What has a certain value whenever it applies.
    """

    def __init__(self, policy: Policy, bundle: Bundle, groups: Groups) -> None:
        self.policy = policy
        self._schema = bundle.schema
        self._groups = groups
        self.actions = bundle.schema.admitted(policy.scope_actions)
        self.conditions = conditions_of(policy)
        self.conjuncts = conjuncts(self.conditions)
        self._implied: dict[tuple[str, bool], bool] = {}

    @cached_property
    def ways(self) -> tuple[Way, ...]:
        """Every way in which it can apply."""
        return tuple(ways(self.conditions))

    @cached_property
    def worded(self) -> dict[tuple[str, bool], Json]:
        """Its conjuncts, by their text and the value they have."""
        return {(shown(node), truth): node for node, truth in self.conjuncts}

    @cached_property
    def fixes(self) -> frozenset[tuple[str, tuple[str, str]]]:
        """The literals that expressions are when it applies, by the expressions' text."""
        return frozenset(self.certain.equal_to())

    def implies(self, words: tuple[str, bool], node: Json) -> bool:
        """Whether an expression has a value whenever it applies; remembered, because many policies ask the same.

        Args:
            words: Its text and the value.
            node: It.
        """
        known = self._implied.get(words)
        if known is None:
            known = self._implied[words] = bool(self.certain.copy().add(node, not words[1]).conflict)
        return known

    @cached_property
    def certain(self) -> Facts:
        """What is known of a request when it applies."""
        return self.facts().extend(self.conjuncts)

    def facts(self, memberships: Collection[EntityUid] | None = None) -> Facts:
        """Nothing but that the request is about one of its actions."""
        return Facts(self._schema, self.actions, self._groups, memberships)

    def conflict(
        self, given: Iterable[Literal] = (), memberships: Collection[EntityUid] | None = None
    ) -> tuple[tuple[Literal, ...], int] | None:
        """Why it can never apply.

        Args:
            given: What else is known of the requests in question.
            memberships: The roles the principal can have at most; None where nobody knows.

        Returns:
            The conditions that cannot hold together, and how many ways there are; None where it may apply.
        """
        start = self.facts(memberships).extend(given)
        first: tuple[Literal, ...] = ()
        for way in self.ways:
            facts = start.copy().extend(way)
            if not facts.conflict:
                return None
            first = first or facts.conflict
        return first, len(self.ways)

    def finding(self, code: str, reason: str, at: str = "") -> Finding:
        """A finding at an expression of the policy, by its text; at its start where it is spelled oddly."""
        statement = Statement(self.policy.file, self.policy.text, 0, len(self.policy.text))
        found = statement.finding(reason, find(self.policy.text, at) if at else 0, code)
        column = found.column + (self.policy.column - 1 if found.line == 1 else 0)
        return Finding(found.file, self.policy.line + found.line - 1, column, reason, code)


def claims_of(bundle: Bundle, groups: Groups) -> tuple[Claim, ...]:
    """Every policy's, by id."""
    return tuple(Claim(policy, bundle, groups) for policy in bundle.policies.values())


def said(facts: Iterable[Literal]) -> str:
    """Facts as a sentence quotes them."""
    return " and ".join(f"`{fact_text(node, truth)}`" for node, truth in facts)


def fact_text(node: Json, truth: bool) -> str:
    """One fact as an expression that is true."""
    return shown(node) if truth else shown({"!": {"arg": node}})
