"""Lists in portions: which rows come next, and where the reader is to go on. Pure; used by every list endpoint."""

from collections.abc import Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

from services.records import Record
from services.store import Table

R = TypeVar("R", bound=Record)
Limit = Annotated[int, Query(ge=1, le=200)]
After = Annotated[str | None, Query(max_length=64)]

DEFAULT_LIMIT = 50


class Page(BaseModel, Generic[R]):
    """Some rows; `next_after` is given back as `after` to get those that follow, and null at the end."""

    data: list[R]
    next_after: str | None


def page(table: Table[R], rows: Sequence[R], limit: int, after: str | None) -> Page[R]:
    """The first `limit` rows behind the one whose id is `after`; none are behind an id that is not among them."""
    start = 0
    if after is not None:
        ids = [table.key(row) for row in rows]
        start = ids.index(after) + 1 if after in ids else len(rows)
    chosen = list(rows[start : start + limit])
    more = start + limit < len(rows)
    return Page(data=chosen, next_after=table.key(chosen[-1]) if more else None)
