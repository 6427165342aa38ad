"""Policies in, the small mistakes that could have been made in them out. Pure.

A decision table that stays green when a limit moves by one does not hold the limit. `lychgate policy test --mutate`
makes every mistake below, one at a time, and looks which of them no case notices (`roles.tables.mutation`):

    drop the policy · flip its effect · drop or negate a condition · widen its scope · drop one action of a list ·
    drop one member of a set · another entity for one that has neighbours (a role) · n - 1 and n + 1 for n ·
    < for <= and the other way round, > for >=, == for != · && for ||, one side of either · `!` away · true for false
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import cedarpy
import msgspec

from policies.bundle import Bundle, Policy
from policies.expression import shown
from policies.model import Effect, EntityUid, Json
from policies.schema import Schema
from policies.standing import conditions_of
from policies.wording import condition, condition_lines, line_of, scope, uid

Neighbours = Mapping[EntityUid, Sequence[EntityUid]]
"""Which other entities somebody may have meant by one."""

_OTHER: Final = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "&&": "||",
    "||": "&&",
}
_LONG: Final = range(-(2**63), 2**63)
_ANY: Final[Json] = {"op": "All"}


class Mutant(msgspec.Struct, frozen=True):
    """A policy with one mistake in it.

    Attributes:
        name: `<policy id>: <change>`; the same text for the same mistake as long as the policy stands.
        origin: The policy's id.
        file: The policy's.
        line: Of that file, where the changed piece is.
        change: In words and Cedar's text.
        policy: As changed, under the id `<policy id>#<n>`; None where the whole policy is gone.
    """

    name: str
    origin: str
    file: str
    line: int
    change: str
    policy: Policy | None


class _Change(msgspec.Struct, frozen=True):
    """One mistake: the tree that results, the words for it, and where it is (a line, or a text to look for)."""

    tree: dict[str, Json]
    words: str
    place: int | str


class _Variant(msgspec.Struct, frozen=True):
    """An expression with one mistake in it.

    Attributes:
        node: The whole expression, changed.
        before: The smallest piece of it worth showing, as it was.
        after: The same piece, changed; None where it is gone.
        bare: Whether that piece means nothing without what is around it, as a number does.
    """

    node: Json
    before: Json
    after: Json
    bare: bool


def mutants(bundle: Bundle, neighbours: Neighbours) -> list[Mutant]:
    """Every mistake, in the order of policies and of the text in each.

    Args:
        bundle: The policies.
        neighbours: What is put in an entity's place; without it entities stay.

    Returns:
        Each tree once, none of them the original. Some will not fit the schema: see `fitting`.
    """
    return [mutant for policy in bundle.policies.values() for mutant in _of(policy, neighbours)]


def fitting(found: Iterable[Mutant], schema: Schema) -> list[Mutant]:
    """Those that the schema lets pass; the others could never be put in force."""
    changed = [(mutant, _text(mutant.policy)) for mutant in found if mutant.policy is not None]
    text = "\n".join(written for _, written in changed)
    # Cedar numbers policies in the order of the text.
    refused = {error.policy_id for error in cedarpy.validate_policies(text, schema.handle, release_gil=True).errors}
    unfit = {mutant.name for number, (mutant, _) in enumerate(changed) if f"policy{number}" in refused}
    return [mutant for mutant in found if mutant.name not in unfit]


def _text(policy: Policy) -> str:
    tree = {**policy.tree, "annotations": {}}
    document = {"staticPolicies": {"p": tree}, "templates": {}, "templateLinks": []}
    return str(cedarpy.policies_from_json_str(msgspec.json.encode(document).decode()))


def _of(policy: Policy, neighbours: Neighbours) -> Iterator[Mutant]:
    yield Mutant(f"{policy.id}: dropped", policy.id, policy.file, policy.line, "dropped", None)
    seen: list[Mapping[str, Json]] = [policy.tree]
    names: dict[str, int] = {}
    for change in _changes(policy, neighbours):
        if change.tree in seen:
            continue
        seen.append(change.tree)
        name = f"{policy.id}: {change.words}"
        names[name] = names.get(name, 0) + 1
        if names[name] > 1:  # the same words in two places of one policy
            name = f"{name} ({names[name]})"
        line = change.place if isinstance(change.place, int) else line_of(policy, change.place)
        effect = Effect.ALLOW if change.tree["effect"] == "permit" else Effect.DENY
        changed = msgspec.structs.replace(policy, id=f"{policy.id}#{len(seen)}", effect=effect, tree=change.tree)
        yield Mutant(name, policy.id, policy.file, line, change.words, changed)


def _changes(policy: Policy, neighbours: Neighbours) -> Iterator[_Change]:
    tree = dict(policy.tree)
    opposite = "forbid" if tree["effect"] == "permit" else "permit"
    yield _Change({**tree, "effect": opposite}, f"{tree['effect']} became {opposite}", policy.line)
    yield from _scope_changes(tree, neighbours)
    yield from _condition_changes(policy, neighbours)


def _scope_changes(tree: Mapping[str, Json], neighbours: Neighbours) -> Iterator[_Change]:
    for variable in ("principal", "action", "resource"):
        node = tree[variable]
        if not isinstance(node, dict) or node == _ANY:
            continue
        words = scope(variable, node)
        yield _Change({**tree, variable: _ANY}, f"widened {words} to any {variable}", words)
        many = node.get("entities")
        for index, member in enumerate(many if isinstance(many, list) else []):
            if isinstance(many, list) and isinstance(member, dict) and len(many) > 1:
                fewer: Json = {**node, "entities": [*many[:index], *many[index + 1 :]]}
                yield _Change({**tree, variable: fewer}, f"dropped {uid(member)} from the {variable}s", uid(member))
        one = node.get("entity")
        for other in _others(one, neighbours):
            swapped: dict[str, Json] = {**node, "entity": other}
            yield _Change({**tree, variable: swapped}, f"{words} became {scope(variable, swapped)}", words)


def _condition_changes(policy: Policy, neighbours: Neighbours) -> Iterator[_Change]:
    conditions = conditions_of(policy)
    lines = condition_lines(policy)
    for index, whole in enumerate(conditions):
        if not isinstance(whole, dict):
            continue
        before, after = conditions[:index], conditions[index + 1 :]
        line = lines[index] if index < len(lines) else policy.line
        words = condition(whole)
        yield _Change({**policy.tree, "conditions": [*before, *after]}, f"dropped {words}", line)
        negated: Json = {**whole, "kind": "unless" if whole["kind"] == "when" else "when"}
        changed: Json = [*before, negated, *after]
        yield _Change({**policy.tree, "conditions": changed}, f"negated {words}", line)
        for variant in _variants(whole["body"], neighbours):
            changed = [*before, {**whole, "body": variant.node}, *after]
            text = shown(variant.before)
            what = f"dropped {text}" if variant.after is None else f"{text} became {shown(variant.after)}"
            yield _Change({**policy.tree, "conditions": changed}, what, text)


def _variants(node: Json, neighbours: Neighbours) -> Iterator[_Variant]:
    """An expression (a record with the operator as its only key) with one mistake each."""
    if not isinstance(node, dict) or len(node) != 1:
        return
    ((operator, operand),) = node.items()
    if operator == "Value":
        for other in _other_values(operand, neighbours):
            yield _Variant({"Value": other}, node, {"Value": other}, bare=True)
        return
    yield from _operator_variants(node, operator, operand)
    for variant, whole in _inside(operator, operand, neighbours):
        if variant.bare and operator != "Set":
            yield _Variant(whole, node, whole, bare=False)
        else:
            yield _Variant(whole, variant.before, variant.after, bare=False)


def _operator_variants(node: Json, operator: str, operand: Json) -> Iterator[_Variant]:
    """Mistakes in the operator itself."""
    if operator in _OTHER:
        changed: Json = {_OTHER[operator]: operand}
        yield _Variant(changed, node, changed, bare=False)
    match operator, operand:
        case "!", {"arg": argument}:
            yield _Variant(argument, node, argument, bare=False)
        case (("&&" | "||"), {"left": left, "right": right}):
            yield _Variant(left, node, left, bare=False)
            yield _Variant(right, node, right, bare=False)
        case "Set", [_, _, *_] as members:
            for index, member in enumerate(members):
                yield _Variant({"Set": [*members[:index], *members[index + 1 :]]}, member, None, bare=False)
        case _:
            return


def _inside(operator: str, operand: Json, neighbours: Neighbours) -> Iterator[tuple[_Variant, Json]]:
    """The variants of an operator's operands, each with the whole it makes."""
    if isinstance(operand, dict):
        for name, inner in operand.items():
            for variant in _variants(inner, neighbours):
                yield variant, {operator: {**operand, name: variant.node}}
    elif isinstance(operand, list):
        for index, inner in enumerate(operand):
            for variant in _variants(inner, neighbours):
                yield variant, {operator: [*operand[:index], variant.node, *operand[index + 1 :]]}


def _other_values(value: Json, neighbours: Neighbours) -> Iterator[Json]:
    match value:
        case bool():
            yield not value
        case int():
            yield from (other for other in (value - 1, value + 1) if other in _LONG)
        case {"__entity": dict(entity)}:
            yield from ({"__entity": other} for other in _others(entity, neighbours))
        case _:
            return


def _others(entity: Json, neighbours: Neighbours) -> Iterator[Json]:
    match entity:
        case {"type": str(kind), "id": str(name)}:
            for other in neighbours.get(EntityUid(kind, name), ()):
                yield {"type": other.type, "id": other.id}
        case _:
            return
