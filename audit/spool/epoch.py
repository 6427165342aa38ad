"""The number of an opening of a spool folder. It tells which life of the folder it belongs to, and which opening it is.

A producer may come back under its name on an empty disk: its predecessor's records may be lost, and it must not be
taken for the successor that has delivered them (ADR 164). The store divides by the same number (`audit_life`).
"""

from typing import Final

OPENINGS: Final = 100_000
"""In one life; a folder that is opened every second lasts a day, and then counts as a new one."""
_NS_PER_S: Final = 1_000_000_000


def next_epoch(last: int, now_ns: int) -> int:
    """The epoch of the next opening.

    Args:
        last: The greatest there was in the folder; 0 in a new one.
        now_ns: Nanoseconds since the epoch.
    """
    return last + 1 if last else now_ns // _NS_PER_S * OPENINGS + 1
