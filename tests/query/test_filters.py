"""The query string: what is taken, what is refused and with which words."""

import json
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.event import Outcome, Severity
from query.errors import BadQuery
from query.filters import MAX_LIMIT, ONE, TRACE, Filter, Listing, Order, listing, moment
from tests.builders.vectors import vectors

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_an_empty_query_is_the_first_page_newest_first() -> None:
    """Nothing asked for means fifty events, newest first, in the reader's own view."""
    assert listing(b"") == Listing(filter=Filter(), order=Order.DESC, limit=50, cursor=None, include_redacted=None)


def test_every_parameter_reaches_its_field() -> None:
    """A query that names everything is read into exactly the fields it names."""
    query = urlencode(
        {
            "tenant_id": "acme", "from": "2026-11-23T15:00:00Z", "to": "2026-11-23T17:30:00.5+01:00",
            "actor": "ada", "action": "order:create", "resource_type": "Order", "resource_id": "o-1",
            "service": "order", "decision": "deny", "outcome": "failure", "severity": "WARNING",
            "severity_gte": "notice", "trace_id": TRACE_ID.upper(), "limit": "200", "cursor": "abc",
            "order": "asc", "include_redacted": "true",
        }
    )  # fmt: skip
    assert listing(query.encode()) == Listing(
        filter=Filter(
            tenant_id="acme",
            since=datetime(2026, 11, 23, 15, tzinfo=UTC),
            until=datetime(2026, 11, 23, 16, 30, 0, 500_000, tzinfo=UTC),
            actor="ada",
            action="order:create",
            resource_type="Order",
            resource_id="o-1",
            service="order",
            decision="deny",
            outcome=Outcome.FAILURE,
            severity=Severity.WARN,
            severity_gte=Severity.NOTICE,
            trace_id=TRACE_ID,
        ),
        order=Order.ASC,
        limit=200,
        cursor="abc",
        include_redacted=True,
    )


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        (b"actr=ada", "unknown parameter `actr`; did you mean `actor`?"),
        (b"q=ada", "unknown parameter `q`"),
        (b"actor=a&actor=b", "`actor` is given more than once"),
        (b"actor=", "`actor` is empty"),
        (b"actor", "the query string is malformed"),
        (b"actor=%ff", "the query string is malformed"),
        (b"actor=\xc3\xa4", "the query string is malformed"),
        (b"&".join(b"a%d=1" % n for n in range(40)), "the query string is malformed"),
        (b"actor=a%00b", "`actor` holds a NUL character, which no stored value can"),
        (b"actor=" + b"a" * 513, "`actor` is longer than 512 characters"),
        (b"tenant_id=ACME", "`tenant_id` is not a tenant: `[a-z0-9][a-z0-9-]{0,62}`, or `-` for events without one"),
        (b"tenant_id=acme%0a", "`tenant_id` is not a tenant: `[a-z0-9][a-z0-9-]{0,62}`, or `-` for events without one"),
        (b"limit=0", "`limit` is not a number from 1 to 200"),
        (b"limit=201", "`limit` is not a number from 1 to 200"),
        (b"limit=-1", "`limit` is not a number from 1 to 200"),
        (b"limit=1_0", "`limit` is not a number from 1 to 200"),
        ("limit=٣".encode(), "the query string is malformed"),
        (b"limit=%D9%A3", "`limit` is not a number from 1 to 200"),
        (b"order=up", "`order` is not one of desc, asc"),
        (b"include_redacted=yes", "`include_redacted` is neither `true` nor `false`"),
        (b"decision=maybe", "`decision` is not one of allow, deny"),
        (b"outcome=ok", "`outcome` is not one of success, failure, unknown"),
        (b"trace_id=xyz", "`trace_id` is not a trace id: 32 hexadecimal digits"),
        (
            b"severity=purple",
            f"`severity` is not a severity: one of {', '.join(Severity)}, or a word that stands for one",
        ),
        (b"from=2026-11-23T15:00:00Z&to=2026-11-23T14:00:00Z", "`from` is after `to`"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(query: bytes, detail: str) -> None:
    """Each refusal names the parameter and says what is wrong with it."""
    with pytest.raises(BadQuery) as caught:
        listing(query)
    assert caught.value.detail == detail


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23", "2026-11-23T15:00:00", "2026-11-23 15:00:00Z", "2026-11-23T15:00Z", "2026-11-23T15:00:00+0100",
        "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T23:59:60Z",
        "2026-11-23T15:00:00+24:00", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59.9999999Z", "now", "1764000000",
        "2026-11-23T15:00:00,5Z", "\uff12026-11-23T15:00:00Z", "2026-11-23T15:00:00Z\n",
    ],
)  # fmt: skip
def test_a_time_without_offset_or_sense_is_refused(value: str) -> None:
    """Only RFC 3339 with an offset, and only times that exist, are times."""
    with pytest.raises(BadQuery, match="`from` is not a"):
        listing(f"from={quote(value, safe='')}".encode())


def test_a_plus_that_became_a_space_is_explained() -> None:
    """The commonest mistake, an unencoded `+`, is named in the answer."""
    with pytest.raises(BadQuery, match="must be sent as `%2B`"):
        listing(b"from=2026-11-23T15:00:00+01:00")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-23t15:00:00z", datetime(2026, 11, 23, 15, tzinfo=UTC)),
        ("2026-11-23T15:00:00.123456Z", datetime(2026, 11, 23, 15, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-11-23T15:00:00.1234560Z", datetime(2026, 11, 23, 15, 0, 0, 123_456, tzinfo=UTC)),
        ("2026-11-23T15:00:00.1234561Z", datetime(2026, 11, 23, 15, 0, 0, 123_457, tzinfo=UTC)),
        ("2026-11-23T15:00:00.9999999Z", datetime(2026, 11, 23, 15, 0, 1, tzinfo=UTC)),
        ("2026-11-23T00:30:00+01:00", datetime(2026, 11, 22, 23, 30, tzinfo=UTC)),
        ("2026-11-23T15:00:00-00:00", datetime(2026, 11, 23, 15, tzinfo=UTC)),
    ],
)
def test_a_time_is_utc_and_rounded_up_to_microseconds(value: str, expected: datetime) -> None:
    """Nanoseconds are rounded up, which keeps `from` inclusive and `to` exclusive exact."""
    assert moment(value) == expected


@given(
    st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9998, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.integers(-23 * 60, 23 * 60),
)
def test_every_time_survives_its_own_text(naive: datetime, offset_minutes: int) -> None:
    """Whatever Python prints as RFC 3339 is read back as the same instant."""
    time = naive.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    assert moment(time.isoformat()) == time


def test_other_endpoints_take_fewer_parameters() -> None:
    """A trace and a single event take only what means something there; the path's own value is read as strictly."""
    assert listing(b"limit=3", TRACE, order=Order.ASC, trace_id=TRACE_ID) == Listing(
        filter=Filter(trace_id=TRACE_ID), order=Order.ASC, limit=3
    )
    for allowed, query in ((TRACE, b"actor=a"), (TRACE, b"trace_id=" + TRACE_ID.encode()), (ONE, b"limit=1")):
        with pytest.raises(BadQuery, match="unknown parameter"):
            listing(query, allowed)
    with pytest.raises(BadQuery, match="`trace_id` is not a trace id"):
        listing(b"", TRACE, trace_id="x")


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reading(query: bytes) -> None:
    """Any query string at all is either read or refused with a reason."""
    outcome = read_or_detail(query)
    assert outcome if isinstance(outcome, str) else 1 <= outcome.limit <= MAX_LIMIT


def test_naughty_strings_are_values_or_refusals() -> None:
    """Every string of the big list is taken as it is, or refused by name; none is altered."""
    strings = json.loads(vectors("json", "blns.json").read_text())
    assert len(strings) > 400
    for text in strings:
        outcome = read_or_detail(urlencode({"resource_id": text}).encode())
        if isinstance(outcome, str):
            assert outcome.startswith("`resource_id` ")
        else:
            assert outcome.filter.resource_id == text


def read_or_detail(query: bytes) -> Listing | str:
    """What a query string says, or why it says nothing."""
    try:
        return listing(query)
    except BadQuery as refused:
        return refused.detail
