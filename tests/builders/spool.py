"""What a spool has promised, beside what came of it: each number is delivered or named, nothing promised is lost."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from audit.event import AuditEvent
from audit.ranges import RangeSet
from audit.spool.folder import peek
from audit.spool.segment import LOSS


class Account(NamedTuple):
    """One epoch, after everything was delivered.

    Attributes:
        delivered: The numbers whose records arrived.
        named: Those that stand in `audit.loss` records.
        folded: How many refusals the lost ones stood for.
        reasons: Why, of all loss records.
    """

    delivered: RangeSet
    named: RangeSet
    folded: int
    reasons: frozenset[str]


def account(events: Iterable[AuditEvent], epoch: int | None = None) -> Account:
    """What became of an epoch's numbers; of the first there is if it is not said which."""
    events = list(events)
    if epoch is None:
        epoch = min((event.producer.epoch for event in events), default=0)
    delivered, named, folded, reasons = RangeSet(), RangeSet(), 0, set()
    seen: set[str] = set()
    for event in events:
        if event.producer.epoch != epoch:
            continue
        if event.event_type == LOSS:
            details = event.details or {}
            named.update(msgspec.convert(details["missing"], list[tuple[int, int]]))
            reasons.add(str(details["reason"]))
            if event.event_id not in seen:
                folded += int(details.get("folded", 0))
            seen.add(event.event_id)
        else:
            delivered.add(event.producer.seq)
    return Account(delivered, named, folded, frozenset(reasons))


def check(
    events: Iterable[AuditEvent], folder: Path, kept: Iterable[int], epoch: int | None = None, taken: int | None = None
) -> Account:
    """Assert that nothing was lost without a word.

    Args:
        events: Everything that was delivered.
        folder: The producer's.
        kept: The numbers of records that somebody was told are safe.
        epoch: Of the numbers; the first there is if not given.
        taken: How many numbers were taken; as the counter says if not given.
    """
    found = account(events, epoch)
    view = peek(folder)
    assert view is not None
    taken = view.seq if taken is None else taken
    lost = RangeSet((number, number) for number in kept).without(found.delivered)
    assert not lost, f"promised and lost: {lost}"
    everything = RangeSet([*found.delivered, *found.named])
    assert list(everything) == ([(1, taken)] if taken else []), (taken, found)
    return found
