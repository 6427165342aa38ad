"""Changes: staged, told, made."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.change import Change, differences
from services.records import Stock
from services.store import Table


def make_table() -> Table[Stock]:
    """An empty table."""
    return Table("stock", lambda row: row.sku)


def stock(**fields: Any) -> Stock:
    """A stock level."""
    return Stock(**{"sku": "ABC-1", "shelf": 1, "backroom": 2, **fields})


def test_nothing_is_changed_before_it_is_made() -> None:
    """Staging leaves the table alone; making does everything in order."""
    table, change, done = make_table(), Change(), list[str]()
    change.create(table, stock())
    change.beside(lambda: done.append("beside"))
    assert (table.all(), done) == ((), [])
    change.make()
    assert (table.all(), done) == ((stock(),), ["beside"])


def test_the_first_record_is_the_subject() -> None:
    """What a change is about, and whether it creates, replaces or deletes, is said by its first record."""
    table = make_table()
    change = Change()
    change.delete(table, stock())
    change.create(table, stock(sku="ABC-2"))
    assert (change.subject, change.crud) == ("ABC-1", "d")
    untouched = Change()
    assert (untouched.subject, untouched.crud) == (None, None)


def test_a_difference_is_told_field_by_field() -> None:
    """Old and new value under the field's pointer; equal fields and empty ones are left out."""
    told = differences(stock(), stock(shelf=5))
    assert [(one.path, one.op, one.old, one.new) for one in told] == [("/shelf", "replace", 1, 5)]
    assert [one.path for one in differences(None, stock())] == ["/sku", "/shelf", "/backroom", "/reserved"]
    assert {one.op for one in differences(stock(), None)} == {"remove"}


@given(st.tuples(st.integers(0, 9), st.integers(0, 9)), st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_applying_the_differences_gives_the_new_state(old: tuple[int, int], new: tuple[int, int]) -> None:
    """A record's history can be walked forward by its changes alone."""
    before, after = stock(shelf=old[0], backroom=old[1]), stock(shelf=new[0], backroom=new[1])
    state = before.model_dump(mode="json")
    for one in differences(before, after):
        assert state[one.path[1:]] == one.old
        state[one.path[1:]] = one.new
    assert state == after.model_dump(mode="json")
