"""Lines in, a tally out: each read, decided again, counted."""

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from lychgate.errors import ConfigurationError
from lychgate.findings import catalogue_of, packed_rules
from policies.bundle import Bundle
from policies.check import check_roles
from policies.engine import Engine
from policies.memo import Memo
from policies.origin import Origin
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


def candidate_rules(origin: Origin, given: "Catalogue | None", roles_file: Path) -> "tuple[Bundle, Catalogue | None]":
    """The policies to decide by, as a gateway would take them, and the roles where a bundle brings them.

    Args:
        origin: A folder, or a bundle that a key of the configuration has signed.
        given: The roles that the policies may name; None for those a bundle brings.
        roles_file: Where they stand otherwise.

    Raises:
        ConfigurationError: A gateway would refuse them; with every finding's file and line.
    """
    refused = f"the candidate {origin.path} would be refused:"
    try:
        bundle, packed = packed_rules(origin)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{refused}\n{exc}") from exc
    if findings := check_roles(bundle, (given or packed or catalogue_of(roles_file)).names):
        raise ConfigurationError("\n".join((refused, *map(str, findings))))
    return bundle, packed


def known_bundles(origin: Origin) -> list[Bundle]:
    """The configured policies, under whose schema most decisions were recorded; none where they do not load."""
    try:
        return [packed_rules(origin)[0]]
    except ConfigurationError:
        return []


def make_replay(candidate: Bundle, known: Iterable[Bundle], *, strict: bool, same_reasons: bool) -> Replay:
    """A replay by a set of policies."""
    return Replay(Memo(Engine(candidate, strict=strict), _MEMO), known, same_reasons=same_reasons)
