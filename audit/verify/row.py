"""One row, held against itself and against its leaf. Pure."""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from audit.ingest import COLUMNS, Bounds, DeadLetter, row_of

_ANY_ID: Final = Bounds(UUID(int=0), UUID(int=(1 << 128) - 1))
_ANY_MS: Final = 1 << 48
_HASH: Final = COLUMNS.index("payload_hash")
_BODY: Final = COLUMNS.index("body")
_COMPARED: Final = tuple(at for at in range(len(COLUMNS)) if at not in {_HASH, _BODY})


def what_changed(row: Sequence[Any], sealed_hash: bytes | None) -> str | None:
    """What of a row is not what it was, in words; None if nothing is.

    Every column is made again from the body, as when the row was written, so a column that was changed alone, such as
    the tenant, is seen too.

    Args:
        row: In the order of `COLUMNS`; the body as the text of its `jsonb`.
        sealed_hash: What the seal says; None if it says nothing: then the row's own hash is taken at its word.
    """
    made = row_of((row[_BODY] or "").encode("utf-8", "replace"), _ANY_ID, _ANY_MS)
    if isinstance(made, DeadLetter):
        return "the body is no event any more"
    hash_kept = row[_HASH]
    if made.payload_hash != (sealed_hash if sealed_hash is not None else hash_kept):
        if sealed_hash is None or hash_kept == sealed_hash:
            return "the body"
        return "the body, and the hash with it" if hash_kept == made.payload_hash else "the body and the hash"
    changed = [COLUMNS[at] for at in _COMPARED if made[at] != row[at]]
    if hash_kept != made.payload_hash:
        changed.append(COLUMNS[_HASH])
    if changed:
        return f"column {', '.join(f'`{name}`' for name in changed)}: not as in the body"
    return None
