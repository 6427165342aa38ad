"""The API over a real store: filters, pages, phases, views and refusals, as a caller meets them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.event import Actor, AuditEvent, Client, Decision, Kind, Outcome, Phase, Producer, Request, Resource, Severity
from audit.ids import EventIds
from audit.severity import RANK
from query.schemas import Event, EventPage, Refusal
from tests.builders.audit import make_event
from tests.builders.query_api import TRACE_ID, Api, Write

IDS = EventIds()


def event(**fields: Any) -> AuditEvent:
    """An event of now, with an id of its own."""
    return make_event(event_id=IDS.next(), **fields)


async def test_a_page_has_the_promised_shape(api: Api, write: Write) -> None:
    """A reply is `{data, has_more, next_cursor, complete_through}`, newest first, times in UTC with microseconds."""
    first, second = event(), event()
    await write(first, second)
    response = await api.ask()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "private, no-store"
    assert list(response.json()) == ["data", "has_more", "next_cursor", "complete_through"]
    page = EventPage.model_validate(response.json())
    assert [item.event_id for item in page.data] == [second.event_id, first.event_id]
    assert (page.has_more, page.next_cursor) == (False, None)
    assert page.data[0].severity == "info"


async def test_head_answers_as_get_without_a_body(api: Api, write: Write) -> None:
    """A HEAD request is a read like a GET."""
    await write(event())
    assert (await api.ask(method="HEAD")).status_code == 200


@pytest.mark.parametrize(
    ("parameters", "fields"),
    [
        ({"actor": "bob"}, {"actor": Actor(type="user", id="bob", issuer="dev")}),
        ({"action": "order:create"}, {"action": "order:create"}),
        ({"resource_type": "Payment"}, {"resource": Resource(type="Payment", id="o-1")}),
        ({"resource_id": "o-2"}, {"resource": Resource(type="Order", id="o-2")}),
        ({"service": "payment"}, {"request": Request(method="GET", route="/x", service="payment")}),
        ({"decision": "deny"}, {"decision": Decision(effect="deny")}),
        ({"outcome": "failure"}, {"outcome": Outcome.FAILURE}),
        ({"severity": "warn"}, {"severity": Severity.WARN}),
        ({"severity": "WARNING"}, {"severity": Severity.WARN}),
        ({"severity_gte": "err"}, {"severity": Severity.SECURITY}),
        ({"trace_id": "0" * 31 + "1"}, {"trace_id": "0" * 31 + "1"}),
    ],
)
async def test_each_filter_finds_its_event_and_no_other(
    api: Api, write: Write, parameters: dict[str, str], fields: dict[str, Any]
) -> None:
    """A filter gives exactly the events that have its value."""
    wanted, other = event(**fields), event()
    await write(wanted, other)
    assert await api.ids(**parameters) == [wanted.event_id]


async def test_filters_are_combined(api: Api, write: Write) -> None:
    """An event must fit all the filters that are given."""
    both = event(action="order:create", actor=Actor(type="user", id="bob", issuer="dev"))
    await write(both, event(action="order:create"), event(actor=Actor(type="user", id="bob", issuer="dev")))
    assert await api.ids(action="order:create", actor="bob") == [both.event_id]


async def test_from_is_inclusive_and_to_exclusive_to_the_microsecond(api: Api, write: Write) -> None:
    """An event exactly at `from` is there, one exactly at `to` is not, and a microsecond tells them apart."""
    start = datetime.now(UTC).replace(microsecond=500) - timedelta(minutes=1)
    moments = [start + timedelta(microseconds=n) for n in range(4)]
    events = [event(occurred_at=moment.isoformat(timespec="microseconds")) for moment in moments]
    await write(*events)
    found = await api.ids(from_=moments[1].isoformat(), to=moments[3].isoformat())
    assert found == [events[2].event_id, events[1].event_id]


async def test_a_decision_and_its_completion_are_one_event(api: Api, write: Write) -> None:
    """Readers see the decision with its outcome, status and latency, the graver severity, and when it was over."""
    decided = event(phase=Phase.DECIDED, outcome=None, status=None, latency_us=None, details={"reason": "asked"})
    completed = AuditEvent(
        event_id=decided.event_id,
        phase=Phase.COMPLETED,
        event_type=decided.event_type,
        kind=Kind.DECISION,
        tenant_id="acme",
        occurred_at=decided.occurred_at,
        producer=Producer(id="test", epoch=1, seq=2),
        outcome=Outcome.FAILURE,
        status=502,
        latency_us=700,
        severity=Severity.ERROR,
        details={"cut": "upstream"},
    )
    await write(decided, completed)
    [shown] = (await api.ask()).json()["data"]
    assert shown["phase"] == "completed"
    assert (shown["outcome"], shown["status"], shown["latency_us"]) == ("failure", 502, 700)
    assert shown["severity"] == "error"
    assert shown["details"] == {"reason": "asked", "cut": "upstream"}
    assert shown["actor"]["id"] == "u-1"
    assert shown["completed_at"] == decided.occurred_at
    assert shown["producer"]["seq"] == 1


@pytest.mark.parametrize(
    "parameters",
    [{"outcome": "failure"}, {"severity": "error"}, {"severity_gte": "error"}, {"outcome": "failure", "actor": "u-1"}],
)
async def test_filters_look_at_both_records_of_an_event(api: Api, write: Write, parameters: dict[str, str]) -> None:
    """An event is found by what its decision says together with what its completion says."""
    decided = event(phase=Phase.DECIDED, outcome=None, producer=Producer(id="test", epoch=1, seq=1))
    completed = make_event(
        event_id=decided.event_id, phase=Phase.COMPLETED, actor=None, outcome=Outcome.FAILURE, severity=Severity.ERROR
    )
    await write(decided, completed, event())
    assert await api.ids(**parameters) == [decided.event_id]
    assert decided.event_id not in await api.ids(outcome="success")


@pytest.mark.parametrize("word", ["notice", "warn", "error", "security"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_grave_events_are_found_once_wherever_they_are_grave(
    api: Api, write: Write, word: str, order: str
) -> None:
    """`severity_gte` finds what is grave in its decision, its end, in both or on its own: each once, page by page."""
    levels = (Severity.INFO, Severity.NOTICE, Severity.WARN, Severity.ERROR, Severity.CRITICAL)
    expected: list[str] = []
    events: list[AuditEvent] = []
    for first in levels:
        for second in (None, *levels):
            events.append(event(severity=first, phase=Phase.SINGLE if second is None else Phase.DECIDED))
            if second is not None:
                events.append(make_event(event_id=events[-1].event_id, phase=Phase.COMPLETED, severity=second))
            if max(RANK[first], RANK[second or first]) >= RANK[Severity(word)]:
                expected.append(events[-1].event_id)
    alone = event(severity=Severity.CRITICAL, phase=Phase.COMPLETED)
    await write(*events, alone)
    expected.append(alone.event_id)
    assert await walk(api, severity_gte=word, order=order, limit=4) == (expected if order == "asc" else expected[::-1])


async def test_a_completion_without_its_decision_is_still_shown(api: Api, write: Write) -> None:
    """What is left of an event whose decision was lost is not lost with it."""
    alone = event(phase=Phase.COMPLETED)
    await write(alone)
    assert await api.ids() == [alone.event_id]


async def test_an_unfinished_decision_is_unknown_once_its_producer_is_gone(api: Api, write: Write, store: Any) -> None:
    """While its producer lives an open decision has no outcome; afterwards it is `unknown`, also for the filter."""
    opened = event(phase=Phase.DECIDED, outcome=None, producer=Producer(id="gw-1", epoch=3, seq=1))
    await write(opened)
    at_ms = int(datetime.now(UTC).timestamp() * 1000)
    await store.report([("gw-1", 3, -1, 1, at_ms, False)])
    assert "outcome" not in (await api.ask()).json()["data"][0]
    assert await api.ids(outcome="unknown") == []
    await store.report([("gw-1", 4, -1, 1, at_ms, False)])
    assert (await api.ask()).json()["data"][0]["outcome"] == "unknown"
    assert await api.ids(outcome="unknown") == [opened.event_id]


async def test_pages_have_every_event_once_in_both_directions(api: Api, write: Write) -> None:
    """Following the cursors gives every event exactly once, forwards and backwards, single and joined alike."""
    events: list[AuditEvent] = []
    for number in range(23):
        phase = Phase.DECIDED if number % 3 == 0 else Phase.SINGLE
        events.append(event(phase=phase))
        if phase is Phase.DECIDED and number % 2:
            events.append(make_event(event_id=events[-1].event_id, phase=Phase.COMPLETED))
    await write(*events, event(tenant_id="globex"))
    ids = list(dict.fromkeys(item.event_id for item in events))
    for order, expected in (("asc", ids), ("desc", ids[::-1])):
        for limit in (1, 4, 23, 200):
            assert await walk(api, order=order, limit=limit) == expected


async def walk(api: Api, **parameters: Any) -> list[str]:
    """All ids, page by page."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = (await api.ask(**parameters, **cursor)).json()
        assert len(page["data"]) <= parameters["limit"]
        found += [item["event_id"] for item in page["data"]]
        assert page["has_more"] is (page["next_cursor"] is not None)
        if not page["has_more"]:
            return found
        cursor = {"cursor": page["next_cursor"]}


async def test_events_that_arrive_meanwhile_do_not_shift_a_page(api: Api, write: Write) -> None:
    """A keyset page goes on where the last one ended, whatever was written since."""
    old = [event() for _ in range(4)]
    await write(*old)
    first = (await api.ask(limit=2)).json()
    await write(event(), event())
    second = await api.ids(limit=2, cursor=first["next_cursor"])
    assert second == [old[1].event_id, old[0].event_id]


async def test_a_cursor_is_good_for_its_own_question_alone(api: Api, write: Write) -> None:
    """Another filter, order, tenant or reader's rows: 400; another limit or view: fine."""
    mine = Actor(type="user", id="ada", issuer="dev")
    await write(*(event(actor=mine) for _ in range(3)), *(event(tenant_id="globex", actor=mine) for _ in range(3)))
    cursor = (await api.ask(limit=1)).json()["next_cursor"]
    for other in (
        {"actor": "ada"},
        {"order": "asc"},
        {"tenant": "globex"},
        {"roles": "Cashier"},
        {"roles": "Admin", "from_": "2020-01-01T00:00:00Z"},
    ):
        refused = await api.ask(limit=1, cursor=cursor, **other)
        assert refused.status_code == 400, other
        assert Refusal.model_validate(refused.json()).detail is not None
    for same in ({"limit": 2}, {"limit": 1, "include_redacted": "false"}, {"limit": 1, "roles": "Auditor"}):
        assert (await api.ask(cursor=cursor, **same)).status_code == 200


async def test_an_ascending_page_ends_where_the_log_is_complete(api: Api, write: Write) -> None:
    """Ascending pages stop at `complete_through`; descending ones show what is there."""
    old, young = event(), event()
    through = datetime.now(UTC) - timedelta(minutes=1)
    before = make_event(event_id=EventIds(lambda: int((through.timestamp() - 60) * 1e9)).next())
    await write(before, old, young, complete_through=through)
    page = (await api.ask(order="asc")).json()
    assert [item["event_id"] for item in page["data"]] == [before.event_id]
    assert datetime.fromisoformat(page["complete_through"]) - through < timedelta(milliseconds=2)
    assert len(await api.ids(order="desc")) == 3


async def test_nothing_is_complete_before_a_producer_has_reported(api: Api, store: Any) -> None:
    """Without any report `complete_through` is null and an ascending page is empty."""
    from audit.codec import encode

    await store.write([encode(event())])
    page = (await api.ask(order="asc")).json()
    assert (page["data"], page["complete_through"]) == ([], None)
    assert len(await api.ids()) == 1


async def test_one_event_by_its_id(api: Api, write: Write) -> None:
    """An event is had by its id; one that is not there, or another tenant's, is a 404 in our shape."""
    mine, theirs = event(), event(tenant_id="globex")
    await write(mine, theirs)
    found = await api.ask(f"/audit/events/{mine.event_id}")
    assert Event.model_validate(found.json()).event_id == mine.event_id
    for unknown in (theirs.event_id, IDS.next(), "00000000-0000-0000-0000-000000000000"):
        missing = await api.ask(f"/audit/events/{unknown}")
        assert missing.status_code == 404
        assert missing.json() == {"code": "not_found", "missing_role": None, "trace_id": TRACE_ID}
    assert (await api.ask("/audit/events/not-a-uuid")).json()["detail"] == "the event id is not a UUID"


async def test_a_trace_is_told_from_its_beginning(api: Api, write: Write) -> None:
    """All events of a trace, oldest first, of the reader's tenant alone."""
    trace = "a" * 32
    first, second = event(trace_id=trace), event(trace_id=trace)
    await write(first, second, event(), event(trace_id=trace, tenant_id="globex"))
    assert await api.ids(f"/audit/trace/{trace}") == [first.event_id, second.event_id]
    assert await api.ids(f"/audit/trace/{trace}", order="desc") == [second.event_id, first.event_id]
    assert (await api.ask("/audit/trace/xyz")).status_code == 400


async def test_the_three_views_of_one_log(api: Api, write: Write) -> None:
    """Admin sees all, Support sees every row with personal data masked, a Cashier sees their own rows."""
    details = {"email": "ada@example.com", "order": "o-1"}
    own = event(actor=Actor(type="user", id="cas", issuer="dev"), client=Client(ip="10.9.8.7"), details=details)
    other = event(client=Client(ip="10.9.8.7"), details=details)
    await write(own, other)

    full = (await api.ask(roles="Admin")).json()["data"]
    assert [item["client"]["ip"] for item in full] == ["10.9.8.7", "10.9.8.7"]
    assert [item["details"] for item in full] == [details, details]
    assert all("redacted" not in item for item in full)

    masked = (await api.ask(roles="Support")).json()["data"]
    assert [item["client"]["ip"] for item in masked] == ["***", "***"]
    assert [item["details"] for item in masked] == [{"email": "***", "order": "o-1"}] * 2
    assert masked[0]["redacted"] == [
        {"path": "client.ip", "how": "mask", "reason": "pii"},
        {"path": "details.email", "how": "mask", "reason": "pii"},
    ]

    mine = (await api.ask(roles="Cashier", sub="cas")).json()["data"]
    assert [item["event_id"] for item in mine] == [own.event_id]


async def test_own_rows_are_all_that_an_own_reader_can_reach(api: Api, write: Write) -> None:
    """Neither an id, nor a trace, nor the actor filter shows a Cashier a colleague's row."""
    theirs, namesake = event(), event(actor=Actor(type="user", id="cas", issuer="partner"))
    await write(theirs, namesake, event(actor=Actor(type="user", id="cas", issuer="dev")))
    assert (await api.ask(f"/audit/events/{namesake.event_id}", "Cashier", sub="cas")).status_code == 404
    assert (await api.ask(f"/audit/events/{theirs.event_id}", "Cashier", sub="cas")).status_code == 404
    assert await api.ids(roles="Cashier", sub="cas", actor="u-1") == []
    assert len(await api.ids(f"/audit/trace/{TRACE_ID}", "Cashier", sub="cas")) == 1
    assert await api.ids(roles="Cashier", sub="nobody") == []


async def test_include_redacted_is_the_admins_alone(api: Api, write: Write) -> None:
    """`true` is the full view or 403 with the role that has it; `false` is the masked view for everyone."""
    await write(event(client=Client(ip="10.9.8.7")))
    full = await api.ask(roles="Admin", include_redacted="true")
    assert full.json()["data"][0]["client"]["ip"] == "10.9.8.7"
    masked = await api.ask(roles="Admin", include_redacted="false")
    assert masked.json()["data"][0]["client"]["ip"] == "***"
    for role in ("Support", "Auditor", "Cashier", "Manager", "InventoryClerk", "Service"):
        refused = await api.ask(roles=role, include_redacted="true")
        assert refused.status_code == 403
        assert refused.json() == {"code": "forbidden", "missing_role": "Admin", "trace_id": TRACE_ID}
        assert (await api.ask(roles=role, include_redacted="false")).status_code == 200


async def test_another_tenants_log_is_a_mismatch(api: Api, write: Write) -> None:
    """Naming another tenant is 403 `tenant_mismatch`, for an Admin too."""
    await write(event(tenant_id="globex"))
    refused = await api.ask(tenant_id="globex")
    assert refused.status_code == 403
    assert refused.json() == {"code": "tenant_mismatch", "missing_role": None, "trace_id": TRACE_ID}
    assert await api.ids(tenant_id="acme") == []


async def test_what_belongs_to_nobody_is_the_platforms(api: Api, write: Write) -> None:
    """The platform's Auditor reads events without a tenant beside the platform's own, in one order; others do not."""
    nobodys, own, nobodys_too = event(tenant_id="-"), event(tenant_id="platform"), event(tenant_id="-")
    await write(nobodys, own, nobodys_too, event())
    both = [nobodys_too.event_id, own.event_id, nobodys.event_id]
    assert await api.ids(roles="Auditor", tenant="platform") == both
    assert await walk(api, roles="Auditor", tenant="platform", limit=1) == both
    assert await walk(api, roles="SuperAdmin", tenant="platform", limit=2, order="asc") == both[::-1]
    assert await api.ids(roles="Auditor", tenant="platform", tenant_id="-") == [nobodys_too.event_id, nobodys.event_id]
    assert (await api.ask(f"/audit/events/{nobodys.event_id}", "Auditor", tenant="platform")).status_code == 200
    assert await api.ids(roles="Support", tenant="platform") == [own.event_id]
    assert (await api.ask(f"/audit/events/{nobodys.event_id}", "Support", tenant="platform")).status_code == 404
    assert (await api.ask(roles="Auditor", tenant_id="-")).status_code == 403
