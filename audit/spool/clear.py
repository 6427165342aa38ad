"""Giving space back: segments that every sink has passed are unlinked, damaged ones keep a second name.

The second name is made as soon as the first sink has found the damage, so that whoever dies when, a damaged segment is
never unlinked without it.
"""

from collections.abc import Collection
from pathlib import Path

from audit.spool.segment import QUARANTINE_SUFFIX, SegmentName, segments


def set_aside(folder: Path, name: SegmentName) -> bool:
    """Give a damaged segment its second name.

    Returns:
        Whether it had none before.

    Raises:
        OSError: the file system has no hard links, or does not take one now; see `clear`.
    """
    file = folder / name.text()
    try:
        file.with_name(file.name + QUARANTINE_SUFFIX).hardlink_to(file)
    except FileExistsError:
        return False
    return True


def clear(folder: Path, before: SegmentName, aside: Collection[SegmentName] = ()) -> list[SegmentName]:
    """Unlink the segments before one.

    Args:
        folder: One producer's.
        before: The first that is still needed.
        aside: Those that could not be given their second name: they are renamed.

    Returns:
        Those that are gone.

    Raises:
        OSError: one cannot be unlinked; those before it are gone.
    """
    gone = [name for name in segments(folder) if name < before]
    for name in gone:
        file = folder / name.text()
        if name in aside:
            file.rename(file.with_name(file.name + QUARANTINE_SUFFIX))
        else:
            file.unlink(missing_ok=True)
    return gone
