"""Lines in, a tally out: each read, decided again, counted."""

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from lychgate.errors import ConfigurationError
from policies.bundle import Bundle
from policies.check import check_roles
from policies.engine import Engine
from policies.errors import PolicyErrors
from policies.load import load_bundle
from policies.memo import Memo
from policies.replay.decide import Replay
from policies.replay.record import Recorded, read
from policies.replay.tally import Tally

if TYPE_CHECKING:
    from roles.catalogue import Catalogue

_MEMO: Final = 200_000
"""A run's memo may be larger than a worker's: at 600 bytes each it is 120 MB at the most, and then gone."""


class Run:
    """A replay under way.

    Args:
        replay: Decides.
        tally: Counts.
        recast: Changes a decision before it is made again; None for as it was.
    """

    def __init__(self, replay: Replay, tally: Tally, recast: Callable[[Recorded], Recorded] | None = None) -> None:
        self._replay = replay
        self._tally = tally
        self._recast = recast
        self._line = 0

    def take(self, line: bytes) -> None:
        """Read one line and decide again what it tells of; a page of the query API tells of many."""
        self._line += 1
        for event in _events(line):
            self._take(event)

    def _take(self, event: bytes) -> None:
        found = read(event)
        if not isinstance(found, Recorded):
            self._tally.left_out(found, self._line)
        elif self._tally.first_sight(found):
            asked = self._recast(found) if self._recast is not None else found
            self._tally.count(found, self._replay.decide(asked))

    def take_all(self, lines: Iterable[bytes]) -> None:
        """Take every line."""
        for line in lines:
            self.take(line)

    async def take_from(self, lines: AsyncIterator[bytes]) -> None:
        """Take every line as it comes."""
        async for line in lines:
            self.take(line)


class _Page(msgspec.Struct):
    """A page as `GET /audit/events` answers it."""

    data: list[msgspec.Raw]


def _events(line: bytes) -> Iterable[bytes]:
    """The events of a line: itself, or those of a page."""
    if not line.lstrip().startswith(b'{"data":'):
        return (line,)
    try:
        return [bytes(event) for event in msgspec.json.decode(line, type=_Page).data]
    except msgspec.DecodeError:
        return (line,)


def candidate_bundle(folder: Path, catalogue: "Catalogue") -> Bundle:
    """The policies to decide by, as a gateway would take them.

    Raises:
        ConfigurationError: A gateway would refuse them; with every finding's file and line.
    """
    refused = f"the candidate {folder} would be refused:"
    try:
        bundle = load_bundle(folder)
    except PolicyErrors as exc:
        raise ConfigurationError(f"{refused}\n{exc}") from exc
    if findings := check_roles(bundle, catalogue.names):
        raise ConfigurationError("\n".join((refused, *map(str, findings))))
    return bundle


def known_bundles(folder: Path) -> list[Bundle]:
    """The configured policies, under whose schema most decisions were recorded; none where they do not load."""
    try:
        return [load_bundle(folder)]
    except PolicyErrors:
        return []


def make_replay(candidate: Bundle, known: Iterable[Bundle], *, strict: bool, same_reasons: bool) -> Replay:
    """A replay by a set of policies."""
    return Replay(Memo(Engine(candidate, strict=strict), _MEMO), known, same_reasons=same_reasons)
