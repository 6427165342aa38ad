"""Which of many policies the schema refuses, in time that grows with them and not with their square.

Cedar holds each policy against each action of the schema, those its scope leaves out too: a thousand policies of a
thousand actions are a million looks. So policies of the same actions are asked about together, with a schema in which
the other actions apply to nothing (`Schema.narrowed`). A scope that admits no action of a kind is never typed for it,
so that both schemas refuse the same policies; the names they know are the same (ADR 0240).
"""

import math
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import cedarpy

from policies.model import EntityUid
from policies.schema import Schema

Scoped: TypeAlias = tuple[str, frozenset[EntityUid] | None]
"""A policy's text, and what its scope names as `Policy.scope_actions` says it."""

_WHOLE: Final = 128
"""Policies or actions up to which one look at everything is the cheapest."""
_WIDTH: Final = 3
"""Of a batch, in square roots of the number of policies: to narrow costs ten times as much an action as a look."""


def refused(policies: Sequence[Scoped], schema: Schema) -> frozenset[int]:
    """The policies that do not fit the schema, by their place.

    Args:
        policies: Each the text of exactly one policy that parses.
        schema: The GIL is released while Cedar looks; the caller may be serving.
    """
    found: set[int] = set()
    for batch, narrowed in _batches(policies, schema):
        text = "\n".join(policies[number][0] for number in batch)
        result = cedarpy.validate_policies(text, narrowed, release_gil=True)
        # Cedar numbers policies in the order of the text.
        found.update(batch[int(error.policy_id.removeprefix("policy"))] for error in result.errors)
    return frozenset(found)


def _batches(policies: Sequence[Scoped], schema: Schema) -> Iterator[tuple[Sequence[int], cedarpy.Schema]]:
    """Policies by their places, and the schema to ask about them."""
    if len(policies) <= _WHOLE or len(schema.actions) <= _WHOLE:
        yield range(len(policies)), schema.handle
        return
    width = _WIDTH * math.isqrt(len(policies))
    admitted = [schema.admitted(named) for _, named in policies]
    wide = [number for number, actions in enumerate(admitted) if len(actions) > width]
    if wide:
        yield wide, schema.handle
    narrow = sorted(
        (sorted(map(_order, actions)), number) for number, actions in enumerate(admitted) if len(actions) <= width
    )
    batch: list[int] = []
    together: frozenset[EntityUid] = frozenset()
    for _, number in narrow:
        joined = together | admitted[number]
        if len(joined) > width or len(batch) >= width:
            yield batch, schema.narrowed(together)
            batch, joined = [], admitted[number]
        batch.append(number)
        together = joined
    if batch:
        yield batch, schema.narrowed(together)


def _order(action: EntityUid) -> tuple[str, str]:
    return action.type, action.id
