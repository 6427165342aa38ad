"""Reading is recorded: one event a read, on disk before the answer, and never one about the record itself."""

import asyncio

import pytest

from audit.errors import SpoolUnavailable
from audit.event import AuditEvent, Kind, Outcome, Severity
from audit.ids import EventIds
from query.record import EVENT_TYPE
from tests.builders.audit import make_event
from tests.builders.query_api import TRACE_ID, Api, MakeApi, Write

IDS = EventIds()


async def test_a_read_is_on_disk_when_it_is_answered(api: Api, write: Write) -> None:
    """The record says who read whose log, in which view, asking what, how much came, and why it was allowed."""
    await write(make_event(event_id=IDS.next()), make_event(event_id=IDS.next()))
    await api.ask(roles="Support", sub="sue", action="order:read", limit=1)
    [event] = api.recorded()
    assert (event.event_type, event.kind, event.crud, event.tenant_id) == (EVENT_TYPE, Kind.ADMIN, "r", "acme")
    assert event.actor is not None
    assert (event.actor.id, event.actor.roles) == ("sue", ("Support",))
    assert event.resource is not None
    assert (event.resource.type, event.resource.id) == ("AuditLog", "*")
    assert event.decision is not None
    assert (event.decision.effect, event.decision.reasons) == ("allow", ("audit.masked",))
    assert event.decision.policy_version
    assert (event.action, event.outcome, event.status) == ("audit:view_masked", Outcome.SUCCESS, 200)
    assert (event.trace_id, event.severity) == (TRACE_ID, Severity.INFO)
    assert event.request is not None
    assert (event.request.method, event.request.route, event.request.service) == ("GET", "/audit/events", "audit")
    assert event.details == {"view": "masked", "rows": 1, "asked": {"action": "order:read", "limit": "1"}}


@pytest.mark.parametrize(
    ("parameters", "code", "missing_role", "severity"),
    [
        ({"roles": "Support", "include_redacted": "true"}, "forbidden", "Admin", Severity.NOTICE),
        ({"roles": "Admin", "tenant_id": "globex"}, "tenant_mismatch", None, Severity.SECURITY),
    ],
)
async def test_a_refused_read_is_recorded_too(
    api: Api, parameters: dict[str, str], code: str, missing_role: str | None, severity: Severity
) -> None:
    """A refusal leaves a record with its code, and one across tenants is a matter of security."""
    assert (await api.ask(**parameters)).status_code == 403
    [event] = api.recorded()
    assert event.decision is not None
    assert (event.decision.effect, event.decision.code) == ("deny", code)
    assert event.decision.missing_role == missing_role
    assert (event.outcome, event.status, event.severity) == (Outcome.FAILURE, 403, severity)
    assert (event.details or {}).get("target_tenant") == parameters.get("tenant_id")


async def test_a_crossing_read_names_both_tenants(make_api: MakeApi, write: Write) -> None:
    """A SuperAdmin's read of another tenant is booked to their own, names the other, and is a matter of security."""
    api = await make_api(cross_tenant=True)
    theirs = make_event(event_id=IDS.next(), tenant_id="acme")
    await write(theirs)
    assert await api.ids(roles="SuperAdmin", tenant="platform", tenant_id="acme") == [theirs.event_id]
    [event] = api.recorded()
    assert (event.tenant_id, event.severity) == ("platform", Severity.SECURITY)
    assert event.details is not None
    assert event.details["target_tenant"] == "acme"


async def test_every_read_leaves_one_record_and_no_more(api: Api, write: Write) -> None:
    """Pages, single events, traces and what is not there: one record each; a query that means nothing: none."""
    stored = make_event(event_id=IDS.next())
    await write(stored)
    await api.ask()
    await api.ask(f"/audit/events/{stored.event_id}")
    await api.ask(f"/audit/events/{IDS.next()}")
    await api.ask(f"/audit/trace/{TRACE_ID}", method="HEAD")
    await api.ask(actor="")
    assert [event.status for event in api.recorded()] == [200, 200, 404, 200]
    assert [event.resource.id for event in api.recorded() if event.resource][1] == stored.event_id


async def test_reading_about_reads_does_not_feed_on_itself(api: Api, write: Write) -> None:
    """A page of read events is one read: its record is written beside the API, not through it."""
    await api.ask()
    await write(*api.recorded())
    assert len(await api.ids()) == 1
    assert len(api.recorded()) == 2


async def test_what_cannot_be_recorded_is_not_shown(api: Api, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the spool out of order nobody is shown anything: 503 `audit_unavailable`, now or when the disk says so."""
    await write(make_event(event_id=IDS.next()))

    def refuses(_: AuditEvent) -> asyncio.Future[None]:
        raise SpoolUnavailable("full")

    def fails(_: AuditEvent) -> asyncio.Future[None]:
        promise: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        promise.set_exception(SpoolUnavailable("disk"))
        return promise

    for spool in (refuses, fails):
        monkeypatch.setattr(api.emitter, "emit_durable", spool)
        response = await api.ask()
        assert response.status_code == 503
        assert response.json() == {"code": "audit_unavailable", "missing_role": None, "trace_id": TRACE_ID}


async def test_a_store_that_fails_is_recorded_as_a_failed_read(api: Api) -> None:
    """A read the store did not answer is told and recorded as such."""
    await api.reader.close()
    response = await api.ask()
    assert (response.status_code, response.json()["code"]) == (503, "audit_unavailable")
    [event] = api.recorded()
    assert (event.outcome, event.status) == (Outcome.FAILURE, 503)


async def test_reads_are_counted_and_timed(api: Api, write: Write) -> None:
    """The metrics tell how many reads ended how, how long the store took, and how complete it is."""
    await write(make_event(event_id=IDS.next()))
    await api.ask()
    await api.ask(roles="Support", include_redacted="true")
    await api.ask(nothing="x")
    assert api.metric("audit_query_requests_total", endpoint="events", code="ok") == 1
    assert api.metric("audit_query_requests_total", endpoint="events", code="forbidden") == 1
    assert api.metric("audit_query_duration_seconds_count", endpoint="events") == 1
    assert api.metric("audit_query_rows_sum") == 1
    assert api.metric("audit_complete_through_timestamp_seconds") > 0
