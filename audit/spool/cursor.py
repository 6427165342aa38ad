"""How far each sink has come in a folder: `cursor-<sink>.json`."""

from pathlib import Path

import msgspec

from audit.ranges import Range

_PREFIX, _SUFFIX = "cursor-", ".json"


class Cursor(msgspec.Struct, frozen=True):
    """How far a sink has come in a folder; losing it costs duplicates and nothing else.

    Attributes:
        epoch: Of the segment to go on in.
        n: Its number.
        offset: Where in it.
        seen: The numbers accounted for before it; None if that is not known.
    """

    epoch: int
    n: int
    offset: int
    seen: list[Range] | None = None


def cursor_file(folder: Path, sink: str) -> Path:
    """Where a sink's cursor stands."""
    return folder / f"{_PREFIX}{sink}{_SUFFIX}"


def cursors(folder: Path) -> dict[str, Cursor]:
    """The cursors there are, by sink. One that cannot be read costs duplicates and is left out."""
    found: dict[str, Cursor] = {}
    for file in sorted(folder.glob(f"{_PREFIX}*{_SUFFIX}")):
        try:
            sink = file.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
            found[sink] = msgspec.json.decode(file.read_bytes(), type=Cursor)
        except (OSError, msgspec.DecodeError):
            continue
    return found
