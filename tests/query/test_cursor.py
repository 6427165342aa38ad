"""The page token: it opens for the question it was made for, and for nothing else."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.event import Severity
from query.access import Own, Scope
from query.cursor import CursorSigner, binding
from query.errors import BadQuery
from query.filters import Filter, Order

KEY = bytes(range(32))
ACME = Scope("acme", ("acme",))
ADA = Own("dev", "ada")
BOUND = binding(Filter(actor="ada"), ACME, Order.DESC)

ids = st.binary(min_size=16, max_size=16).map(lambda raw: UUID(bytes=raw))


@given(ids, st.binary(min_size=32, max_size=32))
def test_a_cursor_gives_back_its_event(event_id: UUID, bound: bytes) -> None:
    """Sealing and opening for the same question is the identity."""
    signer = CursorSigner(KEY)
    assert signer.open(signer.seal(event_id, bound), bound) == event_id


@given(ids, st.integers(0, 43), st.characters(codec="ascii"))
def test_an_altered_cursor_is_refused(event_id: UUID, place: int, char: str) -> None:
    """Changing any one character makes it nobody's cursor."""
    signer = CursorSigner(KEY)
    cursor = signer.seal(event_id, BOUND)
    altered = cursor[:place] + char + cursor[place + 1 :]
    if altered == cursor:
        return
    with pytest.raises(BadQuery, match="`cursor`"):
        signer.open(altered, BOUND)


@given(st.text(max_size=60))
def test_foreign_text_is_refused(text: str) -> None:
    """Text that was never a cursor is a bad query and nothing worse."""
    with pytest.raises(BadQuery, match="`cursor`"):
        CursorSigner(KEY).open(text, BOUND)


@pytest.mark.parametrize(
    ("wanted", "scope", "order"),
    [
        (Filter(actor="bob"), ACME, Order.DESC),
        (Filter(), ACME, Order.DESC),
        (Filter(action="ada"), ACME, Order.DESC),
        (Filter(actor="ada", severity=Severity.WARN), ACME, Order.DESC),
        (Filter(actor="ada"), ACME, Order.ASC),
        (Filter(actor="ada"), Scope("globex", ("globex",)), Order.DESC),
        (Filter(actor="ada"), Scope("acme", ("acme", "-")), Order.DESC),
        (Filter(actor="ada"), Scope("acme", ("acme",), ADA), Order.DESC),
    ],
)
def test_another_question_has_another_cursor(wanted: Filter, scope: Scope, order: Order) -> None:
    """A cursor is refused for another filter, order, tenant or set of rows."""
    signer = CursorSigner(KEY)
    cursor = signer.seal(UUID(int=7), BOUND)
    with pytest.raises(BadQuery, match="was not made for this query"):
        signer.open(cursor, binding(wanted, scope, order))


def test_another_key_does_not_open_it() -> None:
    """A cursor of another installation is refused, and a key never shows in a repr."""
    signer = CursorSigner(bytes(32))
    with pytest.raises(BadQuery, match="`cursor`"):
        CursorSigner(KEY).open(signer.seal(UUID(int=7), BOUND), BOUND)
    assert "00" not in repr(signer)


def test_a_short_key_is_refused() -> None:
    """Anything but 32 bytes is no key."""
    with pytest.raises(ValueError, match="has 5 bytes"):
        CursorSigner(b"short")
