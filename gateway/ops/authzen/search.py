"""Who or what would be allowed: each candidate is asked about as an evaluation would ask, in pages.

A page ends when it is full or when its time is over; then it has a token, and whoever shows it goes on behind the last
candidate that was looked at. So the time a request takes does not depend on how many entities there are.
"""

import asyncio
import hashlib
import json
from bisect import bisect_right
from typing import Any, Final

import msgspec

from gateway.errors import BadRequest
from gateway.ops.authzen.asking import Asking
from gateway.ops.authzen.message import Action, Evaluation, Kind, Party, Search
from gateway.ops.authzen.page import PageSeal, Place
from gateway.ops.authzen.turns import Turns
from policies.model import EntityUid

DEFAULT_ITEMS: Final = 50
_AT_ONCE: Final = 2
"""Searches that are worked on at a time: each holds the loop for a turn, and others wait for all of them."""


class Found(msgspec.Struct):
    """A page of results, and how it came about.

    Attributes:
        results: Ids or names, sorted.
        more: Whether there is, or may be, more.
        after: Behind which candidate that is.
        asked: Candidates looked at.
        unfit: Those that could not be asked about.
        allowed: Those that may; one more than results where the next page begins with it.
    """

    results: list[str]
    more: bool = False
    after: str | None = None
    asked: int = 0
    unfit: int = 0
    allowed: int = 0


class Searcher:
    """Answers searches.

    Args:
        seal: For page tokens.
        page_items: Results in a page at most.
        within_s: How long a page may take.
    """

    def __init__(self, seal: PageSeal, page_items: int, within_s: float) -> None:
        self._seal = seal
        self._page_items = page_items
        self._within_s = within_s
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def search(self, wanted: Search, asking: Asking, asker: EntityUid) -> tuple[dict[str, Any], Found]:
        """Answer a search.

        Args:
            wanted: What is asked.
            asking: Asks.
            asker: Who searches; a token is theirs alone.

        Returns:
            The answer's body, and how it came about.

        Raises:
            BadRequest: The token is not for this search.
        """
        bound = _binding(wanted, asker)
        place = self._place(wanted, bound)
        async with self._turn:
            found = await self._page(wanted, asking, place)
        body: dict[str, Any] = {}
        if found.more or wanted.token is not None or wanted.limit is not None:
            token = self._seal.seal(Place(found.after, place.limit), bound) if found.more else ""
            body["page"] = {"next_token": token, "count": len(found.results)}
        body["results"] = [_result(wanted, name) for name in found.results]
        return body, found

    def _place(self, wanted: Search, bound: bytes) -> Place:
        """Where the page begins, and how long it is: as the first one was, where a token goes on."""
        given = None if wanted.limit is None else min(wanted.limit, self._page_items)
        if wanted.token is None:
            return Place(None, min(DEFAULT_ITEMS, self._page_items) if given is None else given)
        place = self._seal.open(wanted.token, bound)
        if given is not None and given != place.limit:
            raise BadRequest("page.limit: not the one the search began with")
        return place

    async def _page(self, wanted: Search, asking: Asking, place: Place) -> Found:
        if wanted.kind is Kind.ACTION:
            candidates = asking.actions(wanted.question)
        else:
            candidates = asking.candidates(wanted.question, subjects=wanted.kind is Kind.SUBJECT)
        begin = bisect_right(candidates, place.after) if place.after is not None else 0
        found = Found([], after=place.after)
        turns = Turns(self._within_s)
        for name in candidates[begin:]:
            asked = asking.ask(_about(wanted, name))
            found.asked += 1
            found.unfit += asked.answer is None
            found.allowed += asked.allows
            if asked.allows:
                if len(found.results) == place.limit:
                    # One more than fits: only now is it known that the next page has something to show.
                    found.more = True
                    return found
                found.results.append(name)
                found.after = name
            if turns.over and name != candidates[-1]:
                found.more, found.after = True, name
                return found
            await turns.pause()
        return found


def _binding(wanted: Search, asker: EntityUid) -> bytes:
    """What a token is for: equal for the same search by the same caller, whatever page."""
    parts = msgspec.to_builtins((wanted.kind, wanted.question, asker))
    # Not by msgspec, which cannot write every number that it reads.
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()


def _about(wanted: Search, name: str) -> Evaluation:
    """The question about one candidate. What the request says of what it looks for is not said of the candidates."""
    question = wanted.question
    match wanted.kind:
        case Kind.SUBJECT:
            return msgspec.structs.replace(question, subject=Party(question.subject.type, name))
        case Kind.RESOURCE:
            return msgspec.structs.replace(question, resource=Party(question.resource.type, name))
        case Kind.ACTION:
            return msgspec.structs.replace(question, action=Action(name))


def _result(wanted: Search, name: str) -> dict[str, str]:
    match wanted.kind:
        case Kind.SUBJECT:
            return {"type": wanted.question.subject.type, "id": name}
        case Kind.RESOURCE:
            return {"type": wanted.question.resource.type, "id": name}
        case Kind.ACTION:
            return {"name": name}
