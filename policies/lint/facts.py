"""What is known of a request while conditions hold, and whether it can be. Pure.

Facts are gathered one by one (`Facts.add`); `Facts.conflict` is the first that cannot hold beside the others. Every
step is a consequence of Cedar's semantics for one request, so a conflict proves that no request has all the facts. What
is not understood is kept by its text: an expression cannot be true and false at once.
"""

from collections.abc import Collection, Iterable, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, Final

from policies.expression import shown
from policies.lint.branches import Literal
from policies.lint.values import LONG, all_roles, compatible, entities, entity, matches, number, plain, typed
from policies.model import EntityUid, Json
from policies.schema import Schema

Groups = Mapping[EntityUid, frozenset[EntityUid]]
"""What an entity is certainly in, itself included."""

_NO_GROUPS: Final[Groups] = MappingProxyType({})


class Facts:
    """Facts about one request.

    Args:
        schema: Says which principals, resources and contexts an action has.
        actions: Those the request may be about.
        groups: Which roles come with a role, where that is known.
        memberships: The groups of type `Role` the principal can be in at most; None where nobody knows.

    Attributes:
        conflict: The one or two facts that cannot be; empty while there is no conflict.
        low: The least value of an expression, by its text.
        high: The greatest.
        entangled: Texts of what is known of several expressions at once, or in a way that is not understood.
    """

    def __init__(
        self,
        schema: Schema,
        actions: Iterable[EntityUid],
        groups: Groups = _NO_GROUPS,
        memberships: Collection[EntityUid] | None = None,
    ) -> None:
        self.conflict: tuple[Literal, ...] = ()
        self.low: dict[str, int] = {}
        self.high: dict[str, int] = {}
        self.entangled: list[str] = []
        self._schema = schema
        self._actions = frozenset(actions)
        self._groups = groups
        self._memberships = None if memberships is None else frozenset(memberships)
        self._known: dict[tuple[str, str], Literal] = {}
        self._why: dict[str, Literal] = {}
        self._values: dict[str, tuple[Json, Literal]] = {}
        self._excluded: dict[str, list[tuple[Json, Literal]]] = {}
        self._types: dict[str, frozenset[str]] = {}
        self._inside: dict[str, list[tuple[frozenset[EntityUid], Literal]]] = {}
        self._outside: dict[str, list[tuple[frozenset[EntityUid], Literal]]] = {}
        self._has: dict[str, bool] = {}
        self._likes: dict[str, list[tuple[list[Any], Literal]]] = {}

    def copy(self) -> "Facts":
        """The same facts, to which others can be added."""
        twin = Facts(self._schema, self._actions, self._groups, self._memberships)
        twin.conflict, twin.entangled = self.conflict, list(self.entangled)
        for name in ("low", "high", "_known", "_why", "_values", "_types", "_has"):
            setattr(twin, name, dict(getattr(self, name)))
        for name in ("_excluded", "_inside", "_outside", "_likes"):
            setattr(twin, name, {key: list(items) for key, items in getattr(self, name).items()})
        return twin

    def add(self, node: Json, truth: bool = True) -> "Facts":
        """Take a fact in.

        Args:
            node: An expression that was evaluated.
            truth: To what.
        """
        if not self.conflict:
            self._add(node, truth, (node, truth))
        return self

    def extend(self, facts: Iterable[Literal]) -> "Facts":
        """Take several in."""
        for node, truth in facts:
            self.add(node, truth)
        return self

    def says(self, node: Json) -> bool:
        """Whether an expression is known to be true, as it is worded."""
        return ("True", shown(node)) in self._known

    def equal_to(self) -> Iterable[tuple[str, tuple[str, str]]]:
        """Every expression but the action that is a literal, by its text, and which."""
        return ((term, typed(value)) for term, (value, _) in self._values.items() if term != "action")

    def tangles(self) -> Iterable[str]:
        """The texts of everything that is known of values but for bounds and types."""
        return (*self.entangled, *self._excluded)

    # --- one form of expression each

    def _add(self, node: Json, truth: bool, fact: Literal) -> None:  # noqa: C901, PLR0912 - one line a form
        match node:
            case {"Value": bool(value)}:
                self._require(value is truth, fact)
            case {"!": {"arg": inner}}:
                self._add(inner, not truth, fact)
            case {"&&": {"left": left, "right": right}} if truth:
                self._add(left, True, fact)
                self._add(right, True, fact)
            case {"||": {"left": left, "right": right}} if not truth:
                self._add(left, False, fact)
                self._add(right, False, fact)
            case {"!=": {"left": left, "right": right}}:
                self._equal(left, right, not truth, fact)
            case {"==": {"left": left, "right": right}}:
                self._equal(left, right, truth, fact)
            case {"<": {"left": left, "right": right}} | {">": {"left": right, "right": left}}:
                self._less(left, right, truth, fact)
            case {"<=": {"left": left, "right": right}} | {">=": {"left": right, "right": left}}:
                self._less(right, left, not truth, fact)
            case {"is": {"left": left, "entity_type": kind, "in": group}} if truth:
                self._remember("", shown(node), truth, fact)
                self._add({"is": {"left": left, "entity_type": kind}}, True, fact)
                self._add({"in": {"left": left, "right": group}}, True, fact)
            case {"is": {"in": _}}:
                self._opaque(node, truth, fact)
            case {"is": {"left": {"Var": "principal" | "resource" as variable}, "entity_type": kind}}:
                self._is(str(variable), str(kind), truth, fact)
            case {"in": {"left": {"Var": variable}, "right": right}} if (uids := entities(right)) is not None:
                self._in(str(variable), uids, truth, fact)
            case {"has": {"left": {"Var": "context"}, "attr": str(name)}}:
                self._remember("has", name, truth, fact)
                self._has[name] = truth
            case {"like": {"left": left, "pattern": list(pattern)}} if truth:
                self._opaque(node, truth, fact)
                self._likes.setdefault(shown(left), []).append((pattern, fact))
                self._check_likes(shown(left))
            case _:
                self._opaque(node, truth, fact)
        if not self.conflict and not self._possible_actions():
            self.conflict = (fact,)

    def _opaque(self, node: Json, truth: bool, fact: Literal) -> None:
        """Something that is not understood: kept by its text."""
        self.entangled.append(shown(node))
        self._remember("", shown(node), truth, fact)

    def _require(self, holds: bool, *facts: Literal) -> None:
        if not holds and not self.conflict:
            self.conflict = _distinct(facts)

    def _remember(self, kind: str, text: str, truth: bool, fact: Literal) -> None:
        """An expression by its text: true or false, not both."""
        earlier = self._known.setdefault((kind + str(truth), text), fact)
        opposite = self._known.get((kind + str(not truth), text))
        if opposite is not None:
            self._require(False, opposite, earlier)

    def _less(self, left: Json, right: Json, truth: bool, fact: Literal) -> None:
        one, other = number(left), number(right)
        if one is not None and other is not None:
            self._require((one < other) is truth, fact)
        elif other is not None:
            self._bound(shown(left), fact, high=other - 1) if truth else self._bound(shown(left), fact, low=other)
        elif one is not None:
            self._bound(shown(right), fact, low=one + 1) if truth else self._bound(shown(right), fact, high=one)
        else:
            texts = shown(left), shown(right)
            self.entangled += texts
            self._remember("<", " < ".join(texts), truth, fact)
            if truth:
                self._require(texts[0] != texts[1], fact)
                for clash in (("<True", " < ".join(reversed(texts))), ("==True", " == ".join(sorted(texts)))):
                    if clash in self._known:
                        self._require(False, self._known[clash], fact)

    def _equal(self, left: Json, right: Json, truth: bool, fact: Literal) -> None:
        one, other = plain(left), plain(right)
        texts = sorted((shown(left), shown(right)))
        if one is not None and other is not None:
            self._require((typed(one) == typed(other)) is truth, fact)
        elif texts[0] == texts[1]:
            self._require(truth, fact)
        elif one is None and other is None:
            self.entangled += texts
            self._remember("==", " == ".join(texts), truth, fact)
            for clash in (("<True", " < ".join(texts)), ("<True", " < ".join(reversed(texts)))):
                if truth and clash in self._known:
                    self._require(False, self._known[clash], fact)
        else:
            self._is_value(right if one is not None else left, one if one is not None else other, truth, fact)

    def _is_value(self, node: Json, value: Json, truth: bool, fact: Literal) -> None:
        """An expression that is, or is not, a literal."""
        term = shown(node)
        if not truth:
            self._excluded.setdefault(term, []).append((value, fact))
        elif term in self._values:
            self._require(typed(self._values[term][0]) == typed(value), self._values[term][1], fact)
        else:
            self._values[term] = (value, fact)
        if term in self._values:
            for excluded, why in self._excluded.get(term, ()):
                self._require(typed(excluded) != typed(self._values[term][0]), self._values[term][1], why)
        if isinstance(value, int) and not isinstance(value, bool):
            self._bound(term, fact, low=value, high=value) if truth else self._check_bounds(term, fact)
        uid = entity(value)
        if uid is not None and isinstance(node, dict) and isinstance(variable := node.get("Var"), str):
            if variable == "action":
                kept = {it for it in self._actions if (it == uid) is truth}
                self._actions = frozenset(kept)
            elif truth:
                self._is(variable, uid.type, True, fact)
        if truth:
            self._check_likes(term)

    def _bound(self, term: str, fact: Literal, low: int | None = None, high: int | None = None) -> None:
        """A Long is at least, or at most, a number."""
        if low is not None and low > self.low.get(term, LONG[0] - 1):
            self.low[term], self._why["low " + term] = low, fact
        if high is not None and high < self.high.get(term, LONG[1] + 1):
            self.high[term], self._why["high " + term] = high, fact
        self._check_bounds(term, fact)

    def _check_bounds(self, term: str, fact: Literal) -> None:
        low, high = self.low.get(term, LONG[0]), self.high.get(term, LONG[1])
        reasons = [self._why[side + term] for side in ("low ", "high ") if side + term in self._why]
        self._require(low <= high, *(reasons or [fact]))
        if low == high:
            for value, why in self._excluded.get(term, ()):
                self._require(typed(value) != typed(low), *reasons, why)

    def _is(self, variable: str, kind: str, truth: bool, fact: Literal) -> None:
        types = self._types.get(variable, self._all_types(variable))
        self._types[variable] = frozenset(name for name in types if (name == kind) is truth)
        self._remember(f"is {variable} ", kind, truth, fact)

    def _in(self, variable: str, uids: frozenset[EntityUid], truth: bool, fact: Literal) -> None:
        if variable == "action":
            inside = (it for it in self._actions if (not uids.isdisjoint(self._schema.groups(it))) is truth)
            self._actions = frozenset(inside)
            return
        self._require(bool(uids) or not truth, fact)
        (self._inside if truth else self._outside).setdefault(variable, []).append((uids, fact))
        for inside_of, why in self._inside.get(variable, ()):
            for outside_of, why_not in self._outside.get(variable, ()):
                if all(not outside_of.isdisjoint(self._closure(uid)) for uid in inside_of):
                    self._require(False, why, why_not)
            if variable == "principal" and self._memberships is not None and all_roles(inside_of):
                self._require(not self._memberships.isdisjoint(inside_of), why)

    def _check_likes(self, term: str) -> None:
        value = self._values.get(term)
        for pattern, why in self._likes.get(term, ()):
            if value is not None and isinstance(value[0], str):
                self._require(matches(value[0], pattern), value[1], why)
        for (one, why), (other, why_not) in product(self._likes.get(term, ()), repeat=2):
            if not compatible(one, other):
                self._require(False, why, why_not)

    # --- what is left

    def _closure(self, uid: EntityUid) -> frozenset[EntityUid]:
        return self._groups.get(uid, frozenset({uid}))

    def _all_types(self, variable: str) -> frozenset[str]:
        declared = (self._schema.actions[it] for it in self._actions)
        if variable == "principal":
            return frozenset(name for action in declared for name in action.principal_types)
        return frozenset(name for action in declared for name in action.resource_types)

    def _possible_actions(self) -> bool:
        """Whether an action is left to which principal, resource and context fit."""
        return any(map(self._fits, self._actions))

    def _fits(self, uid: EntityUid) -> bool:
        action = self._schema.actions[uid]
        principals, resources = self._types.get("principal"), self._types.get("resource")
        if principals is not None and principals.isdisjoint(action.principal_types):
            return False
        if resources is not None and resources.isdisjoint(action.resource_types):
            return False
        for name, present in self._has.items():
            declared = action.context.get(name)
            if (declared is None) if present else (declared is not None and declared.required):
                return False
        return True


def _distinct(facts: tuple[Literal, ...]) -> tuple[Literal, ...]:
    """Each fact once, as it is worded."""
    return tuple({(shown(node), truth): (node, truth) for node, truth in facts}.values())
