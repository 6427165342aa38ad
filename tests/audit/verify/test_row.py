"""Tests of `audit.verify.row`: through a real `jsonb`, whatever the event holds."""

from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.codec import encode
from audit.event import Kind
from audit.ingest import COLUMNS, Bounds, Row, row_of
from audit.verify.row import _ANY_ID, what_changed
from tests.builders.audit import make_event
from tests.servers.postgres import Postgres

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.1, 1e22, 1e23, 5e-324, 1.7976931348623157e308, -0.0, 2.0**53, 1e-7, 123456789.123456789]),
)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def row(**fields: Any) -> Row:
    """A row as the store is given it."""
    made = row_of(encode(make_event(**fields)), _ANY_ID, 1 << 48)
    assert isinstance(made, Row)
    return made


def test_any_content_comes_back_from_the_store_as_it_was(postgres: Postgres) -> None:
    """All numbers, all text, any depth: the hash made from the `jsonb` is the one that was sealed."""
    import asyncio

    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(asyncpg.connect(postgres.owner_dsn))

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(TEXT, JSON, max_size=4))
    def check(details: dict[str, Any]) -> None:
        made = row(details=details)
        text = loop.run_until_complete(connection.fetchval("SELECT ($1::text)::jsonb::text", made.body))
        assert what_changed((*made[:-1], text), made.payload_hash) is None

    try:
        check()
    finally:
        loop.run_until_complete(connection.close())
        loop.close()


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in {"body", "payload_hash"}])
def test_every_column_is_held_against_the_body(column: str) -> None:
    """Whichever is changed alone, it is named."""
    made = row()
    old = getattr(made, column)
    other = made._replace(**{column: None if old is not None else "x"})
    assert what_changed(other, made.payload_hash) == f"column `{column}`: not as in the body"
    assert what_changed(other, None) == f"column `{column}`: not as in the body"


def test_what_was_done_to_content_and_hash_is_told_apart() -> None:
    """The body alone, the hash alone, both to agree, both and not."""
    made, other = row(), row(kind=Kind.SYSTEM, action="order:delete")
    assert what_changed(made, made.payload_hash) is None
    assert what_changed(made, None) is None
    assert what_changed(other._replace(payload_hash=made.payload_hash), made.payload_hash) == "the body"
    assert what_changed(other._replace(payload_hash=made.payload_hash), None) == "the body"
    assert what_changed(other, made.payload_hash) == "the body, and the hash with it"
    assert what_changed(other._replace(payload_hash=b"x"), made.payload_hash) == "the body and the hash"
    both = made._replace(payload_hash=b"x", action="a")
    assert what_changed(both, made.payload_hash) == "column `action`, `payload_hash`: not as in the body"


@pytest.mark.parametrize("body", [None, "[]", "{}", "null", '"x"', '{"a":1e9999}', "1"])
def test_a_body_that_is_no_event_is_named(body: str | None) -> None:
    """Whatever JSON somebody puts there, or nothing."""
    made = row()
    assert what_changed((*made[:-1], body), made.payload_hash) == "the body is no event any more"


def test_any_id_is_within_bounds() -> None:
    """Where a row may stand is another question."""
    assert Bounds(*_ANY_ID) == _ANY_ID
