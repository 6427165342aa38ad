"""Lists in portions."""

from hypothesis import given
from hypothesis import strategies as st

from services.page import page
from services.records import Stock
from services.store import Table


def filled(count: int) -> Table[Stock]:
    """A table of that many rows."""
    table: Table[Stock] = Table("stock", lambda row: row.sku)
    for number in range(count):
        table.put(Stock(sku=f"ABC-{number:03}", shelf=0, backroom=0))
    return table


@given(count=st.integers(0, 30), limit=st.integers(1, 12))
def test_following_the_portions_gives_every_row_once(count: int, limit: int) -> None:
    """No row is missing, none comes twice, and the end is said with the last row, not after it."""
    table = filled(count)
    seen: list[str] = []
    after = None
    while True:
        portion = page(table, table.all(), limit, after)
        assert len(portion.data) <= limit
        seen += [row.sku for row in portion.data]
        after = portion.next_after
        if after is None:
            break
        assert portion.data
    assert seen == [row.sku for row in table.all()]


def test_behind_an_id_that_is_not_there_is_nothing() -> None:
    """A made-up place in the list is its end, not its beginning."""
    table = filled(3)
    portion = page(table, table.all(), 2, "ABC-999")
    assert (portion.data, portion.next_after) == ([], None)
