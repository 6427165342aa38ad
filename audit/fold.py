"""Refusals of unknown callers, alike ones in one record: a flood costs a record a second and loses no count. Pure.

Alike are those with the same code, the same client network (/24 or /64) and the same route. The first of a second lends
its record; the others add to its count. With too many networks at once, all further ones share a single record.
"""

import ipaddress
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from audit.event import Aggregate, AuditEvent

WINDOW_S = 1.0
OPEN_LIMIT = 1000
_SAMPLE_COUNT = 5  # trace ids kept, so that a few of the many can be followed up


class FoldKey(NamedTuple):
    """What makes refusals alike."""

    code: str
    network: str
    route: str


REST = FoldKey("", "", "")
"""Where refusals go when too many folds are open."""


def network(ip: str) -> str:
    """The /24 of an IPv4 address or the /64 of an IPv6 one; the text itself if it is neither."""
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    prefix = 24 if address.version == 4 else 64  # noqa: PLR2004  # DESIGN section 5
    return str(ipaddress.ip_network((address, prefix), strict=False))


@dataclass(slots=True)
class _Fold:
    event: AuditEvent
    opened_at: float
    count: int = 1
    last_at: str = ""
    traces: list[str] = field(default_factory=list)


class Folds:
    """The folds that are open. Not for two threads at once."""

    def __init__(self, *, window_s: float = WINDOW_S, open_limit: int = OPEN_LIMIT) -> None:
        self._window_s = window_s
        self._open_limit = open_limit
        self._open: dict[FoldKey, _Fold] = {}

    def count(self, key: FoldKey, occurred_at: str, trace_id: str | None) -> bool:
        """Count a refusal into the fold it belongs to.

        Returns:
            Whether it was counted; if not, the caller makes its record and opens a fold with it.
        """
        fold = self._open.get(self._place(key))
        if fold is None:
            return False
        fold.count += 1
        fold.last_at = occurred_at
        if trace_id is not None and len(fold.traces) < _SAMPLE_COUNT:
            fold.traces.append(trace_id)
        return True

    def open(self, key: FoldKey, event: AuditEvent, now_s: float) -> None:
        """Open a fold with its first record.

        Args:
            key: As for `count`.
            event: The first refusal's record. Its number is taken already, so a kill before the fold is written shows.
            now_s: Monotonic time.
        """
        place = self._place(key)
        if place is REST:  # it will speak for many: only what holds for all of them stays
            event = msgspec.structs.replace(event, client=None, request=None, resource=None, details={"folded": "rest"})
        traces = [event.trace_id] if event.trace_id is not None else []
        self._open[place] = _Fold(event, now_s, last_at=event.occurred_at, traces=traces)

    def due(self, now_s: float, *, everything: bool = False) -> list[AuditEvent]:
        """Close the folds whose second is over (or all) and return their records."""
        closed: list[AuditEvent] = []
        for key, fold in list(self._open.items()):
            if everything or now_s - fold.opened_at >= self._window_s:
                del self._open[key]
                closed.append(_closed(fold))
        return closed

    def __len__(self) -> int:
        return len(self._open)

    def _place(self, key: FoldKey) -> FoldKey:
        return key if key in self._open or len(self._open) - (REST in self._open) < self._open_limit else REST


def _closed(fold: _Fold) -> AuditEvent:
    if fold.count == 1:
        return fold.event
    details = {**(fold.event.details or {}), "trace_ids": fold.traces}
    aggregate = Aggregate(fold.count, fold.event.occurred_at, fold.last_at)
    return msgspec.structs.replace(fold.event, aggregate=aggregate, details=details)
