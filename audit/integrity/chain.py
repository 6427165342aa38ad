"""The chain as a whole: records in order, each with the hash of the one before it. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from audit.errors import SealRefused
from audit.integrity.keys import PublicKeys
from audit.integrity.record import GENESIS, Sealed, SealKind, read_sealed


class Kept(NamedTuple):
    """A record as the store keeps it; none of it is believed yet.

    `seq`, `kind` and `partition` are columns for those who look things up; what counts is in the text.
    """

    seq: int
    kind: str
    partition: str
    text: str
    signature: bytes


class Broken(NamedTuple):
    """Where a chain does not hold."""

    seq: int
    partition: str | None
    what: str


def read_chain(kept: Iterable[Kept], keys: PublicKeys, before: Sealed | None = None) -> Iterator[Sealed | Broken]:
    """Check records in the order of their numbers; what is wrong comes in its place, and reading goes on behind it.

    Args:
        kept: From the first on, or from behind `before`.
        keys: Whose signatures are believed.
        before: A record that was checked already.
    """
    expected, previous = (1, GENESIS) if before is None else (before.record.seq + 1, before.digest)
    for row in kept:
        if row.seq != expected:
            which = f"seal {expected}" if row.seq == expected + 1 else f"seals {expected} to {row.seq - 1}"
            yield Broken(expected, None, f"{which} of the chain: taken away")
            previous = ""
        expected = row.seq + 1
        try:
            found = read_sealed(row.text, row.signature, keys)
        except SealRefused as exc:
            yield Broken(row.seq, row.partition, f"seal {row.seq} {exc}")
            previous = ""
            continue
        record = found.record
        if (record.seq, record.kind.value, record.partition) != row[:3]:
            yield Broken(row.seq, record.partition, f"seal {row.seq} is kept as something else than it says")
        elif previous not in ("", record.previous):
            yield Broken(row.seq, record.partition, f"seal {row.seq} does not follow the one before it")
        previous = found.digest
        yield found


def in_force(chain: Sequence[Sealed]) -> dict[str, list[Sealed]]:
    """By partition, what holds of it now: everything since it was last dropped; only the drop if nothing is.

    The partitions are in the order of their bounds.
    """
    found: dict[str, list[Sealed]] = {}
    for each in chain:
        held = found.setdefault(each.record.partition, [])
        if held and (each.record.kind is SealKind.DROP or held[-1].record.kind is SealKind.DROP):
            held.clear()
        held.append(each)
    return dict(sorted(found.items(), key=lambda item: item[1][-1].record.from_id))


def is_sealed(held: Sequence[Sealed]) -> bool:
    """Whether what holds of a partition includes its seal."""
    return any(each.record.kind is SealKind.SEAL for each in held)
