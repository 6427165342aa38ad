"""A request's JSON in, what it asks as values out. Pure.

Authorization API 1.0 sections 5 to 8. Fields nobody here knows are ignored, as the specification wants; those that are
known have the type it gives them.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from gateway.errors import BadRequest
from policies.model import Json

_NAME_CHARS: Final = 256
_ID_CHARS: Final = 1024
_PARTS: Final[tuple[str, ...]] = ("subject", "action", "resource", "context")


class Party(msgspec.Struct, frozen=True):
    """A subject or a resource.

    Attributes:
        type: As the caller calls it.
        id: Empty where it is what a search looks for.
        properties: What the caller says of it.
    """

    type: str
    id: str
    properties: Mapping[str, Json] = {}


class Action(msgspec.Struct, frozen=True):
    """What is to be done: its name as the caller has it, and what the caller says of it."""

    name: str
    properties: Mapping[str, Json] = {}


class Evaluation(msgspec.Struct, frozen=True):
    """One question."""

    subject: Party
    action: Action
    resource: Party
    context: Mapping[str, Json] = {}


class Semantic(StrEnum):
    """When a batch stops (section 7.1.2)."""

    EXECUTE_ALL = "execute_all"
    DENY_ON_FIRST_DENY = "deny_on_first_deny"
    PERMIT_ON_FIRST_PERMIT = "permit_on_first_permit"

    def ends_with(self, *, allowed: bool) -> bool:
        """Whether nothing is asked after this answer."""
        return self is (Semantic.PERMIT_ON_FIRST_PERMIT if allowed else Semantic.DENY_ON_FIRST_DENY)


class Batch(msgspec.Struct, frozen=True):
    """Several questions; one that is malformed is there as its error, so that the others keep their places."""

    items: tuple[Evaluation | BadRequest, ...]
    semantic: Semantic = Semantic.EXECUTE_ALL


class Kind(StrEnum):
    """What a search looks for."""

    SUBJECT = "subject"
    RESOURCE = "resource"
    ACTION = "action"


class Search(msgspec.Struct, frozen=True):
    """A search.

    Attributes:
        kind: What it looks for.
        question: With what is looked for left open: an empty id, or an empty name.
        limit: How many results at most; None where the request does not say.
        token: Where to go on; None to begin.
    """

    kind: Kind
    question: Evaluation
    limit: int | None = None
    token: str | None = None


def read_evaluation(document: Json) -> Evaluation:
    """Read the body of `evaluation`.

    Raises:
        BadRequest: Says which field is missing or of the wrong type, without its value.
    """
    found = _object(document, "body")
    return Evaluation(
        _party(found, "subject"), _action(found), _party(found, "resource"), _optional_object(found, "context")
    )


def read_batch(document: Json, limit: int) -> Batch | Evaluation:
    """Read the body of `evaluations`.

    Args:
        document: The body.
        limit: How many questions at most.

    Returns:
        The questions; where the request has none of its own it is one question itself.

    Raises:
        BadRequest: The whole is malformed. What is wrong with one question only is not raised.
    """
    found = _object(document, "body")
    listed = found.get("evaluations", [])
    if not isinstance(listed, list):
        raise BadRequest("evaluations: not an array")
    if len(listed) > limit:
        raise BadRequest(f"evaluations: more than {limit}")
    asked = _optional_object(found, "options").get("evaluations_semantic", Semantic.EXECUTE_ALL.value)
    if asked not in list(Semantic):
        raise BadRequest(f"options.evaluations_semantic: not one of {', '.join(Semantic)}")
    if not listed:
        return read_evaluation(document)
    defaults = {part: _object(found[part], part) for part in _PARTS if part in found}
    return Batch(tuple(_item(item, defaults) for item in listed), Semantic(str(asked)))


def read_search(document: Json, kind: Kind) -> Search:
    """Read the body of a search.

    What is looked for has a type and no id; an id that is there all the same is ignored.

    Raises:
        BadRequest: As `read_evaluation`.
    """
    found = _object(document, "body")
    page = _optional_object(found, "page")
    limit, token = page.get("limit"), page.get("token")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        raise BadRequest("page.limit: not a number from 0")
    if token is not None and not isinstance(token, str):
        raise BadRequest("page.token: not a string")
    question = Evaluation(
        _party(found, "subject", sought=kind is Kind.SUBJECT),
        Action("") if kind is Kind.ACTION else _action(found),
        _party(found, "resource", sought=kind is Kind.RESOURCE),
        _optional_object(found, "context"),
    )
    return Search(kind, question, limit, token)


def _item(item: Json, defaults: Mapping[str, dict[str, Json]]) -> Evaluation | BadRequest:
    """One question of a batch: each part it has stands in place of the whole default (section 7.1.1)."""
    try:
        return read_evaluation({**defaults, **_object(item, "evaluation")})
    except BadRequest as exc:
        return exc


def _party(found: Mapping[str, Json], name: str, *, sought: bool = False) -> Party:
    value = _object(found.get(name), name)
    return Party(
        _text(value, "type", name, _NAME_CHARS),
        "" if sought else _text(value, "id", name, _ID_CHARS),
        _optional_object(value, "properties", name),
    )


def _action(found: Mapping[str, Json]) -> Action:
    value = _object(found.get("action"), "action")
    return Action(_text(value, "name", "action", _NAME_CHARS), _optional_object(value, "properties", "action"))


def _object(value: Json, name: str) -> dict[str, Json]:
    if isinstance(value, dict):
        return value
    raise BadRequest(f"{name}: missing" if value is None else f"{name}: not an object")


def _optional_object(found: Mapping[str, Json], key: str, of: str = "") -> Mapping[str, Json]:
    if key not in found:
        return {}
    return _object(found[key], f"{of}.{key}" if of else key)


def _text(value: Mapping[str, Json], key: str, of: str, limit: int) -> str:
    text = value.get(key)
    if text is None:
        raise BadRequest(f"{of}.{key}: missing")
    if not isinstance(text, str):
        raise BadRequest(f"{of}.{key}: not a string")
    if not text:
        raise BadRequest(f"{of}.{key}: empty")
    if len(text) > limit:
        raise BadRequest(f"{of}.{key}: longer than {limit} characters")
    return text
