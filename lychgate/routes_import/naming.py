"""What an endpoint's path says about its action, its resource and their names. Pure.

`/orders` with `/orders/{order_id}` beside it is a collection: list, create, read, update, delete. A word behind one is
an action of its own: `POST /orders/{order_id}/cancel`. What belongs to another collection than the service's main one
says so in its name, so that it does not get the permissions of the main one by being called alike.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Final, TypeAlias

Segments: TypeAlias = tuple[str | None, ...]

_ITEM: Final = {"GET": "read", "POST": "post", "PUT": "update", "PATCH": "update", "DELETE": "delete"}
_COLLECTION: Final = {"GET": "list", "POST": "create", "PUT": "replace", "PATCH": "change", "DELETE": "clear"}
_QUALIFIER: Final = {"GET": "read", "POST": "create", "PUT": "set", "PATCH": "update", "DELETE": "delete"}
_STANDARD: Final = frozenset({*_ITEM.values(), *_COLLECTION.values()})
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_ODD: Final = re.compile(r"[^a-z0-9]+")
_RESERVED: Final = frozenset(
    {"Action", "Bool", "Boolean", "Entity", "Extension", "Long", "Record", "Role", "Set", "String", "User"}
)
"""Names that Cedar's schema language or every schema of ours has already."""
_MAX_NAME: Final = 48
_SAYS_NOTHING: Final = re.compile(r"api|rest|v[0-9]+(?:\.[0-9]+)*", re.IGNORECASE)


def snake(text: str) -> str:
    """A name in small letters, digits and underscores that begins with a letter; empty where nothing is left."""
    name = _ODD.sub("_", _CAMEL.sub("_", text).lower()).strip("_")[:_MAX_NAME].rstrip("_")
    return name if name[:1].isalpha() or not name else f"n{name}"


def type_name(text: str) -> str:
    """The name of a Cedar type: `loyalty-accounts` is `LoyaltyAccount`."""
    name = "".join(part.capitalize() for part in singular(snake(text) or "thing").split("_"))
    return f"{name}Resource" if name in _RESERVED else name


def singular(text: str) -> str:
    """One of many, as far as letters tell: it is a name's suggestion and nothing else."""
    for ending, one in (("ies", "y"), ("sses", "ss"), ("ches", "ch"), ("xes", "x")):
        if text.endswith(ending) and len(text) > len(ending) + 1:
            return text[: -len(ending)] + one
    return text[:-1] if text.endswith("s") and not text.endswith(("ss", "us", "is")) and len(text) > 1 else text


class Namer:
    """Knows the collections of a service.

    Args:
        service: Its name.
        paths: Every path: literal text, or None where a parameter stands that is no tenant's.
    """

    def __init__(self, service: str, paths: Iterable[Segments]) -> None:
        self._service = snake(service)
        known = list(paths)
        own = {path for path in known if len(path) == 1 and singular(snake(path[0] or "")) == singular(self._service)}
        self._collections = own.union(*map(_collections, known))
        tops = [each for each in self._collections if None not in each]
        if len(tops) > 1:
            tops = [each for each in tops if singular(snake(each[-1] or "")) == singular(self._service)]
        self._main = tops[0] if len(tops) == 1 else None

    def verb(self, method: str, path: Segments, siblings: int) -> str:
        """What an action would be called, without its service.

        Args:
            method: Of the endpoint.
            path: Of the endpoint.
            siblings: How many methods the path has.
        """
        if not path:
            return f"{_QUALIFIER[method]}_root"
        last = path[-1]
        if last is None:
            return _ITEM[method] + self._suffix(path[:-1], one=True)
        if path in self._collections:
            return _COLLECTION[method] + self._suffix(path, one=False)
        word = snake(last) or "odd"
        if siblings > 1 or word in _STANDARD:
            word = f"{_QUALIFIER[method]}_{word}"
        owner = self.owner(path)
        return word if None not in path[:-1] else word + self._suffix(owner, one=True)

    def owner(self, path: Segments) -> Segments:
        """The collection an endpoint is about: the nearest one above it; empty where there is none."""
        for length in range(len(path), 0, -1):
            if path[:length] in self._collections:
                return path[:length]
        return ()

    def resource_type(self, path: Segments) -> str:
        """What the type of its resource would be called."""
        literals = [segment for segment in self.owner(path) if segment]
        return type_name(literals[-1] if literals else self._service)

    def unsaid(self, path: Segments) -> list[str]:
        """Words of a path that the name of its action leaves out: `admin` of `/admin/orders`.

        What stands before a parameter is the collection the parameter is of, and `api` and `v1` say nothing.
        """
        owner = self.owner(path)
        last = max((at for at, segment in enumerate(owner) if segment), default=-1)
        return [
            segment
            for at, segment in enumerate(path[:-1])
            if segment is not None
            and at != last
            and path[at + 1] is not None
            and _SAYS_NOTHING.fullmatch(segment) is None
            and singular(snake(segment)) != singular(self._service)
        ]

    def says(self, path: Segments, kind: str) -> bool:
        """Whether a path's words name a Cedar type: `/loyalty/accounts` says `LoyaltyAccount`, and `Loyalty`."""
        words = [type_name(segment) for segment in path if segment]
        return kind in {*words, *map("".join, pairwise(words))}

    def _suffix(self, collection: Segments, *, one: bool) -> str:
        if collection == self._main:
            return ""
        literals = [snake(segment) for segment in collection if segment]
        if not literals or not literals[-1]:
            return "_other"
        return "_" + (singular(literals[-1]) if one else literals[-1])


def _collections(path: Segments) -> Iterator[Segments]:
    for at, segment in enumerate(path):
        if segment is None and at and path[at - 1] is not None:
            yield path[:at]
