"""The statements: values are arguments, walks are bounded, plans use the index and open no needless partition."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.event import Outcome, Severity
from audit.ids import id_floor
from query import sql
from query.access import Own, Scope
from query.filters import Filter, Order
from query.reader import session
from query.sql import Statement, floor, one, page
from tests.servers.postgres import Logins

BOTH_SERVERS = True

ACME = Scope("acme", ("acme",))
ADA = Own("dev", "ada")
MOMENT = datetime(2026, 11, 23, 15, tzinfo=UTC)
EVERYTHING = Filter(
    since=MOMENT,
    until=MOMENT + timedelta(hours=1),
    actor="a",
    action="b",
    resource_type="c",
    resource_id="d",
    service="e",
    decision="deny",
    outcome=Outcome.FAILURE,
    severity=Severity.WARN,
    severity_gte=Severity.INFO,
    trace_id="f" * 32,
)


def listed(wanted: Filter = Filter(), scope: Scope = ACME, order: Order = Order.DESC, **more: Any) -> Statement:  # noqa: B008 - frozen
    """A page of ten."""
    return page(wanted, scope, order, after=more.get("after"), until=more.get("until"), limit=10)


def test_every_placeholder_has_its_argument() -> None:
    """Each argument is used, and nothing is used that is not an argument."""
    statement = listed(EVERYTHING, Scope("platform", ("platform", "-"), ADA), Order.ASC, after=UUID(int=1))
    used = {int(number) for number in re.findall(r"\$(\d+)", statement.text)}
    assert used == set(range(1, len(statement.args) + 1))


@given(st.text(min_size=1, max_size=20))
def test_no_value_becomes_text(value: str) -> None:
    """Whatever is asked for, the statement's text is the same; only its arguments differ."""
    wanted = Filter(actor=value, resource_id=value)
    assert listed(wanted).text == listed(Filter(actor="x", resource_id="x")).text
    assert value in listed(wanted).args


def test_a_time_filter_walks_a_bounded_stretch_of_ids() -> None:
    """`from` and `to` bound the ids with the clock's slack, and compare `occurred_at` exactly."""
    args = listed(Filter(since=MOMENT, until=MOMENT)).args
    assert UUID(id_floor(int((MOMENT - sql.CLOCK_SLACK).timestamp()) * 1000)) in args
    assert UUID(id_floor(int((MOMENT + sql.CLOCK_SLACK).timestamp()) * 1000)) in args
    assert args.count(MOMENT) == 2


def test_the_ends_of_time_are_times_too() -> None:
    """The first and the last moments Python knows make statements, not overflows."""
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert floor(first) == floor(datetime(1970, 1, 1, tzinfo=UTC))
    listed(Filter(since=first, until=last))


def test_an_own_scope_narrows_a_single_event_too() -> None:
    """The reader's own `sub` stands in every statement of an own view."""
    scope = Scope("acme", ("acme",), ADA)
    for statement in (listed(scope=scope), one(UUID(int=1), scope)):
        assert "e.actor_id = $" in statement.text
        assert "ada" in statement.args


@pytest.mark.parametrize("scope", [ACME, Scope("platform", ("platform", "-"), ADA)])
@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("wanted", [Filter(), EVERYTHING])
async def test_every_statement_is_valid_sql(
    migrated_database: Logins, scope: Scope, order: Order, wanted: Filter
) -> None:
    """PostgreSQL takes every shape of statement, as the reader's login."""
    connection = await asyncpg.connect(migrated_database.reader)
    try:
        for statement in (listed(wanted, scope, order, after=UUID(int=1), until=MOMENT), one(UUID(int=1), scope)):
            assert await connection.fetch(statement.text, *statement.args) == []
    finally:
        await connection.close()


@pytest.fixture
async def filled(migrated_database: Logins) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A reader in a transaction for tenant-1, over 20,000 rows of four tenants and two weeks."""
    owner = await asyncpg.connect(migrated_database.owner)
    try:
        await owner.execute(
            """
            INSERT INTO audit_events (event_id, phase, tenant_id, event_type, kind, occurred_at, producer_id,
                                      producer_epoch, producer_seq, severity, payload_hash, body)
            SELECT overlay(audit_id_floor(at)::text placing lpad(n::text, 12, '0') from 25)::uuid,
                   'single', 'tenant-' || n % 4, 't', 'domain', at, 'p', 1, n,
                   CASE WHEN n % 1000 = 1 THEN 4 ELSE 1 END, '\\x00', '{}'
            FROM generate_series(1, 20000) n, LATERAL (SELECT now() - n * interval '1 minute' AS at) moment
            """
        )
        await owner.execute("ANALYZE audit_events")
    finally:
        await owner.close()
    reader = await asyncpg.connect(migrated_database.reader, server_settings=session(5.0))
    try:
        async with reader.transaction(readonly=True):
            await reader.execute(sql.TENANT, "tenant-1")
            yield reader
    finally:
        await reader.close()


async def plan(reader: "asyncpg.Connection[asyncpg.Record]", statement: Statement) -> str:
    """How PostgreSQL has executed a statement."""
    explain = f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) {statement.text}"
    return "\n".join(row[0] for row in await reader.fetch(explain, *statement.args))


async def test_a_page_reads_the_index_in_order_and_stops(filled: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Among 20,000 rows a page of ten is read from the tenant's index, without a sort, and older partitions rest."""
    statement = listed(scope=Scope("tenant-1", ("tenant-1",)))
    assert len(await filled.fetch(statement.text, *statement.args)) == 10
    executed = await plan(filled, statement)
    assert "Sort" not in executed, executed
    assert "Seq Scan on audit_events" not in executed, executed
    assert "tenant_id_event_id_idx" in executed, executed
    assert "(never executed)" in executed, executed


async def test_grave_events_are_found_by_their_own_index(filled: "asyncpg.Connection[asyncpg.Record]") -> None:
    """A filter for what is grave, which is rare, does not read through everything that is not."""
    statement = listed(Filter(severity_gte=Severity.ERROR), Scope("tenant-1", ("tenant-1",)))
    assert len(await filled.fetch(statement.text, *statement.args)) == 10
    executed = await plan(filled, statement)
    removed = sum(int(count) for count in re.findall(r"Rows Removed by Filter: (\d+)", executed))
    assert removed < 100, executed  # of 5,000 rows


@pytest.mark.parametrize(
    "wanted", [Filter(outcome=Outcome.SUCCESS), Filter(severity=Severity.INFO), Filter(actor="u"), Filter(action="a")]
)
async def test_no_filter_sorts_a_whole_log(filled: "asyncpg.Connection[asyncpg.Record]", wanted: Filter) -> None:
    """Whatever is asked for, the page is walked in the order of an index, so that it can stop when it is full."""
    for order in Order:
        executed = await plan(filled, listed(wanted, Scope("tenant-1", ("tenant-1",)), order))
        assert "Sort Method" not in executed.replace("Sort Method: quicksort  Memory: 25kB", ""), executed
