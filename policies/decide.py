"""Requests as JSON lines in, decisions as JSON lines out: `lychgate policy decide`, through the gateway's own engine.

A request is Cedar's: `{"principal": ..., "action": ..., "resource": ..., "context": {...}}`, each entity as
`{"type": ..., "id": ...}` or as text, `User::"alice"`; `entities` are added to those of the file; `id` is handed back.
"""

import json
import re
from typing import Any, Final

import cedarpy
import msgspec

from policies.bundle import Bundle
from policies.engine import Engine
from policies.errors import NoDecision, PoliciesError
from policies.lexer import unquoted
from policies.model import Effect, EntityUid, Json, Question

_UID: Final = re.compile(r'((?:[A-Za-z_][A-Za-z0-9_]*::)*[A-Za-z_][A-Za-z0-9_]*)::("(?:\\.|[^"\\])*")', re.DOTALL)
_EXPECTED: Final = 'is neither `{"type": ..., "id": ...}` nor text like `User::"alice"`'


class EntitiesRefused(PoliciesError):
    """Entities that Cedar does not take, with its reason."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of requests, as it is written."""

    principal: Any
    action: Any
    resource: Any
    context: dict[str, Any] = {}
    entities: list[Any] = []
    id: Any = None


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of decisions.

    Attributes:
        decision: `allow` or `deny`.
        policies: The ids of the policies that decided, sorted; empty for a default deny.
        errors: Policies that could not be evaluated: `policy`, `effect` and `message`.
        no_decision: Why Cedar could not be asked; then `decision` is a deny.
        id: The request's own, where it has one.
    """

    decision: Effect
    policies: tuple[str, ...]
    errors: tuple[dict[str, str], ...]
    no_decision: str | None = None
    id: Any = None


class Decider:
    """Decides requests with one set of policies and entities.

    Args:
        bundle: Policies and schema.
        entities: Cedar's JSON form of a list of entities.
        strict: Whether any error denies.

    Raises:
        EntitiesRefused: They do not parse, or do not fit the schema.
    """

    def __init__(self, bundle: Bundle, entities: str = "[]", *, strict: bool = False) -> None:
        self._engine = Engine(bundle, strict=strict)
        self._entities = self._parsed(entities)

    def decide(self, line: str | bytes) -> Outcome:
        """Answer one request.

        Args:
            line: JSON.

        Returns:
            The decision; what cannot be decided is a deny that says why.
        """
        try:
            request = msgspec.json.decode(line, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            return _nothing(f"not a request: {exc}")
        try:
            action = _uid("action", request.action)
            principal, resource = _uid("principal", request.principal), _uid("resource", request.resource)
            question = Question(principal, action.id, resource, request.context, ())
            answer = self._engine.decide_action(action, question, self._known(request))
        except (NoDecision, EntitiesRefused, ValueError) as exc:
            return _nothing(str(exc), request.id)
        errors = tuple(
            {"policy": error.policy_id, "effect": error.effect.value, "message": error.message}
            for error in answer.errors
        )
        return Outcome(answer.effect, answer.reasons, errors, id=request.id)

    def _known(self, request: Request) -> cedarpy.Entities:
        """The file's entities, and those of the request beside them."""
        if not request.entities:
            return self._entities
        try:
            return self._entities.with_added_json_str(json.dumps(request.entities), self._engine.bundle.schema.handle)
        except ValueError as exc:
            raise EntitiesRefused(f"entities: {exc}") from None

    def _parsed(self, text: str) -> cedarpy.Entities:
        try:
            json.loads(text)  # Cedar does not say where it stopped reading
            return cedarpy.Entities.from_json_str(text, self._engine.bundle.schema.handle)
        except ValueError as exc:
            raise EntitiesRefused(f"entities: {exc}") from None


def _nothing(reason: str, request_id: Json = None) -> Outcome:
    """What cannot be decided is denied."""
    return Outcome(Effect.DENY, (), (), reason, request_id)


def _uid(name: str, value: Json) -> EntityUid:
    """An entity's name.

    Raises:
        ValueError: It is none.
    """
    if isinstance(value, dict) and value.keys() == {"type", "id"}:
        kind, identifier = value["type"], value["id"]
        if isinstance(kind, str) and isinstance(identifier, str):
            return EntityUid(kind, identifier)
    if isinstance(value, str) and (found := _UID.fullmatch(value)):
        return EntityUid(found[1], unquoted(found[2]))
    raise ValueError(f"{name}: {_EXPECTED}")
